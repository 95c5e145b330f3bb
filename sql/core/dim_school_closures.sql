-- Days on which a single school is closed while the district is open. Rules: the lines of data/reference/dim_dates.csv
-- with a school. Rows for such a day do not count.

-- name: schema
CREATE TABLE dim_school_closures (
    school_id {{ text }} NOT NULL, -- The school's id in the source system.
    date_key  {{ integer }} NOT NULL REFERENCES dim_dates (date_key), -- The day of the closure, yyyymmdd.
    PRIMARY KEY (school_id, date_key)
) {{ keyed }};

-- name: merge
INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT DISTINCT m.student_durable_key, m.month_key, 'attendance'
FROM (
    SELECT * FROM (SELECT school_id, date_key FROM reference EXCEPT SELECT school_id, date_key FROM dim_school_closures) AS a
    UNION ALL
    SELECT * FROM (SELECT school_id, date_key FROM dim_school_closures EXCEPT SELECT school_id, date_key FROM reference) AS b
) AS c
JOIN dim_schools AS h ON h.school_id = c.school_id
JOIN student_attendance_month AS m ON m.school_key = h.school_key AND m.month_key = c.date_key / 100
ON CONFLICT DO NOTHING;

DELETE FROM dim_school_closures;

INSERT INTO dim_school_closures (school_id, date_key) SELECT DISTINCT school_id, date_key FROM reference;
