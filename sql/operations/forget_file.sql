-- Resets the files in `again` to the status received.

-- name: any
UPDATE row_reject SET resent_file_id = NULL, resent_line_no = NULL
WHERE resent_file_id IN (SELECT file_id FROM again);

DELETE FROM staged_file WHERE file_id IN (SELECT file_id FROM again);

DELETE FROM row_reject WHERE file_id IN (SELECT file_id FROM again);

UPDATE ingest_file SET
    status = 'received', reason_code = NULL, reason = NULL, warnings = NULL, columns_found = NULL, rows_read = 0,
    rows_blank = 0, rows_loaded = 0, rows_updated = 0, rows_unchanged = 0, rows_rejected = 0, rows_waiting = 0,
    rows_withdrawn = 0, sweep = NULL, to_correct = NULL, committed_at = NULL
WHERE file_id IN (SELECT file_id FROM again);

UPDATE file_drop SET archived_at = NULL, reported_at = NULL
WHERE file_id IN (SELECT file_id FROM again);
