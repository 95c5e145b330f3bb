-- Every rejected row with its file, line, column, value and reason, to be corrected and sent again.

-- name: schema
CREATE VIEW v_rejected_rows AS
SELECT
    f.first_name AS file_name, -- text: Name of the file. [sensitive]
    f.feed AS feed, -- text: The feed.
    f.received_at AS received_at, -- text: Time of arrival (UTC).
    f.status AS file_status, -- text: loaded or waiting: the other rows were loaded. quarantined: no row was loaded.
    r.line_no AS line_no, -- integer: The line on which the row begins.
    r.column_name AS column_name, -- text: The column, or (row) for the whole row.
    r.value AS value, -- text: Original content of the cell. [pii]
    r.reason_code AS reason_code, -- text: Reason code.
    r.reason AS reason, -- text: Reason, and what to do.
    r.student_id AS student_id, -- text: Student id, if the row contains one. [sensitive]
    CASE WHEN r.resent_file_id IS NULL THEN 1 ELSE 0 END AS is_open, -- integer: 1 until the row is sent again.
    r.resent_file_id AS resent_file_id, -- integer: The file that contained the row again (ingest_file).
    r.resent_line_no AS resent_line_no, -- integer: The line of that file.
    r.file_id AS file_id -- integer: The file (ingest_file).
FROM row_reject AS r
JOIN ingest_file AS f ON f.file_id = r.file_id;
