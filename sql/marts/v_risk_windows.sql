-- The time windows of the risk measures, from the rules in force: one row.

-- name: schema
CREATE VIEW v_risk_windows AS
SELECT
    r.as_of_date_key AS as_of_date_key, -- integer: As-of day, yyyymmdd, as in v_as_of.
    r.as_of_date AS as_of_date, -- date: The day as a date.
    r.day_number AS day_number, -- integer: The day as days since 1970-01-01.
    r.month_key AS month_key, -- integer: Month of the day, yyyymm.
    r.school_year AS school_year, -- integer: School year of the day, named by the year in which it ends.
    r.trend_days AS trend_days, -- integer: The trend compares this number of last recorded days with the same number before.
    r.first_days AS first_days, -- integer: Number of recorded days that count as the first month.
    3 * r.first_days AS first_until_days, -- integer: The first month is evaluated until this number of days is recorded.
    COALESCE((
        SELECT MIN(d.month_key)
        FROM (
            SELECT x.month_key, ROW_NUMBER() OVER (ORDER BY x.date_key DESC) AS days_ago
            FROM dim_dates AS x
            WHERE x.school_year = r.school_year AND x.date_key <= r.as_of_date_key AND x.is_instructional = 1
        ) AS d
        WHERE d.days_ago <= 2 * r.trend_days + 1
    ), 0) AS trend_from_month_key, -- integer: Month of the earliest school day that the trend reads (one day before those that it compares), yyyymm.
    (
        SELECT MIN(d.date_key) FROM dim_dates AS d
        WHERE d.school_year = r.school_year AND d.day_number > r.day_number - r.homework_days
    ) AS homework_from_key, -- integer: Homework due from this day on counts, yyyymmdd.
    (
        SELECT d.day_number
        FROM data_extent AS e
        JOIN dim_dates AS d ON d.date_key = e.first_date_key
        WHERE e.feed = 'communication' AND d.day_number <= r.day_number
    ) AS messages_from_day -- integer: Days without a message are counted from this day at the earliest, as days since 1970-01-01; null if no messages were sent.
FROM (
    SELECT
        o.as_of_date_key, o.as_of_date, o.day_number, o.month_key, o.school_year,
        COALESCE(MAX(CASE WHEN u.indicator = 'attendance_trend' THEN u.window_size END), 20) AS trend_days,
        COALESCE(MAX(CASE WHEN u.indicator = 'attendance_first_month' THEN u.window_size END), 20) AS first_days,
        COALESCE(MAX(CASE WHEN u.indicator = 'homework_missing' THEN u.window_size END), 28) AS homework_days
    FROM v_as_of AS o
    LEFT JOIN risk_rules AS u ON u.rule_set = o.rule_set
        AND u.valid_from_key <= o.as_of_date_key AND u.valid_to_key > o.as_of_date_key
    GROUP BY o.as_of_date_key, o.as_of_date, o.day_number, o.month_key, o.school_year
) AS r;
