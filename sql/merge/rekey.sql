-- Moves the facts of one student to another, for declared id changes. The temporary table `rekey` has the old and new
-- durable keys. If both students have a row with the same key, the row confirmed by the newer export is kept and the
-- other is withdrawn. Names: as in fact.sql; `others` is the key without the student.

-- name: move
CREATE TEMP TABLE twofold AS
SELECT
    r.from_key, r.to_key, r.file_id AS change_file_id, r.line_no AS change_line_no, {{ columns("f", others) }},
    CASE
        WHEN (kf.effective_date_key, kf.file_id) > (kt.effective_date_key, kt.file_id) THEN r.to_key
        ELSE r.from_key
    END AS loser
FROM rekey AS r
JOIN {{ table }} AS f ON f.student_durable_key = r.from_key
JOIN {{ table }} AS t ON t.student_durable_key = r.to_key AND {{ equal("t", "f", others) }}
JOIN ingest_file AS kf ON kf.file_id = f.confirmed_file_id
JOIN ingest_file AS kt ON kt.file_id = t.confirmed_file_id;

INSERT INTO row_change (
    table_name, student_durable_key, day_key, change, file_id, line_no, before_file_id, before_line_no,
    said_before, said_after
)
SELECT
    '{{ table }}', w.to_key, t.{{ day }}, 'withdrawn', w.change_file_id, w.change_line_no, t.file_id, t.line_no,
    {{ in_words(row="t") }}, NULL
FROM twofold AS w
JOIN {{ table }} AS t ON t.student_durable_key = w.loser AND {{ equal("t", "w", others) }};

DELETE FROM {{ table }}
WHERE (student_durable_key, {{ others | join(", ") }}) IN (SELECT w.loser, {{ columns("w", others) }} FROM twofold AS w);

UPDATE {{ table }} SET student_durable_key = r.to_key
FROM rekey AS r
WHERE {{ table }}.student_durable_key = r.from_key;

DROP TABLE twofold;
