-- What the file in `due` is the whole truth of, as far as the warehouse holds it: for a sweep that was held back and is
-- now allowed.

-- name: scope
CREATE TEMP TABLE scope AS
SELECT
    f.file_id, f.feed, f.effective_date_key,
    CASE WHEN f.load_mode = 'snapshot' THEN 0 ELSE MIN(r.{day}) END AS first_date_key,
    CASE WHEN f.load_mode = 'snapshot' THEN 99991231 ELSE MAX(r.{day}) END AS last_date_key,
    n.school_key
FROM due
JOIN ingest_file AS f ON f.file_id = due.file_id
JOIN {table} AS r ON r.confirmed_file_id = f.file_id
JOIN (
    SELECT DISTINCT
        r.confirmed_file_id,
        CASE WHEN MAX({school}) OVER () > 0 THEN {school} ELSE -1 END AS school_key
    FROM {table} AS r
    JOIN due ON due.file_id = r.confirmed_file_id
) AS n ON n.confirmed_file_id = f.file_id
GROUP BY f.file_id, f.feed, f.effective_date_key, f.load_mode, n.school_key;
