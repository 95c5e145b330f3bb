-- Performance: one row per student, subject, day and assessment; scores that cannot be true keep their raw value
-- and a flag, and have no percent. Assessments without a name are told apart by their order in the file.

-- name: schema
CREATE TABLE fact_performance (
    student_durable_key {integer} NOT NULL REFERENCES student_identity (student_durable_key), -- The student.
    date_key            {integer} NOT NULL REFERENCES dim_dates (date_key), -- Day of the assessment; 0 when neither row nor file name says it.
    subject_key         {integer} NOT NULL REFERENCES dim_subjects (subject_key), -- The subject.
    assessment          {text} NOT NULL, -- Name of the assessment, or its number in the file.
    term                {text}, -- The term, where given.
    raw_score           {real}, -- Points as sent. [sensitive]
    max_score           {real} NOT NULL, -- Points that could be reached.
    percent_bp          {integer}, -- Score in basis points (10000 = 100 %); missing when flagged. [sensitive]
    letter_grade        {text}, -- Letter grade; missing when flagged. [sensitive]
    quality_flag        {text} NOT NULL, -- ok, score_above_max, score_below_zero, score_missing or max_score_invalid.
    homework_raw        {real}, -- Homework completion as sent, percent. [sensitive]
    homework_bp         {integer}, -- Homework completion in basis points; missing when flagged. [sensitive]
    homework_flag       {text} NOT NULL, -- ok, homework_out_of_range or homework_missing.
    teacher_comment     {text}, -- The teacher's comment. [pii]
    file_id             {integer} NOT NULL, -- The newest file that said so.
    line_no             {integer} NOT NULL, -- The line of that file.
    PRIMARY KEY (student_durable_key, date_key, subject_key, assessment)
) {keyed};

-- name: row_count
SELECT COALESCE(SUM(rows_loaded), 0) FROM ingest_file WHERE feed = 'performance';

-- name: merge
CREATE TEMP TABLE incoming AS
WITH dated AS (
    SELECT
        s.*, i.student_durable_key, b.subject_key, f.effective_date_key, f.feed,
        COALESCE(s.date_key, CASE WHEN f.effective_from = 'name' THEN f.effective_date_key ELSE 0 END) AS day_key,
        ROW_NUMBER() OVER (
            PARTITION BY s.file_id, s.student_id, s.subject, s.date_key, s.term, s.assessment ORDER BY s.line_no
        ) AS number_in_file
    FROM ingest_file AS f
    JOIN stg_performance AS s ON s.file_id = f.file_id
    JOIN student_identity AS i ON i.student_id = s.student_id
    JOIN dim_subjects AS b ON b.code = s.subject
    WHERE f.feed = 'performance' AND f.status IN ('staged', 'waiting')
),
named AS (
    SELECT
        d.*,
        COALESCE(
            d.assessment,
            CASE WHEN d.term IS NULL THEN '' ELSE d.term || ' ' END
            || CASE WHEN d.day_key = 0 THEN CAST(d.effective_date_key AS TEXT) || ' ' ELSE '' END
            || '#' || CAST(d.number_in_file AS TEXT)
        ) AS assessment_name
    FROM dated AS d
),
ranked AS (
    SELECT
        n.*,
        ROW_NUMBER() OVER (
            PARTITION BY n.student_durable_key, n.day_key, n.subject_key, n.assessment_name
            ORDER BY n.effective_date_key DESC, n.file_id DESC, n.line_no DESC
        ) AS newest
    FROM named AS n
)
SELECT
    r.file_id, r.line_no, r.feed, r.student_durable_key, r.day_key, r.subject_key, r.assessment_name, r.term, r.exam_score,
    r.max_score, r.percent_bp, r.quality_flag, r.homework_completion, r.homework_bp, r.homework_flag,
    r.teacher_comments,
    (
        SELECT g.letter_grade FROM dim_letter_grades AS g
        WHERE g.minimum_bp <= r.percent_bp ORDER BY g.minimum_bp DESC LIMIT 1
    ) AS letter_grade,
    CASE
        WHEN r.newest > 1 THEN 'unchanged'
        WHEN t.file_id IS NULL THEN 'loaded'
        WHEN (k.effective_date_key, k.file_id) > (r.effective_date_key, r.file_id) THEN 'unchanged'
        WHEN t.raw_score IS DISTINCT FROM r.exam_score
          OR t.max_score <> r.max_score
          OR t.homework_raw IS DISTINCT FROM r.homework_completion
          OR t.term IS DISTINCT FROM r.term
          OR t.teacher_comment IS DISTINCT FROM r.teacher_comments THEN 'updated'
        ELSE 'unchanged'
    END AS outcome,
    CASE WHEN r.newest = 1 AND k.effective_date_key < r.effective_date_key THEN 1 ELSE 0 END AS confirms
FROM ranked AS r
LEFT JOIN fact_performance AS t
    ON t.student_durable_key = r.student_durable_key AND t.date_key = r.day_key
    AND t.subject_key = r.subject_key AND t.assessment = r.assessment_name
LEFT JOIN ingest_file AS k ON k.file_id = t.file_id;

INSERT INTO fact_performance (
    student_durable_key, date_key, subject_key, assessment, term, raw_score, max_score, percent_bp, letter_grade,
    quality_flag, homework_raw, homework_bp, homework_flag, teacher_comment, file_id, line_no
)
SELECT
    student_durable_key, day_key, subject_key, assessment_name, term, exam_score, max_score, percent_bp, letter_grade,
    quality_flag, homework_completion, homework_bp, homework_flag, teacher_comments, file_id, line_no
FROM incoming
WHERE outcome IN ('loaded', 'updated') OR confirms = 1
ORDER BY student_durable_key, day_key, subject_key, assessment_name
ON CONFLICT (student_durable_key, date_key, subject_key, assessment) DO UPDATE SET
    term = excluded.term, raw_score = excluded.raw_score, max_score = excluded.max_score,
    percent_bp = excluded.percent_bp, letter_grade = excluded.letter_grade, quality_flag = excluded.quality_flag,
    homework_raw = excluded.homework_raw, homework_bp = excluded.homework_bp, homework_flag = excluded.homework_flag,
    teacher_comment = excluded.teacher_comment, file_id = excluded.file_id, line_no = excluded.line_no;
