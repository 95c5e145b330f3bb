-- Students per homeroom and risk tier: what a principal looks at first.

-- name: schema
CREATE VIEW v_homerooms AS
SELECT
    r.school_id AS school_id, -- text: School of enrolment.
    COALESCE(r.homeroom, '(not given)') AS homeroom, -- text: Homeroom. [sensitive]
    COUNT(*) AS students, -- integer: Current students.
    SUM(CASE WHEN r.risk_tier = 'HIGH' THEN 1 ELSE 0 END) AS high, -- integer: Of these, HIGH. [sensitive]
    SUM(CASE WHEN r.risk_tier = 'MODERATE' THEN 1 ELSE 0 END) AS moderate, -- integer: MODERATE. [sensitive]
    SUM(CASE WHEN r.risk_tier = 'WATCH' THEN 1 ELSE 0 END) AS watch, -- integer: WATCH. [sensitive]
    SUM(CASE WHEN r.risk_tier = 'ON_TRACK' THEN 1 ELSE 0 END) AS on_track, -- integer: ON_TRACK. [sensitive]
    SUM(CASE WHEN r.risk_tier = 'INSUFFICIENT_DATA' THEN 1 ELSE 0 END) AS insufficient_data, -- integer: INSUFFICIENT_DATA. [sensitive]
    COUNT(m.student_durable_key) AS moved, -- integer: Whose tier is another than a week ago. [sensitive]
    SUM(CASE WHEN m.direction = 'WORSE' THEN 1 ELSE 0 END) AS got_worse -- integer: Of these, who got worse. [sensitive]
FROM v_student_risk_monitor AS r
LEFT JOIN v_risk_movers AS m ON m.student_durable_key = r.student_durable_key
GROUP BY r.school_id, COALESCE(r.homeroom, '(not given)');

-- name: row_count
SELECT COUNT(*) FROM (SELECT DISTINCT school_key, homeroom FROM dim_students WHERE is_current = 1) AS h;
