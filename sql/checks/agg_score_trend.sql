SELECT d.school_year, d.month_key, COALESCE(s.grade_level, '(not given)') AS grade_level, b.subject,
    COUNT(*) AS scores, SUM(f.percent_bp) AS score_bp_sum,
    CAST(SUM(f.percent_bp) AS DOUBLE PRECISION) / (100 * COUNT(*)) AS average_score
FROM fact_performance AS f
JOIN dim_students AS s ON s.student_durable_key = f.student_durable_key AND s.is_current = 1
JOIN dim_subjects AS b ON b.subject_key = f.subject_key
JOIN dim_dates AS d ON d.date_key = f.date_key
WHERE f.percent_bp IS NOT NULL
GROUP BY d.school_year, d.month_key, COALESCE(s.grade_level, '(not given)'), b.subject
