-- Attendance rate by school year, month, grade level and subject, computed by Spark.

-- name: schema
CREATE TABLE agg_attendance_trend (
    school_year     {{ integer }} NOT NULL, -- School year, named by the year it ends in.
    month_key       {{ integer }} NOT NULL, -- Month, yyyymm.
    grade_level     {{ text }} NOT NULL, -- Grade level of the students, as it is now.
    subject         {{ text }} NOT NULL, -- The subject; All day for daily attendance.
    records         {{ bigint }} NOT NULL, -- Attendance rows that count.
    absent_pct_sum  {{ bigint }} NOT NULL, -- Sum of the shares missed, percent.
    attendance_rate {{ real }} NOT NULL, -- Percent 0-100.
    PRIMARY KEY (school_year, month_key, grade_level, subject)
) {{ keyed }};
