-- Students per grade level and risk tier, computed with Spark.

-- name: query
SELECT COALESCE(m.grade_level, '(not given)') AS grade_level, m.risk_tier, COUNT(*) AS students
FROM v_student_risk_monitor AS m
GROUP BY COALESCE(m.grade_level, '(not given)'), m.risk_tier;

-- name: schema
CREATE TABLE agg_risk_tiers (
    grade_level {{ text }} NOT NULL, -- Grade level.
    risk_tier   {{ text }} NOT NULL, -- See v_student_risk_monitor.
    students    {{ integer }} NOT NULL, -- Number of students.
    PRIMARY KEY (grade_level, risk_tier)
) {{ keyed }};
