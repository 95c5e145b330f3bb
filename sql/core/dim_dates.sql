-- The calendar, one row per day from 1990 to 2059; key 0 is the unknown day of an undated score.
-- School years and days without school: data/reference/dim_dates.csv; without it, July to June, Monday to Friday.

-- name: schema
CREATE TABLE dim_dates (
    date_key         {integer} PRIMARY KEY, -- The day as yyyymmdd; 0 for unknown.
    full_date        {date}, -- The day as a date.
    day_number       {integer}, -- Days since 1970-01-01, for differences.
    day_of_week      {integer}, -- Monday is 1 (ISO 8601).
    week_key         {integer}, -- ISO week as yyyyww.
    month_key        {integer} NOT NULL, -- Month as yyyymm; 0 for unknown.
    school_year      {integer} NOT NULL, -- School year, named by the year it ends in; 0 for unknown.
    term             {text}, -- Term, where the calendar names one.
    is_instructional {integer} NOT NULL -- 1 on a day with school.
) {strict};
CREATE INDEX dim_dates_by_month ON dim_dates (month_key);

-- name: merge
INSERT INTO dim_dates (date_key, full_date, day_number, day_of_week, week_key, month_key, school_year, term, is_instructional)
SELECT date_key, full_date, day_number, day_of_week, week_key, month_key, school_year, term, is_instructional
FROM reference WHERE 1 = 1
ON CONFLICT (date_key) DO UPDATE SET
    school_year = excluded.school_year, term = excluded.term, is_instructional = excluded.is_instructional
WHERE dim_dates.school_year <> excluded.school_year
   OR dim_dates.term IS DISTINCT FROM excluded.term
   OR dim_dates.is_instructional <> excluded.is_instructional;
