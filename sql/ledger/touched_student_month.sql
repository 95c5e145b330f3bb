-- Which months of which students changed and are not yet in student_attendance_month, student_month and student_course.

-- name: schema
CREATE TABLE touched_student_month (
    student_durable_key {integer} NOT NULL, -- The student.
    month_key           {integer} NOT NULL, -- The month, yyyymm; 0 for undated scores.
    feed                {text} NOT NULL, -- Which feed changed.
    PRIMARY KEY (student_durable_key, month_key, feed)
) {keyed};

-- name: after_merge
INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT DISTINCT student_durable_key, day_key / 100, feed FROM incoming WHERE outcome IN ('loaded', 'updated')
ON CONFLICT DO NOTHING;
