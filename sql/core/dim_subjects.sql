-- Subjects of all feeds. Names and core courses: data/reference/dim_subjects.csv. A subject that is not in the rules
-- keeps its own name and counts as core.

-- name: schema
CREATE TABLE dim_subjects (
    subject_key {{ integer }} PRIMARY KEY, -- Surrogate key; 0 stands for the whole day.
    code        {{ text }} NOT NULL UNIQUE, -- The subject, in lower case.
    subject     {{ text }} NOT NULL, -- The subject.
    is_core     {{ integer }} NOT NULL -- 1 if failing it counts as a course failure.
) {{ strict }};

-- name: merge
CREATE TEMP TABLE changed_code AS
SELECT d.subject_key
FROM dim_subjects AS d
JOIN reference AS r ON r.code = d.code
WHERE r.subject <> d.subject OR CAST(r.is_core AS INTEGER) <> d.is_core;

UPDATE dim_subjects SET
    subject = (SELECT r.subject FROM reference AS r WHERE r.code = dim_subjects.code),
    is_core = (SELECT CAST(r.is_core AS INTEGER) FROM reference AS r WHERE r.code = dim_subjects.code)
WHERE subject_key IN (SELECT subject_key FROM changed_code);

INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT DISTINCT f.student_durable_key, 0, 'performance'
FROM fact_performance AS f
WHERE EXISTS (SELECT 1 FROM changed_code) AND f.subject_key IN (SELECT subject_key FROM changed_code)
ON CONFLICT DO NOTHING;

DROP TABLE changed_code;

INSERT INTO dim_subjects (subject_key, code, subject, is_core)
SELECT 0, 'all day', 'All day', 0 WHERE NOT EXISTS (SELECT 1 FROM dim_subjects);

INSERT INTO dim_subjects (subject_key, code, subject, is_core)
SELECT
    (SELECT MAX(subject_key) FROM dim_subjects) + ROW_NUMBER() OVER (ORDER BY n.code),
    n.code, COALESCE(MAX(r.subject), MIN(n.label)), COALESCE(MAX(CAST(r.is_core AS INTEGER)), 1)
FROM (
    SELECT code, subject AS label FROM reference
    UNION ALL
    SELECT DISTINCT subject, subject_label FROM stg_attendance
    WHERE EXISTS (SELECT 1 FROM ingest_file WHERE feed = 'attendance' AND status = 'staged') AND subject IS NOT NULL
    UNION ALL
    SELECT DISTINCT subject, subject_label FROM stg_performance
    WHERE EXISTS (SELECT 1 FROM ingest_file WHERE feed = 'performance' AND status = 'staged')
    UNION ALL
    SELECT DISTINCT subject, subject_label FROM stg_homework
    WHERE EXISTS (SELECT 1 FROM ingest_file WHERE feed = 'homework' AND status = 'staged')
) AS n
LEFT JOIN reference AS r ON r.code = n.code
WHERE n.code NOT IN (SELECT code FROM dim_subjects)
GROUP BY n.code;
