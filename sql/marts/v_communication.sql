-- Messages between school and family row by row with words instead of keys, and each student as of the day.

-- name: schema
CREATE VIEW v_communication AS
SELECT
    v.student_id AS student_id, -- text: The student's id. [sensitive]
    d.full_date AS full_date, -- date: The day of the message.
    d.school_year AS school_year, -- integer: School year, named by the year it ends in.
    c.code AS message_type, -- text: The type as sent, in lower case. [sensitive]
    c.is_two_way AS is_two_way, -- integer: 1 for a message between people; automatic reminders are none. [sensitive]
    f.message_content AS message_content, -- text: The text. [pii]
    v.grade_level AS grade_level, -- text: Grade level on that day. [sensitive]
    h.school_id AS school_id, -- text: School of enrolment on that day.
    v.homeroom AS homeroom, -- text: Homeroom on that day. [sensitive]
    f.file_id AS file_id, -- integer: The file that first said so.
    f.line_no AS line_no, -- integer: The line of that file.
    f.student_durable_key AS student_durable_key -- integer: The student, for joining facts.
FROM fact_communication AS f
JOIN dim_dates AS d ON d.date_key = f.date_key
JOIN dim_message_types AS c ON c.message_type_key = f.message_type_key
{{ student_of_the_day }};
