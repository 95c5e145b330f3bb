-- Changes made by each load, row by row: added, changed or withdrawn, with the file and line that caused the change
-- and, for replaced values, the previous and new value. Filter by file (WHERE file_id = ...) or student.

-- name: schema
CREATE VIEW v_changes AS
WITH standing AS (
    {% for fact in facts %}
    SELECT '{{ fact.name }}' AS table_name, student_durable_key, {{ fact.day_column }} AS day_key, file_id, line_no
    FROM {{ fact.name }}
    UNION ALL
    {% endfor %}
    SELECT 'dim_students' AS table_name, s.student_durable_key, d.date_key, s.file_id, s.line_no
    FROM dim_students AS s
    JOIN dim_dates AS d ON d.full_date = s.valid_from
    UNION ALL
    SELECT table_name, student_durable_key, day_key, before_file_id, before_line_no FROM row_change
),
change AS (
    SELECT
        s.table_name, s.student_durable_key, s.day_key, 'added' AS change, s.file_id, s.line_no,
        NULL AS said_before, NULL AS said_after
    FROM standing AS s
    WHERE NOT EXISTS (
        SELECT 1 FROM row_change AS c
        WHERE c.file_id = s.file_id AND c.line_no = s.line_no AND c.table_name = s.table_name
    )
    UNION ALL
    SELECT table_name, student_durable_key, day_key, change, file_id, line_no, said_before, said_after FROM row_change
)
SELECT
    c.table_name AS table_name, -- text: Table of the row.
    i.student_id AS student_id, -- text: The student's id. [sensitive]
    c.day_key AS day_key, -- integer: Day of the row, yyyymmdd; 0 if undated.
    c.change AS change, -- text: added, changed or withdrawn.
    f.first_name AS file_name, -- text: Name of the file. [sensitive]
    f.received_at AS received_at, -- text: Time of arrival (UTC).
    c.line_no AS line_no, -- integer: The line that caused the change; 0 if a missing line did.
    c.said_before AS said_before, -- text: Previous value, as text. [pii]
    c.said_after AS said_after, -- text: New value, as text. [pii]
    c.file_id AS file_id, -- integer: The file that caused the change (ingest_file).
    c.student_durable_key AS student_durable_key -- integer: Durable key of the student, for joins with facts.
FROM change AS c
JOIN ingest_file AS f ON f.file_id = c.file_id
JOIN student_identity AS i ON i.student_durable_key = c.student_durable_key;
