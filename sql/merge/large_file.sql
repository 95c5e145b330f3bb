-- The merge of one large file whose rows no fact can meet. DuckDB runs these queries on the file's rows, which lie in a
-- Parquet file (`parquet_row`), with the lines of it that contradict each other (`conflict`) and the tables that {resolve}
-- and {waiting} name. They do what `add` and `waiting` of fact.sql do, with the same {resolve}.

-- name: staged
CREATE VIEW {staging} AS
SELECT p.* FROM parquet_row AS p ANTI JOIN conflict AS c ON c.line_no = p.line_no;

-- name: rows
SELECT * FROM {staging};

-- name: examples
SELECT * FROM {staging} WHERE line_no IN ({first_lines});

-- name: waiting
SELECT s.* FROM {staging} AS s ANTI JOIN student_alias AS i ON i.student_id = s.student_id;

-- name: facts
SELECT {r_columns}, r.file_id, r.line_no, r.file_id AS confirmed_file_id
FROM (
    {resolve}
) AS r
WHERE {days}
ORDER BY {key}, r.line_no DESC;

-- name: merged
SELECT
    r.file_id, '{feed}' AS feed, r.student_durable_key, r.{day} // 100 AS month_key,
    0::BIGINT AS loaded, 0::BIGINT AS updated, 0::BIGINT AS unchanged,
    MIN(r.{day}) AS first_date_key, MAX(r.{day}) AS last_date_key, MIN(r.{day}) AS first_changed_key,
    MAX(r.line_no) AS last_changed_line
FROM (
    {resolve}
) AS r
GROUP BY r.file_id, r.student_durable_key, r.{day} // 100;
