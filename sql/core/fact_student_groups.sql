-- Groups by which a district compares flag rates: one row per student and kind of group, with the newest value. No
-- indicator, rule or tier reads this table.

-- name: schema
CREATE TABLE fact_student_groups (
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- Durable key of the student.
    group_name          {{ text }} NOT NULL, -- The kind of group, in lower case.
    group_value         {{ text }} NOT NULL, -- The student's group of that kind, as written. [sensitive]
    since_key           {{ integer }} NOT NULL REFERENCES dim_dates (date_key), -- First day in the group, yyyymmdd.
    file_id             {{ integer }} NOT NULL, -- The file that first contained these values.
    line_no             {{ integer }} NOT NULL, -- The line of that file.
    confirmed_file_id   {{ integer }} NOT NULL, -- The newest file that contains these values.
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
