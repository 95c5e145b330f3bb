-- Adds the rows of one large file to a fact table without facts that they may update. DuckDB runs these queries on the
-- file's rows in a Parquet file (`parquet_row`), on its lines that contradict each other (`conflict`) and on the tables
-- that `resolve` reads. They do the same as `add` in sql/bulk/fact.sql and `waiting` in sql/merge/fact.sql, with the
-- same `resolve`.

-- name: staged
CREATE VIEW {{ staging }} AS
SELECT p.* FROM parquet_row AS p ANTI JOIN conflict AS c ON c.line_no = p.line_no;

-- name: rows
SELECT s.* FROM {{ staging }} AS s;

-- name: examples
-- Sample rows in which each code, label and school of the file occurs.
SELECT s.*
FROM {{ staging }} AS s
WHERE s.line_no IN (
    {% for name in naming_columns %}
    SELECT MIN(n.line_no) FROM {{ staging }} AS n GROUP BY n.{{ name }}
    UNION ALL
    {% endfor %}
    SELECT NULL
);

-- name: waiting
SELECT s.* FROM {{ staging }} AS s ANTI JOIN student_alias AS i ON i.student_id = s.student_id;

-- name: facts
SELECT {{ columns("r", all_columns) }}, r.file_id, r.line_no, r.file_id AS confirmed_file_id
FROM (
    {{ resolve }}
) AS r
WHERE {{ days }}
ORDER BY {{ columns("r", key) }}, r.line_no DESC;

-- name: merged
SELECT
    r.file_id, '{{ feed }}' AS feed, r.student_durable_key, r.{{ day }} // 100 AS month_key,
    0::BIGINT AS loaded, 0::BIGINT AS updated, 0::BIGINT AS unchanged,
    MIN(r.{{ day }}) AS first_date_key, MAX(r.{{ day }}) AS last_date_key, MIN(r.{{ day }}) AS first_changed_key,
    MAX(r.line_no) AS last_changed_line
FROM (
    {{ resolve }}
) AS r
GROUP BY r.file_id, r.student_durable_key, r.{{ day }} // 100;
