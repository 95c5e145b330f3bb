-- Attendance rate by school year, month, grade level and subject, computed with Spark.

-- name: query
SELECT /*+ BROADCAST(c, b, d) */
    d.school_year, d.month_key, COALESCE(s.grade_level, '(not given)') AS grade_level, b.subject,
    COUNT(*) AS records,
    SUM(c.absent_share_pct) AS absent_pct_sum,
    CAST(100 * COUNT(*) - SUM(c.absent_share_pct) AS DOUBLE) / CAST(COUNT(*) AS DOUBLE) AS attendance_rate
FROM fact_attendance AS f
JOIN dim_attendance_codes AS c ON c.attendance_code_key = f.attendance_code_key AND c.absent_share_pct IS NOT NULL
JOIN dim_students AS s ON s.student_durable_key = f.student_durable_key AND s.is_current = 1
JOIN dim_subjects AS b ON b.subject_key = f.subject_key
JOIN dim_dates AS d ON d.date_key = f.date_key
GROUP BY d.school_year, d.month_key, COALESCE(s.grade_level, '(not given)'), b.subject;

-- name: schema
CREATE TABLE agg_attendance_trend (
    school_year     {{ integer }} NOT NULL, -- School year, named by the year in which it ends.
    month_key       {{ integer }} NOT NULL, -- Month, yyyymm.
    grade_level     {{ text }} NOT NULL, -- Current grade level of the students.
    subject         {{ text }} NOT NULL, -- The subject; 'All day' for daily attendance.
    records         {{ bigint }} NOT NULL, -- Number of attendance rows that count.
    absent_pct_sum  {{ bigint }} NOT NULL, -- Sum of the shares missed, in percent.
    attendance_rate {{ real }} NOT NULL, -- Attendance rate, percent 0-100.
    PRIMARY KEY (school_year, month_key, grade_level, subject)
) {{ keyed }};
