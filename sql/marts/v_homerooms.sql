-- Students per homeroom and risk tier: an overview for principals.

-- name: schema
CREATE VIEW v_homerooms AS
WITH week AS MATERIALIZED (
    SELECT w.date_key FROM v_as_of AS o JOIN dim_dates AS w ON w.day_number = o.day_number - 7
)
SELECT
    r.school_id AS school_id, -- text: School of enrollment.
    r.homeroom AS homeroom, -- text: Homeroom. [sensitive]
    COUNT(*) AS students, -- integer: Current students.
    SUM(CASE WHEN r.risk_tier = 'HIGH' THEN 1 ELSE 0 END) AS high, -- integer: Students with tier HIGH. [sensitive]
    SUM(CASE WHEN r.risk_tier = 'MODERATE' THEN 1 ELSE 0 END) AS moderate, -- integer: Students with tier MODERATE. [sensitive]
    SUM(CASE WHEN r.risk_tier = 'WATCH' THEN 1 ELSE 0 END) AS watch, -- integer: Students with tier WATCH. [sensitive]
    SUM(CASE WHEN r.risk_tier = 'ON_TRACK' THEN 1 ELSE 0 END) AS on_track, -- integer: Students with tier ON_TRACK. [sensitive]
    SUM(CASE WHEN r.risk_tier = 'INSUFFICIENT_DATA' THEN 1 ELSE 0 END) AS insufficient_data, -- integer: Students with tier INSUFFICIENT_DATA. [sensitive]
    SUM(CASE WHEN r.tier_a_week_ago <> r.risk_tier THEN 1 ELSE 0 END) AS moved, -- integer: Students with a different tier than a week ago. [sensitive]
    SUM(CASE
        WHEN r.tier_a_week_ago IS NULL THEN 0
        WHEN CASE r.risk_tier WHEN 'HIGH' THEN 3 WHEN 'MODERATE' THEN 2 WHEN 'WATCH' THEN 1 ELSE 0 END
            > CASE r.tier_a_week_ago WHEN 'HIGH' THEN 3 WHEN 'MODERATE' THEN 2 WHEN 'WATCH' THEN 1 ELSE 0 END THEN 1
        ELSE 0
    END) AS got_worse -- integer: Students with a worse tier than a week ago. [sensitive]
FROM (
    SELECT
        h.school_id, COALESCE(s.homeroom, '(not given)') AS homeroom, t.risk_tier,
        (
            SELECT b.risk_tier FROM student_risk_tier AS b
            WHERE b.student_durable_key = t.student_durable_key AND b.as_of_date_key <= (SELECT w.date_key FROM week AS w)
            ORDER BY b.change_no DESC LIMIT 1
        ) AS tier_a_week_ago
    FROM student_risk_tier AS t
    JOIN dim_students AS s ON s.student_durable_key = t.student_durable_key AND s.is_current = 1
    JOIN dim_schools AS h ON h.school_key = s.school_key
    WHERE t.is_current = 1 AND t.risk_tier IS NOT NULL
) AS r
GROUP BY r.school_id, r.homeroom;
