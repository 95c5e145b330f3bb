-- Removes everything that a feed loaded, so that its files can be loaded again from the archive in one transaction.
-- Student ids and the history of risk tiers are kept.

-- name: fact
DELETE FROM {{ table }};

INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT student_durable_key, month_key, '{{ feed }}' FROM student_month WHERE '{{ feed }}' <> 'performance'
UNION
SELECT student_durable_key, month_key, '{{ feed }}' FROM student_attendance_month WHERE '{{ feed }}' = 'attendance'
ON CONFLICT DO NOTHING;

INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT DISTINCT student_durable_key, 0, '{{ feed }}' FROM student_course WHERE '{{ feed }}' = 'performance'
ON CONFLICT DO NOTHING;

DELETE FROM data_extent WHERE feed = '{{ feed }}';

-- name: students
DELETE FROM dim_students;

DELETE FROM identity_warning;

UPDATE student_identity SET confirmed_on_key = 0;

-- name: ids
DELETE FROM student_id_change;

-- name: any
DELETE FROM setting WHERE name = 'data_of_tiers';

DELETE FROM row_change WHERE table_name = '{{ table }}';

DELETE FROM load_scope WHERE feed = '{{ feed }}';

DELETE FROM {{ staging }};
