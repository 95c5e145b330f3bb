-- Students per grade level and risk tier, computed by Spark.

-- name: schema
CREATE TABLE agg_risk_tiers (
    grade_level {{ text }} NOT NULL, -- Grade level.
    risk_tier   {{ text }} NOT NULL, -- As in v_student_risk_monitor.
    students    {{ integer }} NOT NULL, -- How many.
    PRIMARY KEY (grade_level, risk_tier)
) {{ keyed }};
