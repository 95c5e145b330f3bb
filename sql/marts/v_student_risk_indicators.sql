-- Each indicator of each current student: value, cut-off, flag, whether the data is sufficient, and the reason as text.
-- The rules are those of the active rule set for the student's school, otherwise grade band, otherwise all students.

-- name: schema
CREATE VIEW v_student_risk_indicators AS
WITH judged AS (
    SELECT
        m.*, r.label, r.reason_text, r.minimum_data, r.window_size, r.rule_set,
        CASE WHEN m.raw_level IS NOT NULL THEN m.numerator * m.scale * 10 / m.denominator END AS value_tenths,
        (20 * m.parts + 2520) / 5040 AS part_tenths, (20 * m.recent_parts + 2520) / 5040 AS recent_tenths,
        CASE m.raw_level WHEN 3 THEN r.severe_at WHEN 2 THEN r.risk_at WHEN 1 THEN r.watch_at
            ELSE CASE r.first_level WHEN 1 THEN r.watch_at WHEN 2 THEN r.risk_at ELSE r.severe_at END END AS cut_off_x100,
        CASE m.raw_level WHEN 3 THEN r.severe_citation WHEN 2 THEN r.risk_citation WHEN 1 THEN r.watch_citation
            ELSE CASE r.first_level WHEN 1 THEN r.watch_citation WHEN 2 THEN r.risk_citation ELSE r.severe_citation END END AS citation
    FROM v_risk_levels AS m
    CROSS JOIN v_risk_rules AS r
    WHERE r.rule_no = m.rule_no
)
SELECT
    s.student_id AS student_id, -- text: The student's id. [sensitive]
    j.indicator AS indicator, -- text: The indicator (risk_indicators).
    j.label AS label, -- text: Display name of the indicator.
    j.domain AS domain, -- text: Domain of the indicator.
    {{ flag("j.level") }} AS flag, -- text: OK, WATCH, RISK, SEVERE or INSUFFICIENT_DATA. [sensitive]
    j.data_status AS data_status, -- text: OK, INSUFFICIENT_DATA (fewer data points than the minimum), NO_DATA, or NOT_NOW (the indicator's period is over).
    CASE WHEN j.data_points > 0 THEN CAST(j.numerator * j.scale AS DOUBLE PRECISION) / j.denominator END AS value, -- real: Value: percent 0-100, points, days or courses. [sensitive]
    CAST(j.cut_off_x100 AS DOUBLE PRECISION) / 100 AS cut_off, -- real: Limit of the flag; without a flag, the first limit.
    j.data_points AS data_points, -- integer: Number of days, scores or assignments used.
    j.minimum_data AS minimum_data, -- integer: Minimum number required.
    CASE WHEN j.data_sent > 0 THEN CAST(100 * j.data_points AS DOUBLE PRECISION) / j.data_sent END AS coverage, -- real: Data points used as a share of those sent, percent 0-100.
    COALESCE(j.level, 0) AS level, -- integer: Level 0 to 3. [sensitive]
    j.weight AS weight, -- integer: Weight of the indicator in the risk score and in the order of reasons.
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
    END AS reason, -- text: Reason as text, if there is a flag. Percentages are truncated, not rounded. [sensitive]
    j.citation AS citation, -- text: Source of the limit.
    j.is_required AS is_required, -- integer: 1 if ON_TRACK requires data for the indicator.
    j.rule_set AS rule_set, -- text: Name of the rule set that was applied.
    j.student_durable_key AS student_durable_key -- integer: Durable key of the student, for joins with facts.
FROM judged AS j
CROSS JOIN dim_students AS s
WHERE s.student_durable_key = j.student_durable_key AND s.is_current = 1;
