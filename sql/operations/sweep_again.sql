-- What the file in `due` held, as far as the warehouse has it: for a sweep that was held back and is now allowed.

-- name: incoming
CREATE TEMP TABLE incoming AS
SELECT r.*, f.effective_date_key, f.feed, r.{day} AS day_key
FROM {table} AS r
JOIN ingest_file AS f ON f.file_id = r.confirmed_file_id
JOIN due ON due.file_id = f.file_id;
