-- Scores with names instead of keys, and the student's version of that day (of undated scores, the newest version).

-- name: schema
CREATE VIEW v_performance AS
SELECT
    v.student_id AS student_id, -- text: The student's id. [sensitive]
    d.full_date AS full_date, -- date: Day of the assessment; null if undated.
    d.school_year AS school_year, -- integer: School year, named by the year in which it ends; 0 for undated scores.
    b.subject AS subject, -- text: The subject.
    f.assessment AS assessment, -- text: Name of the assessment, or its sequence number in the file.
    f.term AS term, -- text: The term, if given.
    f.raw_score AS raw_score, -- real: Points as sent. [sensitive]
    f.max_score AS max_score, -- real: Maximum points.
    CAST(f.percent_bp AS DOUBLE PRECISION) / 100 AS percent, -- real: Score, percent 0-100; null if flagged. [sensitive]
    f.letter_grade AS letter_grade, -- text: Letter grade; null if flagged. [sensitive]
    f.quality_flag AS quality_flag, -- text: See fact_performance.
    CAST(f.homework_bp AS DOUBLE PRECISION) / 100 AS homework_percent, -- real: Homework completion, percent 0-100; null if flagged. [sensitive]
    f.teacher_comment AS teacher_comment, -- text: The teacher's comment. [pii]
    v.grade_level AS grade_level, -- text: Grade level on that day. [sensitive]
    h.school_id AS school_id, -- text: School of enrollment on that day.
    v.homeroom AS homeroom, -- text: Homeroom on that day. [sensitive]
    f.file_id AS file_id, -- integer: The file that first contained these values.
    f.line_no AS line_no, -- integer: The line of that file.
    f.student_durable_key AS student_durable_key -- integer: Durable key of the student, for joins with facts.
FROM fact_performance AS f
JOIN dim_dates AS d ON d.date_key = f.date_key
JOIN dim_subjects AS b ON b.subject_key = f.subject_key
{{ student_of_the_day }};
