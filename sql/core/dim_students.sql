-- Students, one row per version (slowly changing dimension, type 2). A change of grade level, school or homeroom
-- creates a new version from the effective day of the export; name, date of birth, contact and enrollment days are
-- corrected in place. A blank cell never erases a known value. An export older than the newest one of a student changes
-- nothing. A different name and a different date of birth under the same id may be another person: both versions are
-- kept, with a warning.

-- name: schema
CREATE TABLE dim_students (
    student_key         {{ integer }} PRIMARY KEY, -- Surrogate key of the version.
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- Durable key of the student, the same in all versions; referenced by facts.
    student_id          {{ text }} NOT NULL, -- The id in the source system (natural key). [sensitive]
    full_name           {{ text }} NOT NULL, -- Full name. [pii]
    date_of_birth       {{ date }}, -- Date of birth. [pii]
    grade_level         {{ text }}, -- Grade level, with its name in dim_grade_levels. [sensitive]
    grade_sort_order    {{ integer }}, -- Sort order of the grade level; kindergarten is 0.
    school_key          {{ integer }} NOT NULL REFERENCES dim_schools (school_key), -- School of enrollment.
    homeroom            {{ text }}, -- Homeroom. [sensitive]
    emergency_contact   {{ text }}, -- Emergency contact. [pii]
    email               {{ text }}, -- E-mail address. [pii]
    enrolled_on         {{ date }}, -- First day of enrollment, if given. [sensitive]
    left_on             {{ date }}, -- First day no longer enrolled, if given. [sensitive]
    valid_from          {{ date }} NOT NULL, -- First day of the version.
    valid_to            {{ date }} NOT NULL, -- First day after the version; 9999-12-31 while it is current.
    is_current          {{ integer }} NOT NULL, -- 1 for the current version.
    file_id             {{ integer }} NOT NULL REFERENCES ingest_file (file_id), -- The file that contains the row.
    line_no             {{ integer }} NOT NULL -- The line of that file.
) {{ strict }};
CREATE INDEX dim_students_version ON dim_students (student_durable_key, valid_from);
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
    WHERE s.student_id NOT IN (SELECT student_id FROM student_alias)
) AS n;

INSERT INTO student_alias (student_id, student_durable_key)
SELECT i.student_id, i.student_durable_key
FROM student_identity AS i
WHERE i.student_id NOT IN (SELECT student_id FROM student_alias);

CREATE TEMP TABLE incoming AS
WITH slice_rows AS (
    SELECT
        s.*, f.feed, i.student_durable_key, i.student_id AS known_id, i.confirmed_on_key, d.full_date AS effective_on,
        slice.effective_date_key AS day_key,
        ROW_NUMBER() OVER (PARTITION BY i.student_durable_key ORDER BY s.line_no) AS occurrence
    FROM slice
    JOIN ingest_file AS f ON f.file_id = slice.file_id
    JOIN stg_students AS s ON s.file_id = f.file_id
        AND COALESCE(s.effective_date_key, f.effective_date_key) = slice.effective_date_key
    JOIN student_alias AS a ON a.student_id = s.student_id
    JOIN student_identity AS i ON i.student_durable_key = a.student_durable_key
    JOIN dim_dates AS d ON d.date_key = slice.effective_date_key
),
known AS (
    SELECT
        r.file_id, r.line_no, r.feed, r.student_durable_key, r.known_id AS student_id, r.effective_on, r.day_key,
        r.full_name,
        COALESCE(r.date_of_birth, c.date_of_birth) AS date_of_birth,
        CASE WHEN r.grade_level IS NULL THEN c.grade_level ELSE COALESCE(g.grade_level, r.grade_level) END AS grade_level,
        CASE WHEN r.grade_level IS NULL THEN c.grade_sort_order ELSE g.sort_order END AS grade_sort_order,
        COALESCE(h.school_key, c.school_key, 0) AS school_key,
        COALESCE(r.homeroom, c.homeroom) AS homeroom,
        COALESCE(r.emergency_contact, c.emergency_contact) AS emergency_contact,
        COALESCE(r.email, c.email) AS email,
        COALESCE(r.enrolled_on, c.enrolled_on) AS enrolled_on,
        CASE WHEN r.enrolled_on > c.left_on THEN r.left_on ELSE COALESCE(r.left_on, c.left_on) END AS left_on,
        CASE
            WHEN r.occurrence > 1 THEN 'repeated'
            WHEN r.confirmed_on_key > r.day_key THEN 'older'
            WHEN c.student_key IS NULL THEN 'new'
            ELSE 'known'
        END AS standing,
        CASE WHEN LOWER(r.full_name) <> LOWER(c.full_name) AND r.date_of_birth <> c.date_of_birth THEN 1 ELSE 0 END AS differs_in_person,
        c.file_id AS current_file_id, c.line_no AS current_line_no, c.valid_from AS current_from, c.full_name AS current_name, c.date_of_birth AS current_birth,
        c.grade_level AS current_grade, c.school_key AS current_school, c.homeroom AS current_homeroom,
        c.emergency_contact AS current_contact, c.email AS current_email, c.enrolled_on AS current_enrolled_on,
        c.left_on AS current_left_on
    FROM slice_rows AS r
    LEFT JOIN dim_students AS c ON c.student_durable_key = r.student_durable_key AND c.is_current = 1
    LEFT JOIN dim_grade_levels AS g ON g.code = r.grade_level
    LEFT JOIN dim_schools AS h ON h.school_id = r.school_id
),
compared AS (
    SELECT
        k.*,
        CASE WHEN k.standing = 'known' AND k.differs_in_person = 1 THEN 1 ELSE 0 END AS other_person,
        CASE WHEN k.standing = 'known' AND (
            k.grade_level IS DISTINCT FROM k.current_grade
            OR k.school_key IS DISTINCT FROM k.current_school
            OR k.homeroom IS DISTINCT FROM k.current_homeroom
        ) THEN 1 ELSE 0 END AS moved,
        CASE WHEN k.standing = 'known' AND k.differs_in_person = 0 AND (
            k.full_name IS DISTINCT FROM k.current_name
            OR k.date_of_birth IS DISTINCT FROM k.current_birth
            OR k.emergency_contact IS DISTINCT FROM k.current_contact
            OR k.email IS DISTINCT FROM k.current_email
            OR k.enrolled_on IS DISTINCT FROM k.current_enrolled_on
            OR k.left_on IS DISTINCT FROM k.current_left_on
        ) THEN 1 ELSE 0 END AS corrected
    FROM known AS k
)
SELECT
    c.*,
    CASE
        WHEN c.standing = 'new' THEN 'loaded'
        WHEN c.moved = 1 OR c.corrected = 1 OR c.other_person = 1 THEN 'updated'
        ELSE 'unchanged'
    END AS outcome,
    CASE
        WHEN c.standing = 'new' OR c.other_person = 1 OR (c.moved = 1 AND c.effective_on > c.current_from) THEN 1
        ELSE 0
    END AS opens_version
FROM compared AS c;

INSERT INTO identity_warning (student_durable_key, file_id, line_no, effective_date_key)
SELECT student_durable_key, file_id, line_no, day_key FROM incoming WHERE other_person = 1;

INSERT INTO row_change (
    table_name, student_durable_key, day_key, change, file_id, line_no, before_file_id, before_line_no,
    said_before, said_after
)
SELECT
    'dim_students', student_durable_key, day_key, 'changed', file_id, line_no, current_file_id, current_line_no,
    {{ in_words(side="before") }},
    {{ in_words(side="after") }}
FROM incoming
WHERE outcome = 'updated';

UPDATE dim_students SET
    full_name = i.full_name, date_of_birth = i.date_of_birth,
    emergency_contact = i.emergency_contact, email = i.email, enrolled_on = i.enrolled_on, left_on = i.left_on,
    file_id = CASE WHEN dim_students.is_current = 1 THEN i.file_id ELSE dim_students.file_id END,
    line_no = CASE WHEN dim_students.is_current = 1 THEN i.line_no ELSE dim_students.line_no END
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
WHERE i.outcome = 'updated' AND i.opens_version = 1
  AND dim_students.student_durable_key = i.student_durable_key AND dim_students.is_current = 1;

INSERT INTO dim_students (
    student_key, student_durable_key, student_id, full_name, date_of_birth, grade_level, grade_sort_order, school_key,
    homeroom, emergency_contact, email, enrolled_on, left_on, valid_from, valid_to, is_current, file_id, line_no
)
SELECT
    (SELECT COALESCE(MAX(student_key), 0) FROM dim_students) + ROW_NUMBER() OVER (ORDER BY i.student_durable_key),
    i.student_durable_key, i.student_id, i.full_name, i.date_of_birth, i.grade_level, i.grade_sort_order, i.school_key,
    i.homeroom, i.emergency_contact, i.email, i.enrolled_on, i.left_on, i.effective_on, '9999-12-31', 1, i.file_id, i.line_no
FROM incoming AS i
WHERE i.opens_version = 1;

INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT m.student_durable_key, m.month_key, 'attendance'
FROM incoming AS i
{{ months_of_attendance }}
WHERE m.school_year = y.school_year AND m.student_durable_key = i.student_durable_key
  AND (
      i.standing = 'new' OR i.school_key IS DISTINCT FROM i.current_school
      OR i.enrolled_on IS DISTINCT FROM i.current_enrolled_on OR i.left_on IS DISTINCT FROM i.current_left_on
  )
ON CONFLICT DO NOTHING;

UPDATE student_identity SET confirmed_on_key = i.day_key
FROM incoming AS i
WHERE i.standing IN ('new', 'known')
  AND student_identity.student_durable_key = i.student_durable_key
  AND student_identity.confirmed_on_key < i.day_key;

-- name: in_words
-- The changed values as text, before or after the change.
{% for label, after, before in [
    ("name", "full_name", "current_name"), ("born", "date_of_birth", "current_birth"),
    ("grade", "grade_level", "current_grade"), ("homeroom", "homeroom", "current_homeroom"),
    ("contact", "emergency_contact", "current_contact"), ("email", "email", "current_email"),
    ("enrolled", "enrolled_on", "current_enrolled_on"), ("left", "left_on", "current_left_on"),
] %}
CASE WHEN {{ after }} IS DISTINCT FROM {{ before }}
    THEN '{{ label }} ' || COALESCE(CAST({{ after if side == "after" else before }} AS TEXT), 'none') || '; '
    ELSE '' END ||
{% endfor %}
CASE WHEN school_key <> current_school
    THEN 'school ' || (
        SELECT h.school_id FROM dim_schools AS h
        WHERE h.school_key = incoming.{{ "school_key" if side == "after" else "current_school" }}
    )
    ELSE '' END

-- name: scope
CREATE TEMP TABLE scope AS
SELECT f.file_id, f.feed, slice.effective_date_key, f.effective_date_key AS file_date_key
FROM slice
JOIN ingest_file AS f ON f.file_id = slice.file_id
WHERE f.load_mode = 'snapshot' AND f.effective_date_key = slice.effective_date_key;

-- name: vanished
CREATE TEMP TABLE vanished AS
SELECT c.student_durable_key, c.student_key, c.file_id, c.line_no, s.file_id AS scope_file_id, s.effective_date_key
FROM scope AS s
CROSS JOIN dim_students AS c
JOIN student_identity AS i ON i.student_durable_key = c.student_durable_key
WHERE c.is_current = 1 AND i.confirmed_on_key <= s.effective_date_key
  AND NOT EXISTS (
      SELECT 1 FROM stg_students AS r JOIN student_alias AS a ON a.student_id = r.student_id
      WHERE r.file_id = s.file_id AND a.student_durable_key = c.student_durable_key
  )
  AND NOT EXISTS (
      SELECT 1 FROM row_reject AS x JOIN student_alias AS a ON a.student_id = x.student_id
      WHERE x.file_id = s.file_id AND a.student_durable_key = c.student_durable_key
  )
  AND (
      NOT EXISTS (SELECT 1 FROM stg_students AS r WHERE r.file_id = s.file_id AND r.school_id IS NOT NULL)
      OR c.school_key IN (
          SELECT h.school_key FROM stg_students AS r JOIN dim_schools AS h ON h.school_id = r.school_id
          WHERE r.file_id = s.file_id
      )
  );

-- name: covered
SELECT COUNT(*) FROM dim_students WHERE is_current = 1;

-- name: withdraw
INSERT INTO row_change (
    table_name, student_durable_key, day_key, change, file_id, line_no, before_file_id, before_line_no,
    said_before, said_after
)
SELECT
    'dim_students', v.student_durable_key, v.effective_date_key, 'withdrawn', v.scope_file_id, 0, v.file_id, v.line_no,
    'enrolled', NULL
FROM vanished AS v;

UPDATE dim_students SET valid_to = d.full_date, is_current = 0
FROM vanished AS v
JOIN dim_dates AS d ON d.date_key = v.effective_date_key
WHERE dim_students.student_key = v.student_key;

UPDATE student_identity SET confirmed_on_key = v.effective_date_key
FROM vanished AS v
WHERE student_identity.student_durable_key = v.student_durable_key;

INSERT INTO touched_student (student_durable_key, file_id, line_no)
SELECT student_durable_key, scope_file_id, 0 FROM vanished WHERE 1 = 1
ON CONFLICT (student_durable_key) DO UPDATE SET file_id = excluded.file_id, line_no = excluded.line_no;

UPDATE ingest_file SET sweep = 'done', rows_withdrawn = (SELECT COUNT(*) FROM vanished AS v WHERE v.scope_file_id = ingest_file.file_id)
WHERE file_id IN (SELECT file_id FROM scope);
