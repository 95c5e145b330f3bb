-- Merges staged rows into a fact table, with the same statements for all fact tables. The file of the fact table
-- defines how a staged row is resolved to a fact (`resolve`) and how a row is written in the change log (`in_words`).
--
-- A row of a newer export replaces one of an older export, never the reverse. A row that repeats the existing values
-- changes only `confirmed_file_id`. A row whose student is not known yet waits in the staging table.
--
-- Order: `waiting`; then `incoming` and `upsert`, or `add` of sql/bulk/fact.sql if the files contain only new days; then
-- `keep_waiting`. The temporary table `due` holds the files to merge.
--
-- Names: `table`, its `key` and other columns (`values`; both: `all_columns`), `day`: the column with the day of a row,
-- `has_school`: whether there is a school_key; `staging`: the staging table of the `feed`, `empty_staging`: the statement
-- that empties it; `near`: a condition that limits the facts t to the days of the files, where the key begins with the day.

-- name: row_count
SELECT
    (SELECT COALESCE(SUM(f.rows_loaded), 0) FROM ingest_file AS f WHERE f.feed = '{{ feed }}')
    - (SELECT COUNT(*) FROM row_change AS c WHERE c.table_name = '{{ table }}' AND c.change = 'withdrawn') AS row_count;

-- name: files_ready_again
SELECT DISTINCT s.file_id
FROM {{ staging }} AS s
CROSS JOIN student_alias AS i
WHERE s.file_id IN (SELECT f.file_id FROM ingest_file AS f WHERE f.feed = '{{ feed }}' AND f.status = 'waiting')
  AND i.student_id = s.student_id;

-- name: waiting
CREATE TEMP TABLE waiting AS
SELECT s.file_id, s.line_no
FROM due
JOIN {{ staging }} AS s ON s.file_id = due.file_id
WHERE NOT EXISTS (SELECT 1 FROM student_alias AS i WHERE i.student_id = s.student_id);

-- name: incoming
-- Each row with its outcome: loaded, updated or unchanged. Unchanged are rows with the same key as a newer row of these
-- files (row_rank > 1), rows that a newer snapshot or window does not contain, rows older than the file k that last confirmed
-- the fact, and rows with the same values. A row `confirms` the fact if it is newer than k.
CREATE TEMP TABLE incoming AS
WITH resolved AS (
    {{ resolve }}
),
ranked AS (
    SELECT
        r.*, f.effective_date_key, f.feed,
        ROW_NUMBER() OVER (
            PARTITION BY {{ columns("r", key) }} ORDER BY f.effective_date_key DESC, r.file_id DESC, r.line_no DESC
        ) AS row_rank
    FROM resolved AS r
    JOIN ingest_file AS f ON f.file_id = r.file_id
)
SELECT
    r.*, r.{{ day }} AS day_key,
    CASE
        WHEN r.row_rank > 1 THEN 'unchanged'
        WHEN t.file_id IS NULL AND EXISTS (
            SELECT 1 FROM load_scope AS s
            WHERE s.feed = r.feed AND s.effective_date_key >= r.effective_date_key
              AND (s.effective_date_key, s.file_id) > (r.effective_date_key, r.file_id)
              AND r.{{ day }} BETWEEN s.first_date_key AND s.last_date_key
              AND (s.school_key = -1 OR s.school_key = {{ "r.school_key" if has_school else "-1" }})
        ) THEN 'unchanged'
        WHEN t.file_id IS NULL THEN 'loaded'
        WHEN (k.effective_date_key, k.file_id) > (r.effective_date_key, r.file_id) THEN 'unchanged'
        WHEN {{ differ("t", "r", values) }} THEN 'updated'
        ELSE 'unchanged'
    END AS outcome,
    CASE
        WHEN r.row_rank = 1 AND (k.effective_date_key, k.file_id) < (r.effective_date_key, r.file_id) THEN 1 ELSE 0
    END AS confirms
FROM ranked AS r
LEFT JOIN {{ table }} AS t ON {{ equal("t", "r", key) }} AND {{ near }}
LEFT JOIN ingest_file AS k ON k.file_id = t.confirmed_file_id;

-- name: upsert
-- The change log first: it needs the old row.
INSERT INTO row_change (
    table_name, student_durable_key, day_key, change, file_id, line_no, before_file_id, before_line_no,
    said_before, said_after
)
SELECT
    '{{ table }}', r.student_durable_key, r.day_key, 'changed', r.file_id, r.line_no, t.file_id, t.line_no,
    {{ in_words(row="t") }}, {{ in_words(row="r") }}
FROM incoming AS r
JOIN {{ table }} AS t ON {{ equal("t", "r", key) }}
WHERE r.outcome = 'updated';

INSERT INTO {{ table }} ({{ all_columns | join(", ") }}, file_id, line_no, confirmed_file_id)
SELECT {{ columns("r", all_columns) }}, r.file_id, r.line_no, r.file_id
FROM incoming AS r
WHERE r.outcome IN ('loaded', 'updated')
ON CONFLICT ({{ key | join(", ") }}) DO UPDATE SET
    {% for name in values %}
    {{ name }} = excluded.{{ name }},
    {% endfor %}
    file_id = excluded.file_id, line_no = excluded.line_no, confirmed_file_id = excluded.file_id;

INSERT INTO {{ table }} ({{ all_columns | join(", ") }}, file_id, line_no, confirmed_file_id)
SELECT {{ columns("r", all_columns) }}, r.file_id, r.line_no, r.file_id
FROM incoming AS r
WHERE r.outcome = 'unchanged' AND r.confirms = 1
ON CONFLICT ({{ key | join(", ") }}) DO UPDATE SET confirmed_file_id = excluded.confirmed_file_id;

-- name: keep_waiting
CREATE TEMP TABLE kept AS
SELECT s.* FROM {{ staging }} AS s JOIN waiting AS w ON w.file_id = s.file_id AND w.line_no = s.line_no;

{{ empty_staging }};

INSERT INTO {{ staging }} SELECT * FROM kept;

DROP TABLE kept;
