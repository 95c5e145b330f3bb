-- From which day, in which school year and under which rules the risk monitor looks: one row.
-- The day is the setting STUDENT360_AS_OF_DATE, else the last day with attendance, scores or messages; never the clock.

-- name: schema
CREATE VIEW v_as_of AS
SELECT
    d.date_key AS as_of_date_key, -- integer: The day, yyyymmdd; 0 when nothing is dated.
    d.full_date AS as_of_date, -- date: The day as a date.
    d.day_number AS day_number, -- integer: The day as days since 1970-01-01.
    d.month_key AS month_key, -- integer: Its month, yyyymm.
    CASE WHEN d.month_key % 100 = 1 THEN d.month_key - 89 ELSE d.month_key - 1 END AS previous_month_key, -- integer: The month before.
    d.school_year AS school_year, -- integer: Its school year, named by the year it ends in.
    COALESCE((SELECT s.value FROM setting AS s WHERE s.name = 'rule_set' AND s.value <> ''), 'default') AS rule_set -- text: The active rule set.
FROM dim_dates AS d
WHERE d.date_key = COALESCE(
    (SELECT CAST(s.value AS INTEGER) FROM setting AS s WHERE s.name = 'as_of_date_key' AND s.value <> ''),
    (SELECT MAX(e.last_date_key) FROM data_extent AS e WHERE e.feed <> 'homework' AND e.last_date_key > 0),
    (SELECT MAX(e.last_date_key) FROM data_extent AS e),
    0
);
