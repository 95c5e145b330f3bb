-- Homework statuses: the meaning of every status ever received. Rules: data/reference/dim_homework_statuses.csv. A
-- status that is not in the rules is UNMAPPED and counts neither as done nor as missing.

-- name: schema
CREATE TABLE dim_homework_statuses (
    homework_status_key {{ integer }} PRIMARY KEY, -- Surrogate key.
    code                {{ text }} NOT NULL UNIQUE, -- The status, in lower case.
    category            {{ text }} NOT NULL, -- DONE, MISSING, PENDING, EXEMPT or UNMAPPED.
    description         {{ text }} -- Description.
) {{ strict }};

-- name: merge
CREATE TEMP TABLE changed_code AS
SELECT d.homework_status_key
FROM dim_homework_statuses AS d
LEFT JOIN reference AS r ON r.code = d.code
WHERE d.category <> COALESCE(r.category, 'UNMAPPED');

UPDATE dim_homework_statuses SET
    category = COALESCE((SELECT r.category FROM reference AS r WHERE r.code = dim_homework_statuses.code), 'UNMAPPED'),
    description = (SELECT r.description FROM reference AS r WHERE r.code = dim_homework_statuses.code)
WHERE homework_status_key IN (SELECT homework_status_key FROM changed_code);

INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT DISTINCT f.student_durable_key, f.due_date_key / 100, 'homework'
FROM fact_homework AS f
WHERE EXISTS (SELECT 1 FROM changed_code) AND f.homework_status_key IN (SELECT homework_status_key FROM changed_code)
ON CONFLICT DO NOTHING;

DROP TABLE changed_code;

INSERT INTO dim_homework_statuses (homework_status_key, code, category, description)
SELECT
    (SELECT COALESCE(MAX(homework_status_key), 0) FROM dim_homework_statuses) + ROW_NUMBER() OVER (ORDER BY n.code),
    n.code, COALESCE(r.category, 'UNMAPPED'), r.description
FROM (
    SELECT code FROM reference
    UNION
    SELECT status FROM stg_homework WHERE EXISTS (SELECT 1 FROM ingest_file WHERE feed = 'homework' AND status = 'staged')
) AS n
LEFT JOIN reference AS r ON r.code = n.code
WHERE n.code NOT IN (SELECT code FROM dim_homework_statuses);
