-- What each load did, row by row: added, changed or withdrawn, with the file and line that did it and, where a value was
-- replaced, what was said before and after. Ask for one file (WHERE file_id = ...) or one student.

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
    c.table_name AS table_name, -- text: The table.
    i.student_id AS student_id, -- text: The student's id. [sensitive]
    c.day_key AS day_key, -- integer: The day that the row is about, yyyymmdd; 0 for undated.
    c.change AS change, -- text: added, changed or withdrawn.
    f.first_name AS file_name, -- text: What the file was called. [sensitive]
    f.received_at AS received_at, -- text: When it came (UTC).
    c.line_no AS line_no, -- integer: The line that did it; 0 when it was the lack of a line.
    c.said_before AS said_before, -- text: What was said before, in words. [pii]
    c.said_after AS said_after, -- text: What is said now, in words. [pii]
    c.file_id AS file_id, -- integer: The file that did it (ingest_file).
    c.student_durable_key AS student_durable_key -- integer: The student, for joining facts.
FROM change AS c
JOIN ingest_file AS f ON f.file_id = c.file_id
JOIN student_identity AS i ON i.student_durable_key = c.student_durable_key;
