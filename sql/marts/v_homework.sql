-- Homework row by row with words instead of keys, and each student as of the day it was due.

-- name: schema
CREATE VIEW v_homework AS
SELECT
    v.student_id AS student_id, -- text: The student's id. [sensitive]
    d.full_date AS full_date, -- date: The day it is due.
    d.school_year AS school_year, -- integer: School year, named by the year it ends in.
    b.subject AS subject, -- text: The subject.
    f.assignment AS assignment, -- text: Name of the assignment.
    c.code AS status, -- text: The status as sent, in lower case. [sensitive]
    c.category AS category, -- text: What it means. [sensitive]
    f.grade_feedback AS grade_feedback, -- text: Grade or feedback. [sensitive]
    f.guardian_signature AS guardian_signature, -- integer: 1 signed, 0 not signed, missing when not said. [sensitive]
    v.grade_level AS grade_level, -- text: Grade level on that day. [sensitive]
    h.school_id AS school_id, -- text: School of enrolment on that day.
    v.homeroom AS homeroom, -- text: Homeroom on that day. [sensitive]
    f.file_id AS file_id, -- integer: The file that first said so.
    f.line_no AS line_no, -- integer: The line of that file.
    f.student_durable_key AS student_durable_key -- integer: The student, for joining facts.
FROM fact_homework AS f
JOIN dim_dates AS d ON d.date_key = f.due_date_key
JOIN dim_subjects AS b ON b.subject_key = f.subject_key
JOIN dim_homework_statuses AS c ON c.homework_status_key = f.homework_status_key
{{ student_of_the_day }};
