-- The ten best students of each grade level and subject by average score, computed by Spark.

-- name: schema
CREATE TABLE agg_top_performers (
    grade_level   {{ text }} NOT NULL, -- Grade level.
    subject       {{ text }} NOT NULL, -- The subject.
    rank          {{ integer }} NOT NULL, -- 1 is the best; ties go by student id.
    student_id    {{ text }} NOT NULL, -- The student's id. [sensitive]
    scores        {{ integer }} NOT NULL, -- Scores that count.
    score_bp_sum  {{ bigint }} NOT NULL, -- Their sum in basis points (10000 = 100 %). [sensitive]
    average_score {{ real }} NOT NULL, -- Percent 0-100. [sensitive]
    PRIMARY KEY (grade_level, subject, rank)
) {{ keyed }};
