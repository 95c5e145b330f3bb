-- Each indicator of each current student: value, cut-off, flag, whether the data suffices, and the reason in words. The
-- rules are those of the active rule set that hold for the student's school, else grade band, else everybody.

-- name: schema
CREATE VIEW v_student_risk_indicators AS
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
student AS MATERIALIZED (
    SELECT s.student_durable_key, s.student_id, s.school_key, COALESCE(g.grade_band, '') AS grade_band
    FROM dim_students AS s
    LEFT JOIN (SELECT grade_level, MIN(grade_band) AS grade_band FROM dim_grade_levels GROUP BY grade_level) AS g
        ON g.grade_level = s.grade_level
    WHERE s.is_current = 1
),
fitting AS (
    SELECT
        c.school_key, c.grade_band, r.*,
        CASE WHEN r.school_id <> '' THEN 2 ELSE 0 END + CASE WHEN r.for_band <> '' THEN 1 ELSE 0 END AS nearness,
        MAX(CASE WHEN r.school_id <> '' THEN 2 ELSE 0 END + CASE WHEN r.for_band <> '' THEN 1 ELSE 0 END) OVER (
            PARTITION BY c.school_key, c.grade_band, r.indicator
        ) AS nearest
    FROM (SELECT DISTINCT school_key, grade_band FROM student) AS c
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
rule AS MATERIALIZED (
    SELECT
        school_key, grade_band, indicator, MAX(weight) AS weight, MAX(minimum_data) AS minimum_data,
        MAX(window_size) AS window_size, MIN(level) AS first_level, MAX(rule_set) AS rule_set,
        MAX(CASE WHEN level = 1 THEN threshold_x100 END) AS watch_at,
        MAX(CASE WHEN level = 1 THEN CASE WHEN comparator IN ('lt', 'le') THEN 1 ELSE -1 END END) AS watch_sign,
        MAX(CASE WHEN level = 1 THEN CASE WHEN comparator IN ('le', 'ge') THEN 1 ELSE 0 END END) AS watch_inclusive,
        MAX(CASE WHEN level = 1 THEN citation END) AS watch_citation,
        MAX(CASE WHEN level = 2 THEN threshold_x100 END) AS risk_at,
        MAX(CASE WHEN level = 2 THEN CASE WHEN comparator IN ('lt', 'le') THEN 1 ELSE -1 END END) AS risk_sign,
        MAX(CASE WHEN level = 2 THEN CASE WHEN comparator IN ('le', 'ge') THEN 1 ELSE 0 END END) AS risk_inclusive,
        MAX(CASE WHEN level = 2 THEN citation END) AS risk_citation,
        MAX(CASE WHEN level = 3 THEN threshold_x100 END) AS severe_at,
        MAX(CASE WHEN level = 3 THEN CASE WHEN comparator IN ('lt', 'le') THEN 1 ELSE -1 END END) AS severe_sign,
        MAX(CASE WHEN level = 3 THEN CASE WHEN comparator IN ('le', 'ge') THEN 1 ELSE 0 END END) AS severe_inclusive,
        MAX(CASE WHEN level = 3 THEN citation END) AS severe_citation
    FROM fitting
    WHERE nearness = nearest
    GROUP BY school_key, grade_band, indicator
),
measured AS MATERIALIZED (
    SELECT
        s.student_id, m.*, d.domain, d.needs_other_risk, d.scale, d.label, d.reason_text, d.is_required, r.rule_set,
        r.weight, r.minimum_data, r.window_size,
        r.watch_at, r.risk_at, r.severe_at, r.watch_citation, r.risk_citation, r.severe_citation, r.first_level,
        CASE
            WHEN m.is_judged_now = 0 THEN 'NOT_NOW'
            WHEN m.data_points = 0 THEN 'NO_DATA'
            WHEN m.data_points < r.minimum_data THEN 'INSUFFICIENT_DATA'
            ELSE 'OK'
        END AS data_status,
        CASE
            WHEN m.is_judged_now = 0 OR m.data_points < r.minimum_data OR m.data_points = 0 THEN NULL
            WHEN r.severe_sign * m.numerator * d.scale * 100 < r.severe_sign * r.severe_at * m.denominator + r.severe_inclusive THEN 3
            WHEN r.risk_sign * m.numerator * d.scale * 100 < r.risk_sign * r.risk_at * m.denominator + r.risk_inclusive THEN 2
            WHEN r.watch_sign * m.numerator * d.scale * 100 < r.watch_sign * r.watch_at * m.denominator + r.watch_inclusive THEN 1
            ELSE 0
        END AS raw_level
    FROM v_risk_measures AS m
    JOIN student AS s ON s.student_durable_key = m.student_durable_key
    JOIN rule AS r ON r.school_key = s.school_key AND r.grade_band = s.grade_band AND r.indicator = m.indicator
    JOIN indicator AS d ON d.indicator = m.indicator
),
at_risk AS (
    SELECT DISTINCT student_durable_key FROM measured WHERE raw_level >= 2 AND needs_other_risk = 0
),
judged AS (
    SELECT
        m.*,
        CASE WHEN m.needs_other_risk = 1 AND m.raw_level > 0 AND r.student_durable_key IS NULL THEN 0 ELSE m.raw_level END AS level,
        CASE WHEN m.raw_level IS NOT NULL THEN m.numerator * m.scale * 10 / m.denominator END AS value_tenths,
        (20 * m.parts + 2520) / 5040 AS part_tenths, (20 * m.recent_parts + 2520) / 5040 AS recent_tenths,
        CASE m.raw_level WHEN 3 THEN m.severe_at WHEN 2 THEN m.risk_at WHEN 1 THEN m.watch_at
            ELSE CASE m.first_level WHEN 1 THEN m.watch_at WHEN 2 THEN m.risk_at ELSE m.severe_at END END AS cut_off_x100,
        CASE m.raw_level WHEN 3 THEN m.severe_citation WHEN 2 THEN m.risk_citation WHEN 1 THEN m.watch_citation
            ELSE CASE m.first_level WHEN 1 THEN m.watch_citation WHEN 2 THEN m.risk_citation ELSE m.severe_citation END END AS citation
    FROM measured AS m
    LEFT JOIN at_risk AS r ON r.student_durable_key = m.student_durable_key
)
SELECT
    j.student_id AS student_id, -- text: The student's id. [sensitive]
    j.indicator AS indicator, -- text: The indicator (risk_indicators).
    j.label AS label, -- text: How people call it.
    j.domain AS domain, -- text: What it is about.
    CASE j.level WHEN 3 THEN 'SEVERE' WHEN 2 THEN 'RISK' WHEN 1 THEN 'WATCH' WHEN 0 THEN 'OK' ELSE 'INSUFFICIENT_DATA' END AS flag, -- text: OK, WATCH, RISK, SEVERE or INSUFFICIENT_DATA. [sensitive]
    j.data_status AS data_status, -- text: OK, INSUFFICIENT_DATA (less than the least), NO_DATA, or NOT_NOW (its time is over).
    CASE WHEN j.data_points > 0 THEN CAST(j.numerator * j.scale AS DOUBLE PRECISION) / j.denominator END AS value, -- real: The value: percent 0-100, points, days or courses. [sensitive]
    CAST(j.cut_off_x100 AS DOUBLE PRECISION) / 100 AS cut_off, -- real: The limit of its flag; where there is none, the first limit.
    j.data_points AS data_points, -- integer: Days, scores or assignments that count.
    j.minimum_data AS minimum_data, -- integer: The least number of them to judge by.
    CASE WHEN j.data_sent > 0 THEN CAST(100 * j.data_points AS DOUBLE PRECISION) / j.data_sent END AS coverage, -- real: Those that count of those sent, percent 0-100.
    COALESCE(j.level, 0) AS level, -- integer: 0 to 3. [sensitive]
    j.weight AS weight, -- integer: Order of reasons and share of the score.
    CASE WHEN j.level > 0 THEN
        REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(
            j.reason_text,
            '{value}', CAST(j.value_tenths / 10 AS TEXT)
                || CASE WHEN j.value_tenths % 10 = 0 THEN '' ELSE '.' || CAST(j.value_tenths % 10 AS TEXT) END),
            '{threshold}', CAST(j.cut_off_x100 / 100 AS TEXT)
                || CASE WHEN j.cut_off_x100 % 100 = 0 THEN '' ELSE '.' || CAST(j.cut_off_x100 / 10 % 10 AS TEXT) END),
            '{part}', COALESCE(CAST(j.part_tenths / 10 AS TEXT)
                || CASE WHEN j.part_tenths % 10 = 0 THEN '' ELSE '.' || CAST(j.part_tenths % 10 AS TEXT) END, '')),
            '{recent_part}', COALESCE(CAST(j.recent_tenths / 10 AS TEXT)
                || CASE WHEN j.recent_tenths % 10 = 0 THEN '' ELSE '.' || CAST(j.recent_tenths % 10 AS TEXT) END, '')),
            '{recent_count}', COALESCE(CAST(j.recent_days AS TEXT), '')),
            '{share}', COALESCE(CAST(j.share_tenths / 10 AS TEXT), '')),
            '{window}', COALESCE(CAST(j.window_size AS TEXT), '')),
            '{count}', CAST(j.data_points AS TEXT))
    END AS reason, -- text: The reason in words, where there is a flag. Percentages are cut, not rounded. [sensitive]
    j.citation AS citation, -- text: Where the limit comes from.
    j.is_required AS is_required, -- integer: 1 if nobody is ON_TRACK without it.
    j.rule_set AS rule_set, -- text: The rules that were applied.
    j.student_durable_key AS student_durable_key -- integer: The student, for joining facts.
FROM judged AS j;

-- name: row_count
SELECT NULL AS not_worth_counting;
