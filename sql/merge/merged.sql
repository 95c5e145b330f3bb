-- Counts the outcomes of the rows in `incoming` per file, student and month, for the ledger and the marts.

-- name: count
CREATE TEMP TABLE merged AS
SELECT
    file_id, feed, student_durable_key, day_key / 100 AS month_key,
    COUNT(*) FILTER (WHERE outcome = 'loaded') AS loaded,
    COUNT(*) FILTER (WHERE outcome = 'updated') AS updated,
    COUNT(*) FILTER (WHERE outcome = 'unchanged') AS unchanged,
    MIN(day_key) AS first_date_key, MAX(day_key) AS last_date_key,
    MIN(CASE WHEN outcome <> 'unchanged' THEN day_key END) AS first_changed_key,
    MAX(CASE WHEN outcome <> 'unchanged' THEN line_no END) AS last_changed_line
FROM incoming
GROUP BY file_id, feed, student_durable_key, day_key / 100;
