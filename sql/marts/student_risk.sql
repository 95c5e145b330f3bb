-- Which student is at risk and why, as the rules say: a row for every current student, kept up to date so that the risk
-- monitor is read at once. When the day or the rules have moved, all students are judged again, else those whom a load touched.
-- HIGH: one severe, or at risk in two domains. MODERATE: at risk in one. WATCH: something to watch. ON_TRACK only when the
-- data suffices, else INSUFFICIENT_DATA: no data is never fine.

-- Where there are many, they are judged from the months that the windows reach into; of who is looked back for, those months
-- do not say all. Months and days are told as a list and as a range: SQLite needs the one to use its indexes, PostgreSQL the
-- other.

-- name: schema
CREATE TABLE student_risk (
    student_durable_key   {integer} NOT NULL REFERENCES student_identity (student_durable_key), -- The student.
    risk_tier             {text} NOT NULL, -- HIGH, MODERATE, WATCH, ON_TRACK or INSUFFICIENT_DATA. [sensitive]
    risk_score            {integer} NOT NULL, -- Sum of weight times level of all flags; for ordering. [sensitive]
    reasons               {text} NOT NULL, -- All reasons in words, the gravest first. [sensitive]
    attendance_rate       {real}, -- Days present of days recorded this school year, percent 0-100. [sensitive]
    attendance_flag       {text} NOT NULL, -- OK, WATCH, RISK, SEVERE or INSUFFICIENT_DATA. [sensitive]
    chronic_absence_tier  {text}, -- By Attendance Works: SEVERE_CHRONIC (20 % missed or more), MODERATE_CHRONIC (10 %), AT_RISK (5 %), SATISFACTORY. [sensitive]
    days_recorded         {integer} NOT NULL, -- Days with attendance that could be understood.
    days_absent           {real} NOT NULL, -- Days missed, excused or not. [sensitive]
    attendance_coverage   {real}, -- Days understood of days sent, percent 0-100.
    days_absent_in_a_row  {integer}, -- Whole school days missed up to the last one recorded. [sensitive]
    streak_flag           {text} NOT NULL, -- As attendance_flag. [sensitive]
    attendance_change     {real}, -- Attendance rate of the last 20 school days against the 20 before, percentage points. [sensitive]
    trend_flag            {text} NOT NULL, -- As attendance_flag. [sensitive]
    courses_failing       {integer}, -- Core courses with an average below the pass mark. [sensitive]
    courses_flag          {text} NOT NULL, -- As attendance_flag. [sensitive]
    average_score         {real}, -- Average of the scores that count, percent 0-100. [sensitive]
    score_flag            {text} NOT NULL, -- As attendance_flag. [sensitive]
    score_change          {real}, -- Newest score of each subject against the earlier ones, percentage points. [sensitive]
    score_trend_flag      {text} NOT NULL, -- As attendance_flag. [sensitive]
    homework_missing_rate {real}, -- Assignments missing of those due in the last four weeks, percent 0-100. [sensitive]
    homework_flag         {text} NOT NULL, -- As attendance_flag. [sensitive]
    days_without_contact  {integer}, -- Days since a message between people. [sensitive]
    contact_flag          {text} NOT NULL, -- As attendance_flag. [sensitive]
    data_coverage         {real} NOT NULL, -- Indicators with enough data of all, percent 0-100.
    known_until           {date}, -- The day up to which data was known.
    rule_set              {text} NOT NULL, -- The rules that were applied.
    PRIMARY KEY (student_durable_key)
) {keyed};

-- name: due
SELECT CASE WHEN o.is_judged = 0 OR EXISTS (SELECT 1 FROM touched_student) THEN 1 ELSE 0 END AS is_due FROM v_as_of AS o

-- name: merge
{who}

{judge}

{let_go}

-- name: who
CREATE TEMP TABLE to_judge AS
SELECT s.student_durable_key
FROM dim_students AS s
CROSS JOIN v_as_of AS o
WHERE s.is_current = 1
  AND (o.is_judged = 0 OR s.student_durable_key IN (SELECT t.student_durable_key FROM touched_student AS t));

DELETE FROM student_risk
WHERE student_durable_key IN (SELECT student_durable_key FROM to_judge)
   OR student_durable_key NOT IN (SELECT s.student_durable_key FROM dim_students AS s WHERE s.is_current = 1);

-- name: judge
{levels}

INSERT INTO student_risk (
    student_durable_key, risk_tier, risk_score, reasons, attendance_rate, attendance_flag, chronic_absence_tier,
    days_recorded, days_absent, attendance_coverage, days_absent_in_a_row, streak_flag, attendance_change,
    trend_flag, courses_failing, courses_flag, average_score, score_flag, score_change, score_trend_flag,
    homework_missing_rate, homework_flag, days_without_contact, contact_flag, data_coverage, known_until,
    rule_set
)
{judged};

DROP TABLE level_now;

-- name: let_go
DROP TABLE to_judge;

DROP TABLE IF EXISTS looked_back_for;

-- name: beside
{levels}

{judged};

-- name: levels
CREATE TEMP TABLE level_now AS
WITH {only_those},
v_risk_measures AS ({v_risk_measures}),
v_risk_rules AS ({v_risk_rules})
SELECT * FROM ({v_risk_levels}) AS levels;

-- name: judged
WITH {only_those},
v_risk_rules AS ({v_risk_rules}),
v_risk_levels AS (SELECT * FROM level_now),
v_student_risk_indicators AS ({v_student_risk_indicators})
SELECT * FROM ({rows}) AS judged

-- name: parts
SELECT
    MIN(p.student_durable_key) AS first_student, MAX(p.student_durable_key) AS last_student, COUNT(*) AS students
FROM (
    SELECT j.student_durable_key, NTILE({how_many}) OVER (ORDER BY j.student_durable_key) AS part_no FROM to_judge AS j
) AS p
GROUP BY p.part_no
ORDER BY first_student;

-- name: these
SELECT j.student_durable_key FROM to_judge AS j
WHERE j.student_durable_key BETWEEN {first_student} AND {last_student}

-- name: look_back
CREATE TEMP TABLE looked_back_for AS
SELECT j.student_durable_key FROM to_judge AS j
EXCEPT
SELECT m.student_durable_key
FROM student_attendance_month AS m
WHERE school_year = {this_year} AND {of_last_months}
GROUP BY m.student_durable_key
HAVING MIN(m.days_before) = 0 OR (
    SUM(m.days_recorded) > (SELECT 2 * w.trend_days FROM v_risk_windows AS w)
    AND SUM(m.absent_parts) < 2520 * SUM(m.days_recorded)
    AND MAX(m.days_before + m.days_recorded) > (SELECT w.first_until_days FROM v_risk_windows AS w)
);

ANALYZE looked_back_for;

-- name: read
SELECT * FROM dim_students WHERE is_current = 1 AND {of_these};

SELECT * FROM student_attendance_month WHERE {of_these} AND school_year = {this_year} AND {of_last_months};

SELECT * FROM student_attendance_month
WHERE {of_these} AND school_year = {this_year} AND month_key < {first_of_last_months}
  AND student_durable_key IN (SELECT b.student_durable_key FROM looked_back_for AS b);

SELECT * FROM student_year_to_date WHERE {of_these};

SELECT * FROM fact_homework
WHERE {of_these} AND due_date_key IN (
    SELECT d.date_key
    FROM v_risk_windows AS w
    JOIN dim_dates AS d ON d.date_key BETWEEN w.homework_from_key AND w.as_of_date_key
) AND due_date_key BETWEEN (SELECT w.homework_from_key FROM v_risk_windows AS w)
    AND (SELECT w.as_of_date_key FROM v_risk_windows AS w);

-- name: of_these
student_durable_key BETWEEN {first_student} AND {last_student} {if_due}

-- name: this_year
(SELECT w.school_year FROM v_risk_windows AS w)

-- name: of_last_months
month_key IN (
    SELECT d.month_key
    FROM v_risk_windows AS w
    JOIN dim_dates AS d ON d.school_year = w.school_year AND d.month_key BETWEEN w.trend_from_month_key AND w.month_key
) AND month_key BETWEEN {first_of_last_months} AND (SELECT w.month_key FROM v_risk_windows AS w)

-- name: first_of_last_months
(SELECT w.trend_from_month_key FROM v_risk_windows AS w)

-- name: only_those
dim_students AS (
    SELECT s.* FROM {home}.dim_students AS s
    WHERE s.student_durable_key IN (SELECT j.student_durable_key FROM to_judge AS j)
)

-- name: rows
WITH student AS MATERIALIZED (
    SELECT s.student_durable_key, o.as_of_date AS known_until, o.rule_set
    FROM dim_students AS s
    CROSS JOIN v_as_of AS o
    WHERE s.is_current = 1 AND (s.left_on IS NULL OR o.as_of_date IS NULL OR s.left_on > o.as_of_date)
),
judged AS MATERIALIZED (
    SELECT
        w.student_durable_key,
        SUM(CASE WHEN w.is_required = 1 AND w.data_status <> 'OK' THEN 1 ELSE 0 END) AS required_lacking,
        SUM(CASE WHEN w.data_status = 'OK' THEN 1 ELSE 0 END) AS indicators_judged,
        SUM(CASE WHEN w.data_status <> 'NOT_NOW' THEN 1 ELSE 0 END) AS indicators,
        MAX(CASE WHEN w.indicator = 'attendance_rate' THEN w.value END) AS attendance_rate,
        MAX(CASE WHEN w.indicator = 'attendance_rate' THEN w.level END) AS attendance_level,
        MAX(CASE WHEN w.indicator = 'attendance_rate' THEN w.data_points END) AS days_recorded,
        MAX(CASE WHEN w.indicator = 'attendance_rate' THEN w.parts END) AS absent_parts,
        MAX(CASE WHEN w.indicator = 'attendance_rate' AND w.data_sent > 0
            THEN CAST(100 * w.data_points AS DOUBLE PRECISION) / w.data_sent END) AS attendance_coverage,
        MAX(CASE WHEN w.indicator = 'attendance_streak' THEN w.value END) AS streak,
        MAX(CASE WHEN w.indicator = 'attendance_streak' THEN w.level END) AS streak_level,
        MAX(CASE WHEN w.indicator = 'attendance_trend' THEN -w.value END) AS attendance_change,
        MAX(CASE WHEN w.indicator = 'attendance_trend' THEN w.level END) AS trend_level,
        MAX(CASE WHEN w.indicator = 'courses_failing' THEN w.value END) AS courses_failing,
        MAX(CASE WHEN w.indicator = 'courses_failing' THEN w.level END) AS courses_level,
        MAX(CASE WHEN w.indicator = 'average_score' THEN w.value END) AS average_score,
        MAX(CASE WHEN w.indicator = 'average_score' THEN w.level END) AS score_level,
        MAX(CASE WHEN w.indicator = 'score_trend' THEN -w.value END) AS score_change,
        MAX(CASE WHEN w.indicator = 'score_trend' THEN w.level END) AS score_trend_level,
        MAX(CASE WHEN w.indicator IN ('homework_missing', 'homework_completion') THEN w.level END) AS homework_level,
        MAX(CASE WHEN w.indicator = 'homework_missing' THEN w.value END) AS homework_missing_rate,
        MAX(CASE WHEN w.indicator = 'contact_gap' THEN w.value END) AS days_without_contact,
        MAX(CASE WHEN w.indicator = 'contact_gap' THEN w.level END) AS contact_level
    FROM (
        SELECT
            l.*,
            CASE WHEN l.data_points > 0 THEN CAST(l.numerator * l.scale AS DOUBLE PRECISION) / l.denominator END AS value
        FROM v_risk_levels AS l
    ) AS w
    GROUP BY w.student_durable_key
),
flagged AS MATERIALIZED (
    SELECT
        w.student_durable_key,
        SUM(CASE WHEN w.level = 3 THEN 1 ELSE 0 END) AS severe_count,
        MIN(CASE WHEN w.level >= 2 THEN w.domain END) AS domain_at_risk,
        MAX(CASE WHEN w.level >= 2 THEN w.domain END) AS other_domain_at_risk,
        SUM(w.weight * w.level) AS risk_score,
        STRING_AGG(w.reason, '; ' ORDER BY w.level DESC, w.weight DESC, w.indicator) AS reasons
    FROM v_student_risk_indicators AS w
    WHERE w.level > 0
    GROUP BY w.student_durable_key
)
SELECT
    s.student_durable_key,
    CASE
        WHEN g.severe_count >= 1 OR g.domain_at_risk <> g.other_domain_at_risk THEN 'HIGH'
        WHEN g.domain_at_risk IS NOT NULL THEN 'MODERATE'
        WHEN g.student_durable_key IS NOT NULL THEN 'WATCH'
        WHEN t.required_lacking = 0 THEN 'ON_TRACK'
        ELSE 'INSUFFICIENT_DATA'
    END AS risk_tier,
    CAST(COALESCE(g.risk_score, 0) AS BIGINT) AS risk_score,
    COALESCE(g.reasons, '') AS reasons,
    t.attendance_rate AS attendance_rate,
    CASE t.attendance_level WHEN 3 THEN 'SEVERE' WHEN 2 THEN 'RISK' WHEN 1 THEN 'WATCH' WHEN 0 THEN 'OK' ELSE 'INSUFFICIENT_DATA' END AS attendance_flag,
    CASE
        WHEN t.attendance_level IS NULL THEN NULL
        WHEN 5 * t.absent_parts >= 2520 * t.days_recorded THEN 'SEVERE_CHRONIC'
        WHEN 10 * t.absent_parts >= 2520 * t.days_recorded THEN 'MODERATE_CHRONIC'
        WHEN 20 * t.absent_parts >= 2520 * t.days_recorded THEN 'AT_RISK'
        ELSE 'SATISFACTORY'
    END AS chronic_absence_tier,
    COALESCE(t.days_recorded, 0) AS days_recorded,
    CAST(COALESCE(t.absent_parts, 0) AS DOUBLE PRECISION) / 2520 AS days_absent,
    t.attendance_coverage AS attendance_coverage,
    CAST(t.streak AS INTEGER) AS days_absent_in_a_row,
    CASE t.streak_level WHEN 3 THEN 'SEVERE' WHEN 2 THEN 'RISK' WHEN 1 THEN 'WATCH' WHEN 0 THEN 'OK' ELSE 'INSUFFICIENT_DATA' END AS streak_flag,
    t.attendance_change AS attendance_change,
    CASE t.trend_level WHEN 3 THEN 'SEVERE' WHEN 2 THEN 'RISK' WHEN 1 THEN 'WATCH' WHEN 0 THEN 'OK' ELSE 'INSUFFICIENT_DATA' END AS trend_flag,
    CAST(t.courses_failing AS INTEGER) AS courses_failing,
    CASE t.courses_level WHEN 3 THEN 'SEVERE' WHEN 2 THEN 'RISK' WHEN 1 THEN 'WATCH' WHEN 0 THEN 'OK' ELSE 'INSUFFICIENT_DATA' END AS courses_flag,
    t.average_score AS average_score,
    CASE t.score_level WHEN 3 THEN 'SEVERE' WHEN 2 THEN 'RISK' WHEN 1 THEN 'WATCH' WHEN 0 THEN 'OK' ELSE 'INSUFFICIENT_DATA' END AS score_flag,
    t.score_change AS score_change,
    CASE t.score_trend_level WHEN 3 THEN 'SEVERE' WHEN 2 THEN 'RISK' WHEN 1 THEN 'WATCH' WHEN 0 THEN 'OK' ELSE 'INSUFFICIENT_DATA' END AS score_trend_flag,
    t.homework_missing_rate AS homework_missing_rate,
    CASE t.homework_level WHEN 3 THEN 'SEVERE' WHEN 2 THEN 'RISK' WHEN 1 THEN 'WATCH' WHEN 0 THEN 'OK' ELSE 'INSUFFICIENT_DATA' END AS homework_flag,
    CAST(t.days_without_contact AS INTEGER) AS days_without_contact,
    CASE t.contact_level WHEN 3 THEN 'SEVERE' WHEN 2 THEN 'RISK' WHEN 1 THEN 'WATCH' WHEN 0 THEN 'OK' ELSE 'INSUFFICIENT_DATA' END AS contact_flag,
    CASE WHEN t.indicators > 0 THEN CAST(100 * t.indicators_judged AS DOUBLE PRECISION) / t.indicators ELSE 0.0 END AS data_coverage,
    s.known_until,
    s.rule_set
FROM student AS s
LEFT JOIN judged AS t ON t.student_durable_key = s.student_durable_key
LEFT JOIN flagged AS g ON g.student_durable_key = s.student_durable_key
