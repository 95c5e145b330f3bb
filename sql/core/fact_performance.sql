-- Performance: one row per student, subject, day and assessment. Scores that are impossible keep their raw value, get a
-- flag and have no percentage. Assessments without a name are distinguished by their order in the file.

-- name: schema
CREATE TABLE fact_performance (
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- Durable key of the student.
    date_key            {{ integer }} NOT NULL REFERENCES dim_dates (date_key), -- Day of the assessment; 0 if neither the row nor the file name contains it.
    subject_key         {{ integer }} NOT NULL REFERENCES dim_subjects (subject_key), -- The subject.
    assessment          {{ text }} NOT NULL, -- Name of the assessment, or its sequence number in the file.
    term                {{ text }}, -- The term, if given.
    raw_score           {{ real }}, -- Points as sent. [sensitive]
    max_score           {{ real }} NOT NULL, -- Maximum points.
    percent_bp          {{ integer }}, -- Score in basis points (10000 = 100 %); null if flagged. [sensitive]
    letter_grade        {{ text }}, -- Letter grade; null if flagged. [sensitive]
    quality_flag        {{ text }} NOT NULL, -- ok, score_above_max, score_below_zero, score_missing or max_score_invalid.
    homework_raw        {{ real }}, -- Homework completion as sent, in percent. [sensitive]
    homework_bp         {{ integer }}, -- Homework completion in basis points (10000 = 100 %); null if flagged. [sensitive]
    homework_flag       {{ text }} NOT NULL, -- ok, homework_out_of_range or homework_missing.
    teacher_comment     {{ text }}, -- The teacher's comment. [pii]
    file_id             {{ integer }} NOT NULL, -- The file that first contained these values.
    line_no             {{ integer }} NOT NULL, -- The line of that file.
    confirmed_file_id   {{ integer }} NOT NULL, -- The newest file that contains these values.
    PRIMARY KEY (student_durable_key, date_key, subject_key, assessment)
) {{ keyed }};

-- name: resolve
SELECT
    n.file_id, n.line_no, n.student_durable_key, n.day_key AS date_key, n.subject_key,
    COALESCE(
        n.assessment,
        CASE WHEN n.term IS NULL THEN '' ELSE n.term || ' ' END
        || CASE WHEN n.day_key = 0 THEN CAST(n.effective_date_key AS TEXT) || ' ' ELSE '' END
        || n.place_in_file
    ) AS assessment,
    n.term, n.exam_score AS raw_score, n.max_score, n.percent_bp,
    (
        SELECT g.letter_grade FROM dim_letter_grades AS g
        WHERE g.minimum_bp <= n.percent_bp ORDER BY g.minimum_bp DESC LIMIT 1
    ) AS letter_grade,
    n.quality_flag, n.homework_completion AS homework_raw, n.homework_bp, n.homework_flag,
    n.teacher_comments AS teacher_comment
FROM (
    SELECT
        s.*, i.student_durable_key, b.subject_key, f.effective_date_key,
        COALESCE(s.date_key, CASE WHEN f.effective_from = 'name' THEN f.effective_date_key ELSE 0 END) AS day_key,
        CASE
            WHEN s.correction_of IS NOT NULL THEN 'corrected ' || s.correction_of
            ELSE '#' || CAST(ROW_NUMBER() OVER (
                PARTITION BY s.file_id, s.student_id, s.subject, s.date_key, s.term, s.assessment, s.correction_of
                ORDER BY s.line_no
            ) AS TEXT)
        END AS place_in_file
    FROM due
    JOIN ingest_file AS f ON f.file_id = due.file_id
    JOIN stg_performance AS s ON s.file_id = f.file_id
    JOIN student_alias AS i ON i.student_id = s.student_id
    LEFT JOIN dim_subjects AS b ON b.code = s.subject
) AS n;

-- name: in_words
COALESCE(CAST(CAST({{ row }}.raw_score AS NUMERIC) AS TEXT), 'no score') || ' of ' || CAST(CAST({{ row }}.max_score AS NUMERIC) AS TEXT)
|| COALESCE(', homework ' || CAST(CAST({{ row }}.homework_raw AS NUMERIC) AS TEXT) || ' %', '')
|| COALESCE(', comment ' || {{ row }}.teacher_comment, '');
