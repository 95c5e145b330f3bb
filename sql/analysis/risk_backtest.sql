-- Back-test of the risk list over a past school year: which students were flagged on each evaluation day, and which of
-- them became chronically absent or failed a core course by the end of the year. One row per evaluation day (or any of
-- them), rule or tier, and outcome.

-- name: schema
CREATE TABLE risk_backtest (
    school_year      {{ integer }} NOT NULL, -- The evaluated school year, named by the year in which it ends.
    judged_by        {{ text }} NOT NULL, -- A tier (HIGH; HIGH or MODERATE), or an indicator at level risk, or at level watch or higher.
    outcome          {{ text }} NOT NULL, -- chronically absent, failed a core course, or either.
    looked_on_key    {{ integer }} NOT NULL, -- Evaluation day, yyyymmdd; 0 for students flagged on any evaluation day.
    students         {{ integer }} NOT NULL, -- Evaluated students with a known outcome.
    flagged          {{ integer }} NOT NULL, -- Of these, flagged.
    had_outcome      {{ integer }} NOT NULL, -- Students with the outcome.
    hits             {{ integer }} NOT NULL, -- Flagged students with the outcome.
    precision_pct    {{ real }}, -- Hits as a share of flagged students, percent 0-100; null if none were flagged.
    recall_pct       {{ real }}, -- Hits as a share of students with the outcome, percent 0-100; null if none had it.
    median_lead_days {{ real }}, -- Median number of days from the first flag to the last school day, over all hits.
    PRIMARY KEY (school_year, judged_by, outcome, looked_on_key)
) {{ keyed }};

-- name: looks
SELECT d.date_key, d.full_date
FROM dim_dates AS d
WHERE d.school_year = {{ school_year }}
  AND EXISTS (SELECT 1 FROM fact_attendance AS f WHERE f.date_key = d.date_key)
ORDER BY d.date_key;

-- name: years
SELECT m.school_year, MAX(m.days) AS days
FROM (
    SELECT student_durable_key, school_year, SUM(days_recorded) AS days
    FROM student_attendance_month
    GROUP BY student_durable_key, school_year
) AS m
GROUP BY m.school_year
ORDER BY m.school_year DESC;

-- name: outcomes
SELECT
    COALESCE(a.student_durable_key, c.student_durable_key) AS student_durable_key,
    CASE WHEN a.days >= 10 THEN CASE WHEN 10 * a.absent_parts >= 2520 * a.days THEN 1 ELSE 0 END END AS chronically_absent,
    CASE WHEN c.courses > 0 THEN CASE WHEN c.failed > 0 THEN 1 ELSE 0 END END AS failed_a_core_course
FROM (
    SELECT student_durable_key, SUM(days_recorded) AS days, SUM(absent_parts) AS absent_parts
    FROM student_attendance_month
    WHERE school_year = {{ school_year }}
    GROUP BY student_durable_key
) AS a
FULL JOIN (
    SELECT
        s.student_durable_key, COUNT(*) AS courses,
        SUM(CASE WHEN s.score_bp_sum < p.minimum_bp * s.scores THEN 1 ELSE 0 END) AS failed
    FROM student_course AS s
    CROSS JOIN (SELECT MIN(minimum_bp) AS minimum_bp FROM dim_letter_grades WHERE is_passing = 1) AS p
    WHERE s.school_year = {{ school_year }} AND s.is_core = 1 AND s.scores > 0
    GROUP BY s.student_durable_key
) AS c ON c.student_durable_key = a.student_durable_key;
