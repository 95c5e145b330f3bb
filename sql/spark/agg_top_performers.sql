-- The ten best students of each grade level and subject by average score, computed with Spark.

-- name: query
WITH average AS (
    SELECT /*+ BROADCAST(b) */
        COALESCE(s.grade_level, '(not given)') AS grade_level, b.subject, s.student_id,
        COUNT(*) AS scores,
        SUM(f.percent_bp) AS score_bp_sum,
        CAST(SUM(f.percent_bp) AS DOUBLE) / (100.0D * CAST(COUNT(*) AS DOUBLE)) AS average_score
    FROM fact_performance AS f
    JOIN dim_students AS s ON s.student_durable_key = f.student_durable_key AND s.is_current = 1
    JOIN dim_subjects AS b ON b.subject_key = f.subject_key
    WHERE f.percent_bp IS NOT NULL
    GROUP BY COALESCE(s.grade_level, '(not given)'), b.subject, s.student_id
),
ranked AS (
    SELECT
        a.grade_level, a.subject, a.student_id, a.scores, a.score_bp_sum, a.average_score,
        CAST(ROW_NUMBER() OVER (
            PARTITION BY a.grade_level, a.subject ORDER BY a.average_score DESC, a.student_id
        ) AS BIGINT) AS rank
    FROM average AS a
)
SELECT r.grade_level, r.subject, r.rank, r.student_id, r.scores, r.score_bp_sum, r.average_score
FROM ranked AS r
WHERE r.rank <= 10;

-- name: schema
CREATE TABLE agg_top_performers (
    grade_level   {{ text }} NOT NULL, -- Grade level.
    subject       {{ text }} NOT NULL, -- The subject.
    rank          {{ integer }} NOT NULL, -- Rank; 1 is the best. Ties are ordered by student id.
    student_id    {{ text }} NOT NULL, -- The student's id. [sensitive]
    scores        {{ integer }} NOT NULL, -- Number of valid scores.
    score_bp_sum  {{ bigint }} NOT NULL, -- Sum of the scores, in basis points (10000 = 100 %). [sensitive]
    average_score {{ real }} NOT NULL, -- Average score, percent 0-100. [sensitive]
    PRIMARY KEY (grade_level, subject, rank)
) {{ keyed }};
