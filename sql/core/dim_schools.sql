-- Schools named in the feeds. Key 0 stands for a school that is not given.

-- name: schema
CREATE TABLE dim_schools (
    school_key {{ integer }} PRIMARY KEY, -- Surrogate key.
    school_id  {{ text }} NOT NULL UNIQUE -- The school's id in the source system.
) {{ strict }};

-- name: merge
INSERT INTO dim_schools (school_key, school_id)
SELECT 0, '(not given)' WHERE NOT EXISTS (SELECT 1 FROM dim_schools);

INSERT INTO dim_schools (school_key, school_id)
SELECT (SELECT MAX(school_key) FROM dim_schools) + ROW_NUMBER() OVER (ORDER BY n.school_id), n.school_id
FROM (
    SELECT school_id FROM stg_students
    WHERE EXISTS (SELECT 1 FROM ingest_file WHERE feed = 'students' AND status = 'staged') AND school_id IS NOT NULL
    UNION
    SELECT school_id FROM stg_attendance
    WHERE EXISTS (SELECT 1 FROM ingest_file WHERE feed = 'attendance' AND status = 'staged') AND school_id IS NOT NULL
) AS n
WHERE n.school_id NOT IN (SELECT school_id FROM dim_schools);
