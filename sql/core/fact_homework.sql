-- Homework: one row per student and assignment (subject, name, due day), with its status.

-- name: schema
CREATE TABLE fact_homework (
    student_durable_key {integer} NOT NULL REFERENCES student_identity (student_durable_key), -- The student.
    due_date_key        {integer} NOT NULL REFERENCES dim_dates (date_key), -- The day it is due.
    subject_key         {integer} NOT NULL REFERENCES dim_subjects (subject_key), -- The subject.
    assignment          {text} NOT NULL, -- Name of the assignment.
    homework_status_key {integer} NOT NULL REFERENCES dim_homework_statuses (homework_status_key), -- The status. [sensitive]
    grade_feedback      {text}, -- Grade or feedback. [sensitive]
    guardian_signature  {integer}, -- 1 signed, 0 not signed, missing when not said. [sensitive]
    file_id             {integer} NOT NULL, -- The newest file that said so.
    line_no             {integer} NOT NULL, -- The line of that file.
    PRIMARY KEY (student_durable_key, due_date_key, subject_key, assignment)
) {keyed};

-- name: row_count
SELECT COALESCE(SUM(rows_loaded), 0) FROM ingest_file WHERE feed = 'homework';

-- name: merge
CREATE TEMP TABLE incoming AS
WITH resolved AS (
    SELECT
        s.file_id, s.line_no, i.student_durable_key, s.due_date_key AS day_key, b.subject_key, s.assignment_name,
        c.homework_status_key, s.grade_feedback, s.guardian_signature, f.effective_date_key, f.feed
    FROM ingest_file AS f
    JOIN stg_homework AS s ON s.file_id = f.file_id
    JOIN student_identity AS i ON i.student_id = s.student_id
    JOIN dim_subjects AS b ON b.code = s.subject
    JOIN dim_homework_statuses AS c ON c.code = s.status
    WHERE f.feed = 'homework' AND f.status IN ('staged', 'waiting')
),
ranked AS (
    SELECT
        r.*,
        ROW_NUMBER() OVER (
            PARTITION BY r.student_durable_key, r.day_key, r.subject_key, r.assignment_name
            ORDER BY r.effective_date_key DESC, r.file_id DESC, r.line_no DESC
        ) AS newest
    FROM resolved AS r
)
SELECT
    r.*,
    CASE
        WHEN r.newest > 1 THEN 'unchanged'
        WHEN t.file_id IS NULL THEN 'loaded'
        WHEN (k.effective_date_key, k.file_id) > (r.effective_date_key, r.file_id) THEN 'unchanged'
        WHEN t.homework_status_key <> r.homework_status_key
          OR t.grade_feedback IS DISTINCT FROM r.grade_feedback
          OR t.guardian_signature IS DISTINCT FROM r.guardian_signature THEN 'updated'
        ELSE 'unchanged'
    END AS outcome,
    CASE WHEN r.newest = 1 AND k.effective_date_key < r.effective_date_key THEN 1 ELSE 0 END AS confirms
FROM ranked AS r
LEFT JOIN fact_homework AS t
    ON t.student_durable_key = r.student_durable_key AND t.due_date_key = r.day_key
    AND t.subject_key = r.subject_key AND t.assignment = r.assignment_name
LEFT JOIN ingest_file AS k ON k.file_id = t.file_id;

INSERT INTO fact_homework (
    student_durable_key, due_date_key, subject_key, assignment, homework_status_key, grade_feedback,
    guardian_signature, file_id, line_no
)
SELECT
    student_durable_key, day_key, subject_key, assignment_name, homework_status_key, grade_feedback,
    guardian_signature, file_id, line_no
FROM incoming
WHERE outcome IN ('loaded', 'updated') OR confirms = 1
ORDER BY student_durable_key, day_key, subject_key, assignment_name
ON CONFLICT (student_durable_key, due_date_key, subject_key, assignment) DO UPDATE SET
    homework_status_key = excluded.homework_status_key, grade_feedback = excluded.grade_feedback,
    guardian_signature = excluded.guardian_signature, file_id = excluded.file_id, line_no = excluded.line_no;
