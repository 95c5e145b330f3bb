-- Monthly attendance summary: one row per student and month with attendance.

-- name: schema
CREATE VIEW v_attendance_monthly AS
SELECT
    s.student_id AS student_id, -- text: The student's id. [sensitive]
    s.grade_level AS grade_level, -- text: Current grade level. [sensitive]
    h.school_id AS school_id, -- text: Current school of enrollment.
    m.school_year AS school_year, -- integer: School year, named by the year in which it ends.
    m.month_key AS month_key, -- integer: Month, yyyymm.
    m.days_recorded AS days_recorded, -- integer: Days with at least one mapped attendance code.
    CAST(m.absent_parts AS DOUBLE PRECISION) / 2520 AS days_absent, -- real: Days missed. [sensitive]
    CAST(m.excused_parts AS DOUBLE PRECISION) / 2520 AS days_excused, -- real: Part of the days missed that is excused. [sensitive]
    m.days_late AS days_late, -- integer: Days with a late arrival. [sensitive]
    m.days_unmapped AS days_unmapped, -- integer: Days with only unmapped codes.
    CASE WHEN m.days_recorded > 0 THEN
        CAST(100 * (2520 * m.days_recorded - m.absent_parts) AS DOUBLE PRECISION) / (2520 * m.days_recorded)
    END AS attendance_rate, -- real: Days present as a share of days recorded, percent 0-100. [sensitive]
    CASE WHEN m.days_recorded > 0 AND 10 * m.absent_parts >= 2520 * m.days_recorded THEN 1 ELSE 0 END AS is_chronically_absent -- integer: 1 if 10 % or more was missed (Attendance Works). [sensitive]
FROM (
    SELECT
        student_durable_key, school_year, month_key, SUM(days_recorded) AS days_recorded,
        SUM(absent_parts) AS absent_parts, SUM(excused_parts) AS excused_parts, SUM(days_late) AS days_late,
        SUM(days_unmapped) AS days_unmapped
    FROM student_attendance_month
    GROUP BY student_durable_key, school_year, month_key
) AS m
JOIN dim_students AS s ON s.student_durable_key = m.student_durable_key AND s.is_current = 1
JOIN dim_schools AS h ON h.school_key = s.school_key
WHERE m.days_recorded + m.days_unmapped > 0;
