-- Computes the risk tiers of many students with DuckDB, part by part, with the statements of
-- sql/marts/student_risk.sql.
--
-- A part reads only the months within the windows of the rules (v_risk_windows). This is not sufficient for the
-- students in `needs_older_months`, who were absent on all days of these months or have few recorded days.
--
-- The windows are given as numbers, because planners cannot estimate subqueries. Months and days are given both as a
-- list and as a range: SQLite needs the list to use its indexes, PostgreSQL the range.

-- name: windows
SELECT w.* FROM v_risk_windows AS w;

-- name: month_keys
SELECT DISTINCT d.month_key
FROM dim_dates AS d
WHERE d.school_year = {{ school_year }} AND d.month_key BETWEEN {{ trend_from_month_key }} AND {{ month_key }}
ORDER BY d.month_key;

-- name: homework_days
SELECT d.date_key FROM dim_dates AS d
WHERE d.date_key BETWEEN {{ homework_from_key }} AND {{ as_of_date_key }}
ORDER BY d.date_key;

-- name: parts
SELECT
    MIN(p.student_durable_key) AS first_student, MAX(p.student_durable_key) AS last_student, COUNT(*) AS students
FROM (
    SELECT j.student_durable_key, NTILE({{ how_many }}) OVER (ORDER BY j.student_durable_key) AS part_no FROM to_judge AS j
) AS p
GROUP BY p.part_no
ORDER BY first_student;

-- name: students_of_part
SELECT j.student_durable_key FROM to_judge AS j
WHERE j.student_durable_key BETWEEN {{ first_student }} AND {{ last_student }};

-- name: older_months
CREATE TEMP TABLE needs_older_months AS
SELECT j.student_durable_key FROM to_judge AS j
EXCEPT
SELECT m.student_durable_key
FROM student_attendance_month AS m
WHERE {{ in_last_months }}
GROUP BY m.student_durable_key
HAVING MIN(m.days_before) = 0 OR (
    SUM(m.days_recorded) > 2 * {{ trend_days }}
    AND SUM(m.absent_parts) < 2520 * SUM(m.days_recorded)
    AND MAX(m.days_before + m.days_recorded) > {{ first_until_days }}
);

ANALYZE needs_older_months;

-- name: read
SELECT * FROM dim_students WHERE is_current = 1 AND {{ in_part }};

SELECT * FROM student_attendance_month WHERE {{ in_part }} AND {{ in_last_months }};

SELECT * FROM student_attendance_month
WHERE {{ in_part }} AND school_year = {{ school_year }} AND month_key < {{ trend_from_month_key }}
  AND student_durable_key IN (SELECT b.student_durable_key FROM needs_older_months AS b);

SELECT * FROM student_year_to_date WHERE {{ in_part }};

SELECT * FROM fact_homework
WHERE {{ in_part }} AND due_date_key IN ({{ homework_days }})
  AND due_date_key BETWEEN {{ homework_from_key }} AND {{ as_of_date_key }};

-- name: in_part
student_durable_key BETWEEN {{ first_student }} AND {{ last_student }} {{ if_due }};

-- name: in_last_months
school_year = {{ school_year }} AND month_key IN ({{ month_keys }})
AND month_key BETWEEN {{ trend_from_month_key }} AND {{ month_key }};
