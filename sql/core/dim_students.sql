-- Students, one row per version (slowly changing dimension, type 2).
-- Grade level, school and homeroom open a new version from the export's effective day; name, date of birth and
-- contact are corrected in place. A blank never erases what is known; an older export never reopens history.

-- name: schema
CREATE TABLE dim_students (
    student_key         {integer} PRIMARY KEY, -- Surrogate key of the version.
    student_durable_key {integer} NOT NULL REFERENCES student_identity (student_durable_key), -- The student, the same in all versions: facts refer to it.
    student_id          {text} NOT NULL, -- The id in the source system (natural key). [sensitive]
    full_name           {text} NOT NULL, -- Full name. [pii]
    date_of_birth       {date}, -- Date of birth. [pii]
    grade_level         {text}, -- Grade level, as dim_grade_levels names it. [sensitive]
    grade_sort_order    {integer}, -- For ordering grade levels; Kindergarten is 0.
    school_key          {integer} NOT NULL REFERENCES dim_schools (school_key), -- School of enrolment.
    homeroom            {text}, -- Homeroom. [sensitive]
    emergency_contact   {text}, -- Emergency contact. [pii]
    email               {text}, -- E-mail address. [pii]
    valid_from          {date} NOT NULL, -- First day of the version.
    valid_to            {date} NOT NULL, -- First day after the version; 9999-12-31 while it is current.
    is_current          {integer} NOT NULL, -- 1 for the current version.
    file_id             {integer} NOT NULL REFERENCES ingest_file (file_id), -- The file it came from.
    line_no             {integer} NOT NULL -- The line of that file.
) {strict};
CREATE UNIQUE INDEX dim_students_version ON dim_students (student_durable_key, valid_from);
CREATE UNIQUE INDEX dim_students_current ON dim_students (student_durable_key) WHERE is_current = 1;
CREATE INDEX dim_students_by_id ON dim_students (student_id);

-- name: slices
SELECT DISTINCT s.file_id, COALESCE(s.effective_date_key, f.effective_date_key) AS effective_date_key
FROM stg_students AS s
JOIN ingest_file AS f ON f.file_id = s.file_id
WHERE f.status = 'staged'
ORDER BY 2, 1;

-- name: merge
INSERT INTO student_identity (student_durable_key, student_id, confirmed_on_key)
SELECT
    (SELECT COALESCE(MAX(student_durable_key), 0) FROM student_identity) + ROW_NUMBER() OVER (ORDER BY n.student_id),
    n.student_id, 0
FROM (
    SELECT DISTINCT s.student_id
    FROM stg_students AS s
    JOIN slice ON slice.file_id = s.file_id
    WHERE s.student_id NOT IN (SELECT student_id FROM student_identity)
) AS n;

CREATE TEMP TABLE incoming AS
WITH slice_rows AS (
    SELECT
        s.*, i.student_durable_key, i.confirmed_on_key, d.full_date AS effective_on,
        slice.effective_date_key AS slice_date_key,
        ROW_NUMBER() OVER (PARTITION BY s.student_id ORDER BY s.line_no) AS occurrence
    FROM slice
    JOIN ingest_file AS f ON f.file_id = slice.file_id
    JOIN stg_students AS s ON s.file_id = f.file_id
        AND COALESCE(s.effective_date_key, f.effective_date_key) = slice.effective_date_key
    JOIN student_identity AS i ON i.student_id = s.student_id
    JOIN dim_dates AS d ON d.date_key = slice.effective_date_key
),
known AS (
    SELECT
        r.file_id, r.line_no, r.student_durable_key, r.student_id, r.effective_on, r.slice_date_key,
        r.full_name,
        COALESCE(r.date_of_birth, c.date_of_birth) AS date_of_birth,
        CASE WHEN r.grade_level IS NULL THEN c.grade_level ELSE COALESCE(g.grade_level, r.grade_level) END AS grade_level,
        CASE WHEN r.grade_level IS NULL THEN c.grade_sort_order ELSE g.sort_order END AS grade_sort_order,
        COALESCE(h.school_key, c.school_key, 0) AS school_key,
        COALESCE(r.homeroom, c.homeroom) AS homeroom,
        COALESCE(r.emergency_contact, c.emergency_contact) AS emergency_contact,
        COALESCE(r.email, c.email) AS email,
        CASE
            WHEN r.occurrence > 1 THEN 'repeated'
            WHEN c.student_key IS NULL THEN 'new'
            WHEN r.confirmed_on_key > r.slice_date_key THEN 'older'
            ELSE 'known'
        END AS standing,
        c.valid_from AS current_from, c.full_name AS current_name, c.date_of_birth AS current_birth,
        c.grade_level AS current_grade, c.school_key AS current_school, c.homeroom AS current_homeroom,
        c.emergency_contact AS current_contact, c.email AS current_email
    FROM slice_rows AS r
    LEFT JOIN dim_students AS c ON c.student_durable_key = r.student_durable_key AND c.is_current = 1
    LEFT JOIN dim_grade_levels AS g ON g.code = r.grade_level
    LEFT JOIN dim_schools AS h ON h.school_id = r.school_id
),
compared AS (
    SELECT
        k.*,
        CASE WHEN k.standing = 'known' AND (
            k.grade_level IS DISTINCT FROM k.current_grade
            OR k.school_key IS DISTINCT FROM k.current_school
            OR k.homeroom IS DISTINCT FROM k.current_homeroom
        ) THEN 1 ELSE 0 END AS moved,
        CASE WHEN k.standing = 'known' AND (
            k.full_name IS DISTINCT FROM k.current_name
            OR k.date_of_birth IS DISTINCT FROM k.current_birth
            OR k.emergency_contact IS DISTINCT FROM k.current_contact
            OR k.email IS DISTINCT FROM k.current_email
        ) THEN 1 ELSE 0 END AS corrected
    FROM known AS k
)
SELECT
    c.*,
    CASE
        WHEN c.standing = 'new' THEN 'loaded'
        WHEN c.moved = 1 OR c.corrected = 1 THEN 'updated'
        ELSE 'unchanged'
    END AS outcome,
    CASE WHEN c.standing = 'new' OR (c.moved = 1 AND c.effective_on > c.current_from) THEN 1 ELSE 0 END AS opens_version
FROM compared AS c;

UPDATE dim_students SET
    full_name = i.full_name, date_of_birth = i.date_of_birth,
    emergency_contact = i.emergency_contact, email = i.email, file_id = i.file_id, line_no = i.line_no
FROM incoming AS i
WHERE i.corrected = 1 AND dim_students.student_durable_key = i.student_durable_key;

UPDATE dim_students SET
    grade_level = i.grade_level, grade_sort_order = i.grade_sort_order, school_key = i.school_key,
    homeroom = i.homeroom, file_id = i.file_id, line_no = i.line_no
FROM incoming AS i
WHERE i.moved = 1 AND i.opens_version = 0
  AND dim_students.student_durable_key = i.student_durable_key AND dim_students.is_current = 1;

UPDATE dim_students SET valid_to = i.effective_on, is_current = 0
FROM incoming AS i
WHERE i.moved = 1 AND i.opens_version = 1
  AND dim_students.student_durable_key = i.student_durable_key AND dim_students.is_current = 1;

INSERT INTO dim_students (
    student_key, student_durable_key, student_id, full_name, date_of_birth, grade_level, grade_sort_order, school_key,
    homeroom, emergency_contact, email, valid_from, valid_to, is_current, file_id, line_no
)
SELECT
    (SELECT COALESCE(MAX(student_key), 0) FROM dim_students) + ROW_NUMBER() OVER (ORDER BY i.student_durable_key),
    i.student_durable_key, i.student_id, i.full_name, i.date_of_birth, i.grade_level, i.grade_sort_order, i.school_key,
    i.homeroom, i.emergency_contact, i.email, i.effective_on, '9999-12-31', 1, i.file_id, i.line_no
FROM incoming AS i
WHERE i.opens_version = 1;

UPDATE student_identity SET confirmed_on_key = i.slice_date_key
FROM incoming AS i
WHERE i.standing IN ('new', 'known')
  AND student_identity.student_durable_key = i.student_durable_key
  AND student_identity.confirmed_on_key < i.slice_date_key;
