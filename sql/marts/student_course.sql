-- Scores of each student per school year and subject. Refreshed only for the students that a load changed.

-- name: schema
CREATE TABLE student_course (
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- Durable key of the student.
    school_year         {{ integer }} NOT NULL, -- School year, named by the year in which it ends; 0 for undated scores.
    subject             {{ text }} NOT NULL, -- The subject.
    is_core             {{ integer }} NOT NULL, -- 1 if failing it counts as a course failure.
    scores              {{ integer }} NOT NULL, -- Number of valid scores.
    score_bp_sum        {{ integer }} NOT NULL, -- Sum of the scores, in basis points (10000 = 100 %). [sensitive]
    last_scores         {{ integer }} NOT NULL, -- Number of these scores on the last day with a score; 0 if undated.
    last_score_bp_sum   {{ integer }} NOT NULL, -- Sum of the scores on that day, in basis points. [sensitive]
    scores_flagged      {{ integer }} NOT NULL, -- Scores excluded because they are invalid or missing.
    homework_values     {{ integer }} NOT NULL, -- Number of valid homework completions.
    homework_bp_sum     {{ integer }} NOT NULL, -- Sum of the homework completions, in basis points (10000 = 100 %). [sensitive]
    PRIMARY KEY (student_durable_key, school_year, subject)
) {{ keyed }};

-- name: row_count
SELECT NULL AS not_worth_counting;

-- name: query
SELECT
    r.student_durable_key, r.school_year, r.subject, MAX(r.is_core) AS is_core, COUNT(r.percent_bp) AS scores,
    COALESCE(SUM(r.percent_bp), 0) AS score_bp_sum,
    COUNT(CASE WHEN r.date_key = r.last_key THEN r.percent_bp END) AS last_scores,
    COALESCE(SUM(CASE WHEN r.date_key = r.last_key THEN r.percent_bp END), 0) AS last_score_bp_sum,
    COUNT(*) - COUNT(r.percent_bp) AS scores_flagged, COUNT(r.homework_bp) AS homework_values,
    COALESCE(SUM(r.homework_bp), 0) AS homework_bp_sum
FROM (
    SELECT
        t.student_durable_key, d.school_year, s.subject, s.is_core, f.date_key, f.percent_bp, f.homework_bp,
        MAX(CASE WHEN f.percent_bp IS NOT NULL AND f.date_key > 0 THEN f.date_key END) OVER (
            PARTITION BY t.student_durable_key, d.school_year, s.subject
        ) AS last_key
    FROM (SELECT DISTINCT student_durable_key FROM touched) AS t
    CROSS JOIN fact_performance AS f
    CROSS JOIN dim_subjects AS s
    CROSS JOIN dim_dates AS d
    WHERE f.student_durable_key = t.student_durable_key
      AND f.date_key <= (SELECT o.as_of_date_key FROM v_as_of AS o)
      AND s.subject_key = f.subject_key AND d.date_key = f.date_key
) AS r
GROUP BY r.student_durable_key, r.school_year, r.subject;

-- name: merge
CREATE TEMP TABLE touched AS
SELECT DISTINCT student_durable_key FROM touched_student_month WHERE feed = 'performance';

DELETE FROM student_course WHERE student_durable_key IN (SELECT student_durable_key FROM touched);

INSERT INTO student_course (
    student_durable_key, school_year, subject, is_core, scores, score_bp_sum, last_scores, last_score_bp_sum,
    scores_flagged, homework_values, homework_bp_sum
)
{{ query }};

INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT student_durable_key, 0, 'year_to_date' FROM touched WHERE 1 = 1
ON CONFLICT DO NOTHING;

DELETE FROM touched_student_month WHERE feed = 'performance';

DROP TABLE touched;
