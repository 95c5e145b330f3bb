-- Communication: one row per student, day, type and text of a message between school and family.

-- name: schema
CREATE TABLE fact_communication (
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- Durable key of the student.
    date_key            {{ integer }} NOT NULL REFERENCES dim_dates (date_key), -- The day of the message.
    message_type_key    {{ integer }} NOT NULL REFERENCES dim_message_types (message_type_key), -- The message type.
    content_hash        {{ bigint }} NOT NULL, -- Fingerprint of the text, which distinguishes messages of the same day.
    message_content     {{ text }}, -- The message text. [pii]
    file_id             {{ integer }} NOT NULL, -- The file that first contained these values.
    line_no             {{ integer }} NOT NULL, -- The line of that file.
    confirmed_file_id   {{ integer }} NOT NULL, -- The newest file that contains these values.
    PRIMARY KEY (student_durable_key, date_key, message_type_key, content_hash)
) {{ keyed }};

-- name: resolve
SELECT
    s.file_id, s.line_no, i.student_durable_key, s.date_key, c.message_type_key, s.content_hash, s.message_content
FROM due
JOIN stg_communication AS s ON s.file_id = due.file_id
JOIN student_alias AS i ON i.student_id = s.student_id
LEFT JOIN dim_message_types AS c ON c.code = s.message_type;

-- name: in_words
{{ row }}.message_content;
