-- Every refused row with its file, line, column, value and reason: what to correct and send again.

-- name: schema
CREATE VIEW v_rejected_rows AS
SELECT
    f.first_name AS file_name, -- text: What the file was called. [sensitive]
    f.feed AS feed, -- text: The feed.
    f.received_at AS received_at, -- text: When it came (UTC).
    f.status AS file_status, -- text: loaded or waiting: the other rows are in. quarantined: nothing of the file is.
    r.line_no AS line_no, -- integer: The line that the row begins on.
    r.column_name AS column_name, -- text: The column, or (row) for the whole row.
    r.value AS value, -- text: The cell as it came. [pii]
    r.reason_code AS reason_code, -- text: Why: a code.
    r.reason AS reason, -- text: Why, and what to do.
    r.student_id AS student_id, -- text: The student, where the row says it. [sensitive]
    CASE WHEN r.resent_file_id IS NULL THEN 1 ELSE 0 END AS is_open, -- integer: 1 until the row is sent again.
    r.resent_file_id AS resent_file_id, -- integer: The file that brought the row again (ingest_file).
    r.resent_line_no AS resent_line_no, -- integer: The line of that file.
    r.file_id AS file_id -- integer: The file (ingest_file).
FROM row_reject AS r
JOIN ingest_file AS f ON f.file_id = r.file_id;
