-- The level of each indicator of each current student: measures (v_risk_measures) compared with the rules in force
-- (v_risk_rules), in integers. As text: v_student_risk_indicators.

-- The rules are joined with an outer join so that they come last: otherwise PostgreSQL would begin with the rules of
-- every school for every student.

-- name: schema
CREATE VIEW v_risk_levels AS
WITH rule AS MATERIALIZED (
    SELECT * FROM v_risk_rules
),
student AS MATERIALIZED (
    SELECT s.student_durable_key, s.school_key, COALESCE(g.grade_band, '') AS grade_band
    FROM dim_students AS s
    LEFT JOIN (SELECT grade_level, MIN(grade_band) AS grade_band FROM dim_grade_levels GROUP BY grade_level) AS g
        ON g.grade_level = s.grade_level
    WHERE s.is_current = 1
),
measured AS MATERIALIZED (
    SELECT
        m.student_durable_key, m.indicator, r.rule_no, r.needs_other_risk, r.domain, r.weight, r.is_required, r.scale,
        m.numerator, m.denominator, m.data_points, m.data_sent, m.parts, m.share_tenths, m.recent_parts, m.recent_days,
        CASE
            WHEN m.is_judged_now = 0 THEN 'NOT_NOW'
            WHEN m.data_points = 0 THEN 'NO_DATA'
            WHEN m.data_points < r.minimum_data THEN 'INSUFFICIENT_DATA'
            ELSE 'OK'
        END AS data_status,
        CASE
            WHEN m.is_judged_now = 0 OR m.data_points < r.minimum_data OR m.data_points = 0 THEN NULL
            WHEN r.severe_sign * m.numerator * r.scale * 100 < r.severe_sign * r.severe_at * m.denominator + r.severe_inclusive THEN 3
            WHEN r.risk_sign * m.numerator * r.scale * 100 < r.risk_sign * r.risk_at * m.denominator + r.risk_inclusive THEN 2
            WHEN r.watch_sign * m.numerator * r.scale * 100 < r.watch_sign * r.watch_at * m.denominator + r.watch_inclusive THEN 1
            ELSE 0
        END AS raw_level
    FROM v_risk_measures AS m
    CROSS JOIN student AS s
    LEFT JOIN rule AS r ON r.school_key = s.school_key AND r.grade_band = s.grade_band AND r.indicator = m.indicator
    WHERE s.student_durable_key = m.student_durable_key AND COALESCE(r.rule_no, 0) > 0
)
SELECT
    m.student_durable_key AS student_durable_key, -- integer: Durable key of the student.
    m.indicator AS indicator, -- text: The indicator.
    m.rule_no AS rule_no, -- integer: Number of the row in v_risk_rules.
    m.domain AS domain, -- text: Domain of the indicator.
    m.weight AS weight, -- integer: Weight of the indicator in the risk score and in the order of reasons.
    m.is_required AS is_required, -- integer: 1 if ON_TRACK requires data for the indicator.
    m.scale AS scale, -- integer: The value is numerator * scale / denominator.
    m.numerator AS numerator, -- integer: See v_risk_measures. [sensitive]
    m.denominator AS denominator, -- integer: See v_risk_measures. [sensitive]
    m.data_points AS data_points, -- integer: Number of days, scores or assignments used.
    m.data_sent AS data_sent, -- integer: Number of days, scores or assignments sent, whether used or not.
    m.parts AS parts, -- integer: See v_risk_measures. [sensitive]
    m.share_tenths AS share_tenths, -- integer: See v_risk_measures. [sensitive]
    m.recent_parts AS recent_parts, -- integer: See v_risk_measures. [sensitive]
    m.recent_days AS recent_days, -- integer: See v_risk_measures.
    m.data_status AS data_status, -- text: OK, INSUFFICIENT_DATA (fewer data points than the minimum), NO_DATA, or NOT_NOW (the indicator's period is over).
    m.raw_level AS raw_level, -- integer: Level 0 to 3 by the indicator's own limits; null without enough data. [sensitive]
    CASE
        WHEN m.needs_other_risk = 1 AND m.raw_level > 0 AND m.student_durable_key NOT IN (
            SELECT x.student_durable_key FROM measured AS x WHERE x.raw_level >= 2 AND x.needs_other_risk = 0
        ) THEN 0
        ELSE m.raw_level
    END AS level -- integer: Level 0 to 3; 0 if the indicator counts only with another one at risk and there is none. [sensitive]
FROM measured AS m;
