-- Each indicator of each current student: value, cut-off, flag, whether the data suffices, and the reason in words. The
-- rules are those of the active rule set that hold for the student's school, else grade band, else everybody.

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
    j.label AS label, -- text: How people call it.
    j.domain AS domain, -- text: What it is about.
    {{ flag("j.level") }} AS flag, -- text: OK, WATCH, RISK, SEVERE or INSUFFICIENT_DATA. [sensitive]
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
FROM judged AS j
CROSS JOIN dim_students AS s
WHERE s.student_durable_key = j.student_durable_key AND s.is_current = 1;
