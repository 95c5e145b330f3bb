-- Declared changes of student ids. The facts and versions of both ids then belong to one student. A change from an id
-- to itself declares that a student with a different name and date of birth is still the same person. Students are
-- never merged without a declaration.

-- name: schema
CREATE TABLE student_id_change (
    old_student_id      {{ text }} NOT NULL, -- The previous id. [sensitive]
    new_student_id      {{ text }} NOT NULL, -- The new id. [sensitive]
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- Durable key of the student.
    changed_on_key      {{ integer }}, -- The day of the change, if given.
    file_id             {{ integer }} NOT NULL REFERENCES ingest_file (file_id), -- The file that declared the change.
    line_no             {{ integer }} NOT NULL, -- The line of that file.
    PRIMARY KEY (old_student_id, new_student_id)
) {{ keyed }};

-- name: pending
CREATE TEMP TABLE pending AS
WITH declared AS (
    SELECT
        s.file_id, s.line_no, s.old_student_id, s.new_student_id, s.changed_on_key,
        o.student_durable_key AS to_key, n.student_durable_key AS from_key,
        CASE WHEN k.file_id IS NULL THEN 0 ELSE 1 END AS is_known
    FROM due
    JOIN stg_id_changes AS s ON s.file_id = due.file_id
    JOIN student_alias AS o ON o.student_id = s.old_student_id
    LEFT JOIN student_alias AS n ON n.student_id = s.new_student_id
    LEFT JOIN student_id_change AS k
        ON k.old_student_id = s.old_student_id AND k.new_student_id = s.new_student_id
    WHERE (s.file_id, s.line_no) NOT IN (SELECT file_id, line_no FROM incoming)
),
involved AS (
    SELECT
        p.file_id, p.line_no,
        ROW_NUMBER() OVER (PARTITION BY p.involved_key ORDER BY p.file_id, p.line_no) AS turn
    FROM (
        SELECT file_id, line_no, to_key AS involved_key FROM declared
        UNION
        SELECT file_id, line_no, from_key FROM declared WHERE from_key IS NOT NULL
    ) AS p
)
SELECT d.*
FROM declared AS d
JOIN (SELECT file_id, line_no, MAX(turn) AS turn FROM involved GROUP BY file_id, line_no) AS t
    ON t.file_id = d.file_id AND t.line_no = d.line_no
WHERE t.turn = 1
  AND NOT EXISTS (
      SELECT 1 FROM declared AS e
      WHERE e.new_student_id = d.new_student_id AND e.from_key IS NULL
        AND (e.file_id, e.line_no) < (d.file_id, d.line_no)
  );

-- name: merge
INSERT INTO incoming (file_id, line_no, feed, student_durable_key, day_key, outcome)
SELECT file_id, line_no, 'id_changes', to_key, 0, CASE WHEN is_known = 1 THEN 'unchanged' ELSE 'loaded' END FROM pending;

INSERT INTO student_id_change (old_student_id, new_student_id, student_durable_key, changed_on_key, file_id, line_no)
SELECT old_student_id, new_student_id, to_key, changed_on_key, file_id, line_no FROM pending WHERE is_known = 0;

UPDATE identity_warning SET settled_by_file_id = p.file_id
FROM pending AS p
WHERE identity_warning.student_durable_key = p.to_key AND identity_warning.settled_by_file_id IS NULL
  AND p.old_student_id = p.new_student_id;

DELETE FROM pending WHERE is_known = 1 OR old_student_id = new_student_id;

CREATE TEMP TABLE rekey AS
SELECT from_key, to_key, file_id, line_no FROM pending WHERE from_key IS NOT NULL AND from_key <> to_key;

UPDATE dim_students SET
    is_current = 0,
    valid_to = CASE WHEN r.first_day < dim_students.valid_from THEN dim_students.valid_from ELSE r.first_day END
FROM (
    SELECT k.to_key, MIN(s.valid_from) AS first_day
    FROM rekey AS k
    JOIN dim_students AS s ON s.student_durable_key = k.from_key
    GROUP BY k.to_key
    HAVING MAX(s.is_current) = 1
) AS r
WHERE dim_students.student_durable_key = r.to_key AND dim_students.is_current = 1;

UPDATE dim_students SET student_durable_key = r.to_key
FROM rekey AS r
WHERE dim_students.student_durable_key = r.from_key;

CREATE TEMP TABLE known_month AS
SELECT m.student_durable_key, m.month_key, 'attendance' AS feed
FROM (SELECT from_key AS student_durable_key FROM rekey UNION SELECT to_key FROM rekey) AS r
{{ months_of_attendance }}
WHERE m.school_year = y.school_year AND m.student_durable_key = r.student_durable_key
UNION
SELECT student_durable_key, month_key, 'homework' FROM student_month
WHERE student_durable_key IN (SELECT from_key FROM rekey UNION SELECT to_key FROM rekey);

INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT student_durable_key, month_key, feed FROM known_month
UNION
SELECT r.to_key, m.month_key, m.feed FROM known_month AS m JOIN rekey AS r ON r.from_key = m.student_durable_key
ON CONFLICT DO NOTHING;

DROP TABLE known_month;

INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT from_key, 0, 'performance' FROM rekey
UNION
SELECT to_key, 0, 'performance' FROM rekey WHERE 1 = 1
ON CONFLICT DO NOTHING;

UPDATE student_identity SET
    confirmed_on_key = CASE WHEN n.confirmed_on_key > student_identity.confirmed_on_key
        THEN n.confirmed_on_key ELSE student_identity.confirmed_on_key END
FROM rekey AS r
JOIN student_identity AS n ON n.student_durable_key = r.from_key
WHERE student_identity.student_durable_key = r.to_key;

UPDATE student_identity SET student_id = 'now student ' || CAST(r.to_key AS TEXT) || ', was ' || student_identity.student_id
FROM rekey AS r
WHERE student_identity.student_durable_key = r.from_key;

UPDATE student_identity SET student_id = p.new_student_id
FROM pending AS p
WHERE student_identity.student_durable_key = p.to_key;

UPDATE student_alias SET student_durable_key = r.to_key
FROM rekey AS r
WHERE student_alias.student_durable_key = r.from_key;

INSERT INTO student_alias (student_id, student_durable_key)
SELECT new_student_id, to_key FROM pending WHERE from_key IS NULL;

UPDATE dim_students SET student_id = p.new_student_id
FROM pending AS p
WHERE dim_students.student_durable_key = p.to_key AND dim_students.is_current = 1;

UPDATE row_change SET student_durable_key = r.to_key FROM rekey AS r WHERE row_change.student_durable_key = r.from_key;

UPDATE identity_warning SET student_durable_key = r.to_key
FROM rekey AS r
WHERE identity_warning.student_durable_key = r.from_key;

INSERT INTO touched_student (student_durable_key, file_id, line_no)
SELECT to_key, file_id, line_no FROM pending WHERE 1 = 1
ON CONFLICT (student_durable_key) DO UPDATE SET file_id = excluded.file_id, line_no = excluded.line_no;

-- name: waiting
CREATE TEMP TABLE waiting AS
SELECT s.file_id, s.line_no FROM due JOIN stg_id_changes AS s ON s.file_id = due.file_id
EXCEPT
SELECT file_id, line_no FROM incoming;
