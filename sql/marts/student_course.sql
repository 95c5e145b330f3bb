-- Each student's scores per school year and subject. Kept up to date for the students that a load touched.

-- name: schema
CREATE TABLE student_course (
    student_durable_key {integer} NOT NULL REFERENCES student_identity (student_durable_key), -- The student.
    school_year         {integer} NOT NULL, -- School year, named by the year it ends in; 0 for undated scores.
    subject             {text} NOT NULL, -- The subject.
    is_core             {integer} NOT NULL, -- 1 if failing it counts as a course failure.
    scores              {integer} NOT NULL, -- Scores that count.
    score_bp_sum        {integer} NOT NULL, -- Their sum in basis points (10000 = 100 %). [sensitive]
    scores_flagged      {integer} NOT NULL, -- Scores left out because they cannot be true or are missing.
    homework_values     {integer} NOT NULL, -- Homework completions that count.
    homework_bp_sum     {integer} NOT NULL, -- Their sum in basis points. [sensitive]
    PRIMARY KEY (student_durable_key, school_year, subject)
) {keyed};

-- name: merge
CREATE TEMP TABLE touched AS
SELECT DISTINCT student_durable_key FROM touched_student_month WHERE feed = 'performance';

DELETE FROM student_course WHERE student_durable_key IN (SELECT student_durable_key FROM touched);

INSERT INTO student_course (
    student_durable_key, school_year, subject, is_core, scores, score_bp_sum, scores_flagged, homework_values,
    homework_bp_sum
)
SELECT
    t.student_durable_key, d.school_year, s.subject, MAX(s.is_core), COUNT(f.percent_bp),
    COALESCE(SUM(f.percent_bp), 0), COUNT(*) - COUNT(f.percent_bp), COUNT(f.homework_bp),
    COALESCE(SUM(f.homework_bp), 0)
FROM touched AS t
CROSS JOIN fact_performance AS f
CROSS JOIN dim_subjects AS s
CROSS JOIN dim_dates AS d
WHERE f.student_durable_key = t.student_durable_key
  AND s.subject_key = f.subject_key AND d.date_key = f.date_key
GROUP BY t.student_durable_key, d.school_year, s.subject;

DELETE FROM touched_student_month WHERE feed = 'performance';

DROP TABLE touched;
