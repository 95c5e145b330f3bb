-- Counts the attendance of many months with DuckDB, part by part, with the query of
-- sql/marts/student_attendance_month.sql. All facts of a student and month are in the same part.

-- name: many
SELECT COUNT(*) AS months
FROM touched
WHERE NOT EXISTS (SELECT 1 FROM setting AS p WHERE p.name = 'attendance_sent' AND p.value = 'absences_only');

-- name: recount_all
DELETE FROM student_attendance_month
WHERE (school_year, student_durable_key, month_key, school_key) IN (
    SELECT school_year, student_durable_key, month_key, school_key FROM kept
);

UPDATE touched SET first_date_key = 100 * month_key, is_added_to = 0;

CREATE TEMP TABLE counted_in_parts AS SELECT * FROM student_attendance_month WHERE 1 = 0;

-- name: parts
SELECT MIN(p.student_durable_key) AS first_student, MAX(p.student_durable_key) AS last_student
FROM (
    SELECT t.student_durable_key, NTILE({{ how_many }}) OVER (ORDER BY t.student_durable_key) AS part_no
    FROM touched AS t
    WHERE t.month_key = {{ month }}
) AS p
GROUP BY p.part_no
ORDER BY first_student;

-- name: add_parts
INSERT INTO student_attendance_month (
    student_durable_key, school_year, month_key, school_key, first_date_key, last_date_key, days_recorded, absent_parts,
    excused_parts, days_late, days_unmapped, days_before, parts_before, unmapped_before, day_marks, absent_so_far
)
SELECT
    c.student_durable_key, c.school_year, c.month_key, c.school_key, c.first_date_key, c.last_date_key, c.days_recorded,
    c.absent_parts, c.excused_parts, c.days_late, c.days_unmapped,
    SUM(c.days_recorded) OVER in_order - c.days_recorded AS days_before,
    SUM(c.absent_parts) OVER in_order - c.absent_parts AS parts_before,
    SUM(c.days_unmapped) OVER in_order - c.days_unmapped AS unmapped_before, c.day_marks, c.absent_so_far
FROM counted_in_parts AS c
WINDOW in_order AS (
    PARTITION BY c.student_durable_key, c.school_year ORDER BY c.month_key, c.first_date_key, c.school_key
)
ORDER BY c.school_year, c.month_key, c.student_durable_key;

DROP TABLE counted_in_parts;
