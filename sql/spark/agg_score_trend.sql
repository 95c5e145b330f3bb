-- Average score by school year, month, grade level and subject, computed by Spark.

-- name: schema
CREATE TABLE agg_score_trend (
    school_year   {{ integer }} NOT NULL, -- School year, named by the year it ends in; 0 for undated scores.
    month_key     {{ integer }} NOT NULL, -- Month, yyyymm; 0 for undated scores.
    grade_level   {{ text }} NOT NULL, -- Grade level of the students, as it is now.
    subject       {{ text }} NOT NULL, -- The subject.
    scores        {{ bigint }} NOT NULL, -- Scores that count; flagged ones do not.
    score_bp_sum  {{ bigint }} NOT NULL, -- Their sum in basis points (10000 = 100 %).
    average_score {{ real }} NOT NULL, -- Percent 0-100.
    PRIMARY KEY (school_year, month_key, grade_level, subject)
) {{ keyed }};
