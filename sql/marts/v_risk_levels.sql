-- How grave each indicator of each current student is: measures (v_risk_measures) held against the rules in force
-- (v_risk_rules), in whole numbers. In words: v_student_risk_indicators.

-- The rules are joined outer so that they stay last: PostgreSQL would begin with every school's rules for everybody.

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
    m.student_durable_key AS student_durable_key, -- integer: The student.
    m.indicator AS indicator, -- text: The indicator.
    m.rule_no AS rule_no, -- integer: Its row of v_risk_rules.
    m.domain AS domain, -- text: What it is about.
    m.weight AS weight, -- integer: Order of reasons and share of the score.
    m.is_required AS is_required, -- integer: 1 if nobody is ON_TRACK without it.
    m.scale AS scale, -- integer: The value is numerator * scale / denominator.
    m.numerator AS numerator, -- integer: As in v_risk_measures. [sensitive]
    m.denominator AS denominator, -- integer: As in v_risk_measures. [sensitive]
    m.data_points AS data_points, -- integer: Days, scores or assignments that count.
    m.data_sent AS data_sent, -- integer: Days, scores or assignments that were sent, understood or not.
    m.parts AS parts, -- integer: As in v_risk_measures. [sensitive]
    m.share_tenths AS share_tenths, -- integer: As in v_risk_measures. [sensitive]
    m.recent_parts AS recent_parts, -- integer: As in v_risk_measures. [sensitive]
    m.recent_days AS recent_days, -- integer: As in v_risk_measures.
    m.data_status AS data_status, -- text: OK, INSUFFICIENT_DATA (less than the least), NO_DATA, or NOT_NOW (its time is over).
    m.raw_level AS raw_level, -- integer: 0 to 3 by its own limits; missing without enough data. [sensitive]
    CASE
        WHEN m.needs_other_risk = 1 AND m.raw_level > 0 AND m.student_durable_key NOT IN (
            SELECT x.student_durable_key FROM measured AS x WHERE x.raw_level >= 2 AND x.needs_other_risk = 0
        ) THEN 0
        ELSE m.raw_level
    END AS level -- integer: 0 to 3; 0 where it counts only beside another risk and there is none. [sensitive]
FROM measured AS m;
