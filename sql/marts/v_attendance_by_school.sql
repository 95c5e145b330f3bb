-- Attendance of each student per school year and school: a student who changes school keeps one rate (in
-- v_student_risk_monitor), and has one per school here. School years that are over stay.

-- name: schema
CREATE VIEW v_attendance_by_school AS
SELECT
    i.student_id AS student_id, -- text: The student's id. [sensitive]
    m.school_year AS school_year, -- integer: School year, named by the year it ends in.
    h.school_id AS school_id, -- text: The school that took attendance; else that of enrolment on the day.
    m.days_recorded AS days_recorded, -- integer: Days with attendance that could be understood.
    CAST(m.absent_parts AS DOUBLE PRECISION) / 2520 AS days_absent, -- real: Days missed. [sensitive]
    CASE WHEN m.days_recorded > 0 THEN
        CAST(100 * (2520 * m.days_recorded - m.absent_parts) AS DOUBLE PRECISION) / (2520 * m.days_recorded)
    END AS attendance_rate, -- real: Days present of days recorded, percent 0-100. [sensitive]
    f.full_date AS first_day, -- date: First day at the school in that year.
    m.student_durable_key AS student_durable_key -- integer: The student, for joining facts.
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
