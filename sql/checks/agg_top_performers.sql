SELECT grade_level, subject, rank, student_id, scores, score_bp_sum, average_score
FROM (
    SELECT a.*, ROW_NUMBER() OVER (
        PARTITION BY a.grade_level, a.subject ORDER BY a.average_score DESC, a.student_id
    ) AS rank
    FROM (
        SELECT COALESCE(s.grade_level, '(not given)') AS grade_level, b.subject, s.student_id, COUNT(*) AS scores,
            SUM(f.percent_bp) AS score_bp_sum, CAST(SUM(f.percent_bp) AS DOUBLE PRECISION) / (100 * COUNT(*)) AS average_score
        FROM fact_performance AS f
        JOIN dim_students AS s ON s.student_durable_key = f.student_durable_key AND s.is_current = 1
        JOIN dim_subjects AS b ON b.subject_key = f.subject_key
        WHERE f.percent_bp IS NOT NULL
        GROUP BY COALESCE(s.grade_level, '(not given)'), b.subject, s.student_id
    ) AS a
) AS ranked
WHERE rank <= 10
