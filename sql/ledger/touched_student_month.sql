-- Students and months that changed and are not yet refreshed in student_attendance_month, student_month and
-- student_course; also students not yet refreshed in student_year_to_date, which the refreshes of the latter two add
-- (feed year_to_date).

-- Only one transaction writes at a time, so NOT EXISTS is sufficient to skip rows that are marked already. ON CONFLICT
-- would check each row: for 250,000 rows on PostgreSQL it takes 1.4 s instead of 0.9 s. On SQLite ON CONFLICT is the
-- faster one, 0.3 s instead of 0.5 s.

-- name: schema
CREATE TABLE touched_student_month (
    student_durable_key {{ integer }} NOT NULL, -- Durable key of the student.
    month_key           {{ integer }} NOT NULL, -- The month, yyyymm; 0 for undated scores.
    feed                {{ text }} NOT NULL, -- The feed whose data changed.
    first_date_key      {{ integer }} NOT NULL DEFAULT 0, -- First changed day of the month, yyyymmdd; 0 for the whole month.
    PRIMARY KEY (student_durable_key, month_key, feed, first_date_key)
) {{ keyed }};

-- name: after_merge
INSERT INTO touched_student_month (student_durable_key, month_key, feed, first_date_key)
SELECT n.student_durable_key, n.month_key, n.feed, n.first_date_key
FROM (
    SELECT student_durable_key, month_key, feed, MIN(first_changed_key) AS first_date_key
    FROM merged
    WHERE first_changed_key IS NOT NULL
    GROUP BY student_durable_key, month_key, feed
    ORDER BY student_durable_key, month_key, feed
) AS n
WHERE NOT EXISTS (
    SELECT 1 FROM touched_student_month AS t
    WHERE t.student_durable_key = n.student_durable_key AND t.month_key = n.month_key AND t.feed = n.feed
      AND t.first_date_key = n.first_date_key
);
