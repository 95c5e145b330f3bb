-- The as-of day of the risk monitor, its school year and the rules in force: one row. The as-of day is the last day
-- with attendance, scores or messages, not the current date.

-- name: schema
CREATE VIEW v_as_of AS
SELECT
    d.date_key AS as_of_date_key, -- integer: As-of day, yyyymmdd; 0 if there is no dated data.
    d.full_date AS as_of_date, -- date: The day as a date.
    d.day_number AS day_number, -- integer: The day as days since 1970-01-01.
    d.month_key AS month_key, -- integer: Month of the day, yyyymm.
    d.school_year AS school_year, -- integer: School year of the day, named by the year in which it ends.
    d.data_known AS data_known, -- text: The day, and the feeds with the first day of each. If it changes, the tiers of all students are computed again.
    COALESCE((
        SELECT MAX(r.rule_set) FROM risk_rules AS r JOIN setting AS s ON s.name = 'rule_set' AND s.value = r.rule_set
    ), 'default') AS rule_set, -- text: The active rule set.
    COALESCE((SELECT s.value FROM setting AS s WHERE s.name = 'language' AND s.value <> ''), 'en') AS language, -- text: Language of the reasons.
    CASE
        WHEN d.data_known = (SELECT s.value FROM setting AS s WHERE s.name = 'data_of_tiers')
            AND (SELECT s.value FROM setting AS s WHERE s.name = 'rules_of_tiers')
                = (SELECT s.value FROM setting AS s WHERE s.name = 'rules_now') THEN 1
        ELSE 0
    END AS is_judged -- integer: 1 if the stored tiers of all students are up to date with data_known and the rules in force.
FROM (
    SELECT
        x.date_key, x.full_date, x.day_number, x.month_key, x.school_year,
        CAST(x.date_key AS TEXT) || COALESCE((
            SELECT STRING_AGG(' ' || e.feed || ' ' || CAST(e.first_date_key AS TEXT), '' ORDER BY e.feed) FROM data_extent AS e
        ), '') AS data_known
    FROM dim_dates AS x
    WHERE x.date_key = COALESCE(
        (SELECT MAX(e.last_date_key) FROM data_extent AS e WHERE e.feed NOT IN ('homework', 'groups') AND e.last_date_key > 0),
        (SELECT MAX(e.last_date_key) FROM data_extent AS e),
        0
    )
) AS d;
