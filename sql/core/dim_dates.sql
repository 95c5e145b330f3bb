-- The calendar, one row per day from 1990 to 2059. Key 0 is the unknown day of an undated score. School years and days
-- without school are in data/reference/dim_dates.csv; without it, school years run from July to June and school days
-- are Monday to Friday.

-- name: schema
CREATE TABLE dim_dates (
    date_key         {{ integer }} PRIMARY KEY, -- The day as yyyymmdd; 0 for unknown.
    full_date        {{ date }}, -- The day as a date.
    day_number       {{ integer }}, -- Days since 1970-01-01, to compute differences.
    day_of_week      {{ integer }}, -- Monday is 1 (ISO 8601).
    week_key         {{ integer }}, -- ISO week as yyyyww.
    month_key        {{ integer }} NOT NULL, -- Month as yyyymm; 0 for unknown.
    school_year      {{ integer }} NOT NULL, -- School year, named by the year in which it ends; 0 for unknown.
    term             {{ text }}, -- Term, if the calendar names one.
    is_instructional {{ integer }} NOT NULL, -- 1 on a school day.
    is_closed        {{ integer }} NOT NULL -- 1 if the calendar marks the day as closed. Rows for this day do not count.
) {{ strict }};
CREATE INDEX dim_dates_by_month ON dim_dates (month_key);

-- name: merge
CREATE TEMP TABLE changed_day AS
SELECT d.date_key, d.month_key
FROM dim_dates AS d
JOIN reference AS r ON r.date_key = d.date_key
WHERE d.school_year <> r.school_year OR d.is_instructional <> r.is_instructional OR d.is_closed <> r.is_closed;

INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT m.student_durable_key, m.month_key, 'attendance' FROM student_attendance_month AS m
WHERE m.month_key IN (SELECT month_key FROM changed_day)
UNION
SELECT m.student_durable_key, m.month_key, 'homework' FROM student_month AS m
WHERE m.month_key IN (SELECT month_key FROM changed_day)
UNION
SELECT c.student_durable_key, 0, 'performance' FROM student_course AS c
WHERE EXISTS (SELECT 1 FROM changed_day)
ON CONFLICT DO NOTHING;

DELETE FROM setting WHERE name = 'year_to_date_of' AND EXISTS (SELECT 1 FROM changed_day);

DROP TABLE changed_day;

INSERT INTO dim_dates (
    date_key, full_date, day_number, day_of_week, week_key, month_key, school_year, term, is_instructional, is_closed
)
SELECT
    date_key, full_date, day_number, day_of_week, week_key, month_key, school_year, term, is_instructional, is_closed
FROM reference WHERE 1 = 1
ON CONFLICT (date_key) DO UPDATE SET
    school_year = excluded.school_year, term = excluded.term, is_instructional = excluded.is_instructional,
    is_closed = excluded.is_closed
WHERE dim_dates.school_year <> excluded.school_year
   OR dim_dates.term IS DISTINCT FROM excluded.term
   OR dim_dates.is_instructional <> excluded.is_instructional
   OR dim_dates.is_closed <> excluded.is_closed;
