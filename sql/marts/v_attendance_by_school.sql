-- Attendance of each student per school year and school. A student who changes school has one row per school here, and
-- one overall rate in v_student_risk_monitor. Past school years are kept.

-- name: schema
CREATE VIEW v_attendance_by_school AS
SELECT
    i.student_id AS student_id, -- text: The student's id. [sensitive]
    m.school_year AS school_year, -- integer: School year, named by the year in which it ends.
    h.school_id AS school_id, -- text: School that took attendance; if not given, the school of enrollment on that day.
    m.days_recorded AS days_recorded, -- integer: Days with at least one mapped attendance code.
    CAST(m.absent_parts AS DOUBLE PRECISION) / 2520 AS days_absent, -- real: Days missed. [sensitive]
    CASE WHEN m.days_recorded > 0 THEN
        CAST(100 * (2520 * m.days_recorded - m.absent_parts) AS DOUBLE PRECISION) / (2520 * m.days_recorded)
    END AS attendance_rate, -- real: Days present as a share of days recorded, percent 0-100. [sensitive]
    f.full_date AS first_day, -- date: First day with attendance at the school in that year.
    m.student_durable_key AS student_durable_key -- integer: Durable key of the student, for joins with facts.
FROM (
    SELECT
        student_durable_key, school_year, school_key, SUM(days_recorded) AS days_recorded,
        SUM(absent_parts) AS absent_parts, MIN(first_date_key) AS first_date_key
    FROM student_attendance_month
    GROUP BY student_durable_key, school_year, school_key
) AS m
JOIN student_identity AS i ON i.student_durable_key = m.student_durable_key
JOIN dim_schools AS h ON h.school_key = m.school_key
JOIN dim_dates AS f ON f.date_key = m.first_date_key;
