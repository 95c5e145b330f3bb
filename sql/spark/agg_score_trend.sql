-- Average score by school year, month, grade level and subject, computed with Spark.

-- name: query
SELECT /*+ BROADCAST(b, d) */
    d.school_year, d.month_key, COALESCE(s.grade_level, '(not given)') AS grade_level, b.subject,
    COUNT(*) AS scores,
    SUM(f.percent_bp) AS score_bp_sum,
    CAST(SUM(f.percent_bp) AS DOUBLE) / (100.0D * CAST(COUNT(*) AS DOUBLE)) AS average_score
FROM fact_performance AS f
JOIN dim_students AS s ON s.student_durable_key = f.student_durable_key AND s.is_current = 1
JOIN dim_subjects AS b ON b.subject_key = f.subject_key
JOIN dim_dates AS d ON d.date_key = f.date_key
WHERE f.percent_bp IS NOT NULL
GROUP BY d.school_year, d.month_key, COALESCE(s.grade_level, '(not given)'), b.subject;

-- name: schema
CREATE TABLE agg_score_trend (
    school_year   {{ integer }} NOT NULL, -- School year, named by the year in which it ends; 0 for undated scores.
    month_key     {{ integer }} NOT NULL, -- Month, yyyymm; 0 for undated scores.
    grade_level   {{ text }} NOT NULL, -- Current grade level of the students.
    subject       {{ text }} NOT NULL, -- The subject.
    scores        {{ bigint }} NOT NULL, -- Number of valid scores.
    score_bp_sum  {{ bigint }} NOT NULL, -- Sum of the scores, in basis points (10000 = 100 %).
    average_score {{ real }} NOT NULL, -- Average score, percent 0-100.
    PRIMARY KEY (school_year, month_key, grade_level, subject)
) {{ keyed }};
