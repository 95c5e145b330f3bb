-- Attendance codes: the meaning of every code ever received. Rules: data/reference/dim_attendance_codes.csv. A code
-- that is not in the rules is UNMAPPED: it lowers the coverage, but not the rate. Adding it to the rules also corrects
-- past figures.

-- name: schema
CREATE TABLE dim_attendance_codes (
    attendance_code_key {{ integer }} PRIMARY KEY, -- Surrogate key.
    code                {{ text }} NOT NULL UNIQUE, -- The code, in lower case.
    category            {{ text }} NOT NULL, -- PRESENT, LATE, LEFT_EARLY, PARTIAL, ABSENT, EXCUSED, SUSPENDED, NO_SCHOOL or UNMAPPED.
    absent_share_pct    {{ integer }}, -- Share of the day or period missed, percent 0-100; null for NO_SCHOOL and UNMAPPED.
    is_excused          {{ integer }}, -- 1 if the absence is excused.
    description         {{ text }} -- Description.
) {{ strict }};

-- name: merge
CREATE TEMP TABLE changed_code AS
SELECT d.attendance_code_key
FROM dim_attendance_codes AS d
LEFT JOIN reference AS r ON r.code = d.code
WHERE d.category <> COALESCE(r.category, 'UNMAPPED')
   OR d.absent_share_pct IS DISTINCT FROM CAST(r.absent_share_pct AS INTEGER)
   OR d.is_excused IS DISTINCT FROM CAST(r.excused AS INTEGER);

UPDATE dim_attendance_codes SET
    category = COALESCE((SELECT r.category FROM reference AS r WHERE r.code = dim_attendance_codes.code), 'UNMAPPED'),
    absent_share_pct = (SELECT CAST(r.absent_share_pct AS INTEGER) FROM reference AS r WHERE r.code = dim_attendance_codes.code),
    is_excused = (SELECT CAST(r.excused AS INTEGER) FROM reference AS r WHERE r.code = dim_attendance_codes.code),
    description = (SELECT r.description FROM reference AS r WHERE r.code = dim_attendance_codes.code)
WHERE attendance_code_key IN (SELECT attendance_code_key FROM changed_code);

INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT DISTINCT f.student_durable_key, f.date_key / 100, 'attendance'
FROM fact_attendance AS f
WHERE EXISTS (SELECT 1 FROM changed_code) AND f.attendance_code_key IN (SELECT attendance_code_key FROM changed_code)
ON CONFLICT DO NOTHING;

DROP TABLE changed_code;

INSERT INTO dim_attendance_codes (attendance_code_key, code, category, absent_share_pct, is_excused, description)
SELECT
    (SELECT COALESCE(MAX(attendance_code_key), 0) FROM dim_attendance_codes) + ROW_NUMBER() OVER (ORDER BY n.code),
    n.code, COALESCE(r.category, 'UNMAPPED'), CAST(r.absent_share_pct AS INTEGER), CAST(r.excused AS INTEGER), r.description
FROM (
    SELECT code FROM reference
    UNION
    SELECT attendance_status FROM stg_attendance WHERE EXISTS (SELECT 1 FROM ingest_file WHERE feed = 'attendance' AND status = 'staged')
) AS n
LEFT JOIN reference AS r ON r.code = n.code
WHERE n.code NOT IN (SELECT code FROM dim_attendance_codes);
