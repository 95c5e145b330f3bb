-- Marks every student and month with facts or figures, so that the next refresh of the marts computes all figures and
-- all risk tiers again.

-- name: everything
INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT student_durable_key, month_key, 'attendance' FROM student_attendance_month
UNION
SELECT student_durable_key, date_key / 100, 'attendance' FROM fact_attendance
UNION
SELECT student_durable_key, month_key, 'homework' FROM student_month
UNION
SELECT student_durable_key, due_date_key / 100, 'homework' FROM fact_homework
UNION
SELECT student_durable_key, date_key / 100, 'communication' FROM fact_communication
UNION
SELECT student_durable_key, 0, 'performance' FROM student_course
UNION
SELECT student_durable_key, 0, 'performance' FROM fact_performance WHERE 1 = 1
ON CONFLICT DO NOTHING;

DELETE FROM setting WHERE name IN ('data_of_tiers', 'year_to_date_of');
