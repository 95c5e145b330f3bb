-- Withdraws the facts that are missing from a snapshot or window: a file that is complete for its days, or for all
-- days. The days and schools that it covers are its scope. Rows of older files within the scope that the file does not
-- contain have vanished. Students with a rejected row in the file are left out. Names: as in fact.sql.

-- name: scope
-- `is_loaded`: the rows of the file are no longer in the staging table, because its withdrawal was held and is now allowed.
{% set rows, file = (table, "confirmed_file_id") if is_loaded else (staging, "file_id") %}
CREATE TEMP TABLE scope AS
SELECT
    f.file_id, f.feed, f.effective_date_key,
    CASE WHEN f.load_mode = 'snapshot' THEN 0 ELSE MIN(s.{{ day }}) END AS first_date_key,
    CASE WHEN f.load_mode = 'snapshot' THEN 99991231 ELSE MAX(s.{{ day }}) END AS last_date_key,
    n.school_key
FROM due
JOIN ingest_file AS f ON f.file_id = due.file_id
JOIN {{ rows }} AS s ON s.{{ file }} = f.file_id
JOIN (
    {{ schools }}
) AS n ON n.file_id = f.file_id
WHERE f.load_mode = 'snapshot' OR s.{{ day }} IS NOT NULL
GROUP BY f.file_id, f.feed, f.effective_date_key, f.load_mode, n.school_key;

-- name: schools
-- The schools that a file covers: those it names, or all (-1).
{% if is_loaded and has_school %}
SELECT DISTINCT due.file_id, CASE WHEN MAX(r.school_key) OVER () > 0 THEN r.school_key ELSE -1 END AS school_key
FROM due
JOIN {{ table }} AS r ON r.confirmed_file_id = due.file_id
{% elif names_school %}
SELECT DISTINCT
    s.file_id,
    CASE
        WHEN MAX(COALESCE(h.school_key, 0)) OVER (PARTITION BY s.file_id) > 0 THEN COALESCE(h.school_key, 0)
        ELSE -1
    END AS school_key
FROM due
JOIN {{ staging }} AS s ON s.file_id = due.file_id
LEFT JOIN dim_schools AS h ON h.school_id = s.school_id
{% else %}
SELECT due.file_id, -1 AS school_key FROM due
{% endif %}

-- name: vanished
CREATE TEMP TABLE vanished AS
SELECT
    t.student_durable_key, t.{{ day }} AS day_key, t.file_id, t.line_no, s.file_id AS scope_file_id, s.feed,
    {{ columns("t", key | reject("equalto", "student_durable_key") | list) }}
FROM scope AS s
JOIN {{ table }} AS t
    ON t.{{ day }} BETWEEN s.first_date_key AND s.last_date_key
    AND (s.school_key = -1 OR s.school_key = {{ "t.school_key" if has_school else "-1" }})
JOIN ingest_file AS k ON k.file_id = t.confirmed_file_id
WHERE (k.effective_date_key, k.file_id) < (s.effective_date_key, s.file_id)
  AND NOT EXISTS (
      SELECT 1 FROM row_reject AS x JOIN student_alias AS a ON a.student_id = x.student_id
      WHERE x.file_id = s.file_id AND a.student_durable_key = t.student_durable_key
  );

-- name: covered
SELECT COUNT(*) AS row_count
FROM scope AS s
JOIN {{ table }} AS t
    ON t.{{ day }} BETWEEN s.first_date_key AND s.last_date_key
    AND (s.school_key = -1 OR s.school_key = {{ "t.school_key" if has_school else "-1" }});

-- name: withdraw
INSERT INTO row_change (
    table_name, student_durable_key, day_key, change, file_id, line_no, before_file_id, before_line_no,
    said_before, said_after
)
SELECT
    '{{ table }}', t.student_durable_key, r.day_key, 'withdrawn', r.scope_file_id, 0, t.file_id, t.line_no,
    {{ in_words(row="t") }}, NULL
FROM vanished AS r
JOIN {{ table }} AS t ON {{ equal("t", "r", key) }};

DELETE FROM {{ table }} WHERE ({{ key | join(", ") }}) IN (SELECT {{ columns("v", key) }} FROM vanished AS v);

INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT DISTINCT v.student_durable_key, v.day_key / 100, v.feed FROM vanished AS v WHERE 1 = 1
ON CONFLICT DO NOTHING;

INSERT INTO touched_student (student_durable_key, file_id, line_no)
SELECT DISTINCT v.student_durable_key, v.scope_file_id, 0 FROM vanished AS v WHERE 1 = 1
ON CONFLICT (student_durable_key) DO UPDATE SET file_id = excluded.file_id, line_no = excluded.line_no;

INSERT INTO load_scope (file_id, school_key, feed, effective_date_key, first_date_key, last_date_key)
SELECT s.file_id, s.school_key, s.feed, s.effective_date_key, s.first_date_key, s.last_date_key FROM scope AS s;

UPDATE ingest_file SET
    sweep = 'done',
    rows_withdrawn = (SELECT COUNT(*) FROM vanished AS v WHERE v.scope_file_id = ingest_file.file_id)
WHERE file_id IN (SELECT s.file_id FROM scope AS s);

-- name: shrink_extent
UPDATE data_extent SET
    first_date_key = (SELECT MIN(t.{{ day }}) FROM {{ table }} AS t),
    last_date_key = (SELECT MAX(t.{{ day }}) FROM {{ table }} AS t)
WHERE feed IN (SELECT v.feed FROM vanished AS v)
  AND EXISTS (SELECT 1 FROM {{ table }})
  AND EXISTS (
      SELECT 1 FROM vanished AS v
      WHERE v.feed = data_extent.feed AND v.day_key IN (data_extent.first_date_key, data_extent.last_date_key)
  );

DELETE FROM data_extent
WHERE feed IN (SELECT v.feed FROM vanished AS v) AND NOT EXISTS (SELECT 1 FROM {{ table }});
