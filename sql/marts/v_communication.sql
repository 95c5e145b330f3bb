-- Messages between school and family with names instead of keys, and the student's version of that day.

-- name: schema
CREATE VIEW v_communication AS
SELECT
    v.student_id AS student_id, -- text: The student's id. [sensitive]
    d.full_date AS full_date, -- date: The day of the message.
    d.school_year AS school_year, -- integer: School year, named by the year in which it ends.
    c.code AS message_type, -- text: Message type as sent, in lower case. [sensitive]
    c.is_two_way AS is_two_way, -- integer: 1 for a message between people, 0 for an automatic reminder. [sensitive]
    f.message_content AS message_content, -- text: The message text. [pii]
    v.grade_level AS grade_level, -- text: Grade level on that day. [sensitive]
    h.school_id AS school_id, -- text: School of enrollment on that day.
    v.homeroom AS homeroom, -- text: Homeroom on that day. [sensitive]
    f.file_id AS file_id, -- integer: The file that first contained these values.
    f.line_no AS line_no, -- integer: The line of that file.
    f.student_durable_key AS student_durable_key -- integer: Durable key of the student, for joins with facts.
FROM fact_communication AS f
JOIN dim_dates AS d ON d.date_key = f.date_key
JOIN dim_message_types AS c ON c.message_type_key = f.message_type_key
{{ student_of_the_day }};
