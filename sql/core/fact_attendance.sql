-- Attendance: one row per student, day and subject or period, with the code as it was sent.
-- A newer export overwrites, an older one never does; a row that says nothing new is left as it is.

-- name: schema
CREATE TABLE fact_attendance (
    date_key            {integer} NOT NULL REFERENCES dim_dates (date_key), -- The school day.
    student_durable_key {integer} NOT NULL REFERENCES student_identity (student_durable_key), -- The student.
    subject_key         {integer} NOT NULL REFERENCES dim_subjects (subject_key), -- The subject; 0 for the whole day.
    period              {text} NOT NULL, -- The period; empty for none.
    attendance_code_key {integer} NOT NULL REFERENCES dim_attendance_codes (attendance_code_key), -- The code. [sensitive]
    school_key          {integer} NOT NULL REFERENCES dim_schools (school_key), -- The school that took attendance.
    file_id             {integer} NOT NULL, -- The newest file that said so.
    line_no             {integer} NOT NULL, -- The line of that file.
    PRIMARY KEY (date_key, student_durable_key, subject_key, period)
) {keyed};

-- name: row_count
SELECT COALESCE(SUM(rows_loaded), 0) FROM ingest_file WHERE feed = 'attendance';

-- name: merge
CREATE TEMP TABLE incoming AS
WITH resolved AS (
    SELECT
        s.file_id, s.line_no, s.date_key AS day_key, i.student_durable_key, COALESCE(b.subject_key, 0) AS subject_key,
        COALESCE(s.period, '') AS period, c.attendance_code_key, COALESCE(h.school_key, 0) AS school_key,
        f.effective_date_key, f.feed
    FROM ingest_file AS f
    JOIN stg_attendance AS s ON s.file_id = f.file_id
    JOIN student_identity AS i ON i.student_id = s.student_id
    JOIN dim_attendance_codes AS c ON c.code = s.attendance_status
    LEFT JOIN dim_subjects AS b ON b.code = s.subject
    LEFT JOIN dim_schools AS h ON h.school_id = s.school_id
    WHERE f.feed = 'attendance' AND f.status IN ('staged', 'waiting')
),
ranked AS (
    SELECT
        r.*,
        ROW_NUMBER() OVER (
            PARTITION BY r.day_key, r.student_durable_key, r.subject_key, r.period
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
        WHEN (t.attendance_code_key, t.school_key) = (r.attendance_code_key, r.school_key) THEN 'unchanged'
        ELSE 'updated'
    END AS outcome,
    CASE WHEN r.newest = 1 AND k.effective_date_key < r.effective_date_key THEN 1 ELSE 0 END AS confirms
FROM ranked AS r
LEFT JOIN fact_attendance AS t
    ON t.date_key = r.day_key AND t.student_durable_key = r.student_durable_key
    AND t.subject_key = r.subject_key AND t.period = r.period
LEFT JOIN ingest_file AS k ON k.file_id = t.file_id;

INSERT INTO fact_attendance
    (date_key, student_durable_key, subject_key, period, attendance_code_key, school_key, file_id, line_no)
SELECT day_key, student_durable_key, subject_key, period, attendance_code_key, school_key, file_id, line_no
FROM incoming
WHERE outcome IN ('loaded', 'updated') OR confirms = 1
ORDER BY day_key, student_durable_key, subject_key, period
ON CONFLICT (date_key, student_durable_key, subject_key, period) DO UPDATE SET
    attendance_code_key = excluded.attendance_code_key, school_key = excluded.school_key,
    file_id = excluded.file_id, line_no = excluded.line_no;
