-- Homework rows with names instead of keys, and the student's version of the due day.

-- name: schema
CREATE VIEW v_homework AS
SELECT
    v.student_id AS student_id, -- text: The student's id. [sensitive]
    d.full_date AS full_date, -- date: The due day.
    d.school_year AS school_year, -- integer: School year, named by the year in which it ends.
    b.subject AS subject, -- text: The subject.
    f.assignment AS assignment, -- text: Name of the assignment.
    c.code AS status, -- text: Homework status as sent, in lower case. [sensitive]
    c.category AS category, -- text: Category of the status. [sensitive]
    f.grade_feedback AS grade_feedback, -- text: Grade or feedback. [sensitive]
    f.guardian_signature AS guardian_signature, -- integer: 1 signed, 0 not signed, null if not given. [sensitive]
    v.grade_level AS grade_level, -- text: Grade level on that day. [sensitive]
    h.school_id AS school_id, -- text: School of enrollment on that day.
    v.homeroom AS homeroom, -- text: Homeroom on that day. [sensitive]
    f.file_id AS file_id, -- integer: The file that first contained these values.
    f.line_no AS line_no, -- integer: The line of that file.
    f.student_durable_key AS student_durable_key -- integer: Durable key of the student, for joins with facts.
FROM fact_homework AS f
JOIN dim_dates AS d ON d.date_key = f.due_date_key
JOIN dim_subjects AS b ON b.subject_key = f.subject_key
JOIN dim_homework_statuses AS c ON c.homework_status_key = f.homework_status_key
{{ student_of_the_day }};
