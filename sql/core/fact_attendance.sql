-- Attendance: one row per student, day and subject or period, with the code as sent. A newer export overwrites an older
-- one, never the reverse. A row without new values is left unchanged.

-- name: schema
CREATE TABLE fact_attendance (
    date_key            {{ integer }} NOT NULL REFERENCES dim_dates (date_key), -- The school day.
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- Durable key of the student.
    subject_key         {{ integer }} NOT NULL REFERENCES dim_subjects (subject_key), -- The subject; 0 for the whole day.
    period              {{ text }} NOT NULL, -- The period; empty if there is none.
    attendance_code_key {{ integer }} NOT NULL REFERENCES dim_attendance_codes (attendance_code_key), -- The code. [sensitive]
    school_key          {{ integer }} NOT NULL REFERENCES dim_schools (school_key), -- School that took attendance; 0 if not given.
    file_id             {{ integer }} NOT NULL, -- The file that first contained these values.
    line_no             {{ integer }} NOT NULL, -- The line of that file.
    confirmed_file_id   {{ integer }} NOT NULL, -- The newest file that contains these values.
    PRIMARY KEY (date_key, student_durable_key, subject_key, period)
) {{ keyed }};

-- name: resolve
SELECT
    s.file_id, s.line_no, s.date_key, i.student_durable_key, COALESCE(b.subject_key, 0) AS subject_key,
    COALESCE(s.period, '') AS period, c.attendance_code_key, COALESCE(h.school_key, 0) AS school_key
FROM due
JOIN stg_attendance AS s ON s.file_id = due.file_id
JOIN student_alias AS i ON i.student_id = s.student_id
LEFT JOIN dim_attendance_codes AS c ON c.code = s.attendance_status
LEFT JOIN dim_subjects AS b ON b.code = s.subject
LEFT JOIN dim_schools AS h ON h.school_id = s.school_id;

-- name: in_words
(SELECT c.code FROM dim_attendance_codes AS c WHERE c.attendance_code_key = {{ row }}.attendance_code_key);
