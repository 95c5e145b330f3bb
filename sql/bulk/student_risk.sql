-- Computes the risk tiers of many students with DuckDB, part by part, with the statements of
-- sql/marts/student_risk.sql.
--
-- A part reads only the months within the windows of the rules (v_risk_windows). This is not sufficient for the
-- students in `needs_older_months`, who were absent on all days of these months or have few recorded days.
--
-- Months and days are given both as a list and as a range: SQLite needs the list to use its indexes, PostgreSQL the
-- range.

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
WHERE school_year = {{ this_year }} AND {{ of_last_months }}
GROUP BY m.student_durable_key
HAVING MIN(m.days_before) = 0 OR (
    SUM(m.days_recorded) > (SELECT 2 * w.trend_days FROM v_risk_windows AS w)
    AND SUM(m.absent_parts) < 2520 * SUM(m.days_recorded)
    AND MAX(m.days_before + m.days_recorded) > (SELECT w.first_until_days FROM v_risk_windows AS w)
);

ANALYZE needs_older_months;

-- name: read
SELECT * FROM dim_students WHERE is_current = 1 AND {{ in_part }};

SELECT * FROM student_attendance_month WHERE {{ in_part }} AND school_year = {{ this_year }} AND {{ of_last_months }};

SELECT * FROM student_attendance_month
WHERE {{ in_part }} AND school_year = {{ this_year }} AND month_key < {{ first_of_last_months }}
  AND student_durable_key IN (SELECT b.student_durable_key FROM needs_older_months AS b);

SELECT * FROM student_year_to_date WHERE {{ in_part }};

SELECT * FROM fact_homework
WHERE {{ in_part }} AND due_date_key IN (
    SELECT d.date_key
    FROM v_risk_windows AS w
    JOIN dim_dates AS d ON d.date_key BETWEEN w.homework_from_key AND w.as_of_date_key
) AND due_date_key BETWEEN (SELECT w.homework_from_key FROM v_risk_windows AS w)
    AND (SELECT w.as_of_date_key FROM v_risk_windows AS w);

-- name: in_part
student_durable_key BETWEEN {{ first_student }} AND {{ last_student }} {{ if_due }};

-- name: this_year
(SELECT w.school_year FROM v_risk_windows AS w);

-- name: of_last_months
month_key IN (
    SELECT d.month_key
    FROM v_risk_windows AS w
    JOIN dim_dates AS d ON d.school_year = w.school_year AND d.month_key BETWEEN w.trend_from_month_key AND w.month_key
) AND month_key BETWEEN {{ first_of_last_months }} AND (SELECT w.month_key FROM v_risk_windows AS w);

-- name: first_of_last_months
(SELECT w.trend_from_month_key FROM v_risk_windows AS w);
