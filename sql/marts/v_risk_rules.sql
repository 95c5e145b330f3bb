-- The rules in force: one row per indicator for each school and grade band with students, with the limits. They are the
-- rules of the active rule set that are valid on the as-of day: those for the school if there are any, otherwise for
-- the grade band, otherwise for all students.

-- name: schema
CREATE VIEW v_risk_rules AS
WITH look AS MATERIALIZED (
    SELECT o.as_of_date_key, o.rule_set, o.language FROM v_as_of AS o
),
indicator AS MATERIALIZED (
    SELECT
        d.indicator, d.domain, d.scale, d.needs_other_risk, COALESCE(t.label, e.label, d.indicator) AS label,
        COALESCE(t.reason, e.reason, d.indicator) AS reason_text,
        CASE WHEN d.required = 'always' OR (
            d.required = 'if_sent' AND EXISTS (SELECT 1 FROM data_extent AS x WHERE x.feed = d.feed)
        ) THEN 1 ELSE 0 END AS is_required
    FROM look AS o
    CROSS JOIN risk_indicators AS d
    LEFT JOIN risk_texts AS t ON t.indicator = d.indicator AND t.language = o.language
    LEFT JOIN risk_texts AS e ON e.indicator = d.indicator AND e.language = 'en'
),
scope AS (
    SELECT DISTINCT s.school_key, COALESCE(g.grade_band, '') AS grade_band
    FROM (SELECT DISTINCT school_key, grade_level FROM dim_students WHERE is_current = 1) AS s
    LEFT JOIN (SELECT grade_level, MIN(grade_band) AS grade_band FROM dim_grade_levels GROUP BY grade_level) AS g
        ON g.grade_level = s.grade_level
),
fitting AS (
    SELECT
        c.school_key, c.grade_band, r.*,
        CASE WHEN r.school_id <> '' THEN 2 ELSE 0 END + CASE WHEN r.for_band <> '' THEN 1 ELSE 0 END AS nearness,
        MAX(CASE WHEN r.school_id <> '' THEN 2 ELSE 0 END + CASE WHEN r.for_band <> '' THEN 1 ELSE 0 END) OVER (
            PARTITION BY c.school_key, c.grade_band, r.indicator
        ) AS nearest
    FROM scope AS c
    JOIN dim_schools AS h ON h.school_key = c.school_key
    CROSS JOIN look AS o
    JOIN (
        SELECT
            rule_set, indicator, grade_band AS for_band, school_id, level, comparator, threshold_x100, window_size,
            minimum_data, weight, citation, valid_from_key, valid_to_key
        FROM risk_rules
    ) AS r ON r.rule_set = o.rule_set
        AND r.valid_from_key <= CASE WHEN o.as_of_date_key = 0 THEN 99991230 ELSE o.as_of_date_key END
        AND r.valid_to_key > CASE WHEN o.as_of_date_key = 0 THEN 99991230 ELSE o.as_of_date_key END
        AND r.for_band IN ('', c.grade_band) AND r.school_id IN ('', h.school_id)
),
ladder AS (
    SELECT
        school_key, grade_band, indicator, MAX(weight) AS weight, MAX(minimum_data) AS minimum_data,
        MAX(window_size) AS window_size, MIN(level) AS first_level, MAX(rule_set) AS rule_set,
        {% for level, name in [(1, "watch"), (2, "risk"), (3, "severe")] %}
        MAX(CASE WHEN level = {{ level }} THEN threshold_x100 END) AS {{ name }}_at,
        MAX(CASE WHEN level = {{ level }} THEN CASE WHEN comparator IN ('lt', 'le') THEN 1 ELSE -1 END END) AS {{ name }}_sign,
        MAX(CASE WHEN level = {{ level }} THEN CASE WHEN comparator IN ('le', 'ge') THEN 1 ELSE 0 END END) AS {{ name }}_inclusive,
        MAX(CASE WHEN level = {{ level }} THEN citation END) AS {{ name }}_citation{{ "," if not loop.last }}
        {% endfor %}
    FROM fitting
    WHERE nearness = nearest
    GROUP BY school_key, grade_band, indicator
)
SELECT
    ROW_NUMBER() OVER (ORDER BY l.school_key, l.grade_band, l.indicator) AS rule_no, -- integer: Row number, for joins.
    l.school_key AS school_key, -- integer: The school.
    l.grade_band AS grade_band, -- text: The grade band; empty if there is none.
    l.indicator AS indicator, -- text: The indicator (risk_indicators).
    d.label AS label, -- text: Display name of the indicator.
    d.domain AS domain, -- text: Domain of the indicator.
    d.scale AS scale, -- integer: The value in the unit of the limits is numerator * scale / denominator.
    d.needs_other_risk AS needs_other_risk, -- integer: 1 if the indicator counts only if another indicator is at risk.
    d.is_required AS is_required, -- integer: 1 if ON_TRACK requires data for the indicator.
    l.rule_set AS rule_set, -- text: The active rule set.
    l.weight AS weight, -- integer: Weight of the indicator in the risk score and in the order of reasons.
    l.minimum_data AS minimum_data, -- integer: Minimum number of days, scores or assignments required.
    l.window_size AS window_size, -- integer: Length of the window in days, if the rule has one.
    l.first_level AS first_level, -- integer: Lowest level that has a limit, 1 to 3.
    l.watch_at AS watch_at, -- integer: Limit of level 1, in hundredths.
    l.watch_sign AS watch_sign, -- integer: 1 if lower values are worse, -1 otherwise.
    l.watch_inclusive AS watch_inclusive, -- integer: 1 if the limit itself counts.
    l.watch_citation AS watch_citation, -- text: Source of the limit.
    l.risk_at AS risk_at, -- integer: Limit of level 2, in hundredths.
    l.risk_sign AS risk_sign, -- integer: 1 if lower values are worse, -1 otherwise.
    l.risk_inclusive AS risk_inclusive, -- integer: 1 if the limit itself counts.
    l.risk_citation AS risk_citation, -- text: Source of the limit.
    l.severe_at AS severe_at, -- integer: Limit of level 3, in hundredths.
    l.severe_sign AS severe_sign, -- integer: 1 if lower values are worse, -1 otherwise.
    l.severe_inclusive AS severe_inclusive, -- integer: 1 if the limit itself counts.
    l.severe_citation AS severe_citation, -- text: Source of the limit.
    d.reason_text AS reason_text -- text: Text of the reason, with placeholders for numbers.
FROM ladder AS l
JOIN indicator AS d ON d.indicator = l.indicator;
