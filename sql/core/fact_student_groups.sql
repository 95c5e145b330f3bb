-- Groups that a district chooses to compare flag rates by: one row per student and kind of group, the newest that was said.
-- No indicator, rule or tier reads this table.

-- name: schema
CREATE TABLE fact_student_groups (
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- The student.
    group_name          {{ text }} NOT NULL, -- What is told apart, in lower case.
    group_value         {{ text }} NOT NULL, -- What the student is in it, as written. [sensitive]
    since_key           {{ integer }} NOT NULL REFERENCES dim_dates (date_key), -- The first day, yyyymmdd.
    file_id             {{ integer }} NOT NULL, -- The file that first said so.
    line_no             {{ integer }} NOT NULL, -- The line of that file.
    confirmed_file_id   {{ integer }} NOT NULL, -- The newest file that said so.
    PRIMARY KEY (student_durable_key, group_name)
) {{ keyed }};

-- name: resolve
SELECT
    s.file_id, s.line_no, i.student_durable_key, s.group_name, s.group_value_label AS group_value,
    COALESCE(s.since_key, f.effective_date_key) AS since_key
FROM due
JOIN ingest_file AS f ON f.file_id = due.file_id
JOIN stg_groups AS s ON s.file_id = f.file_id
JOIN student_alias AS i ON i.student_id = s.student_id;

-- name: in_words
{{ row }}.group_name || ' ' || {{ row }}.group_value;
