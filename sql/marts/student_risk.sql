-- The risk tier of every current student, with all reasons as text.
--
-- HIGH: one indicator is severe, or indicators of two domains are at risk (domains: attendance, attendance trend, courses,
-- score trend, homework, contact).
-- MODERATE: indicators of one domain are at risk. WATCH: an indicator is worth watching.
-- ON_TRACK: nothing is flagged and every required indicator has enough data.
-- INSUFFICIENT_DATA: nothing is flagged, but there is not enough data. Missing data is never a good sign.
--
-- The level of an indicator (0 fine, 1 watch, 2 at risk, 3 severe) is computed in v_risk_levels, which compares
-- measures (v_risk_measures) with the rules in force (v_risk_rules). The tiers of all students are computed again when
-- the as-of day, the rules or the feeds with data change, otherwise only those of students that a load changed. The risk
-- monitor (v_student_risk_monitor) reads this table.

-- name: schema
CREATE TABLE student_risk (
    student_durable_key   {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- Durable key of the student.
    risk_tier             {{ text }} NOT NULL, -- HIGH, MODERATE, WATCH, ON_TRACK or INSUFFICIENT_DATA. [sensitive]
    risk_score            {{ integer }} NOT NULL, -- Sum of weight times level over all indicators, for sorting. [sensitive]
    reasons               {{ text }} NOT NULL, -- All reasons as text, most severe first. [sensitive]
    attendance_rate       {{ real }}, -- Days present as a share of days recorded this school year, percent 0-100. [sensitive]
    attendance_flag       {{ text }} NOT NULL, -- OK, WATCH, RISK, SEVERE or INSUFFICIENT_DATA. [sensitive]
    chronic_absence_tier  {{ text }}, -- Tier defined by Attendance Works: SEVERE_CHRONIC (20 % missed or more), MODERATE_CHRONIC (10 %), AT_RISK (5 %), SATISFACTORY. [sensitive]
    days_recorded         {{ integer }} NOT NULL, -- Days with at least one mapped attendance code.
    days_absent           {{ real }} NOT NULL, -- Days missed, excused or not. [sensitive]
    attendance_coverage   {{ real }}, -- Days with mapped codes as a share of days sent, percent 0-100.
    days_absent_in_a_row  {{ integer }}, -- Consecutive whole school days missed, up to the last recorded day. [sensitive]
    streak_flag           {{ text }} NOT NULL, -- Same values as attendance_flag. [sensitive]
    attendance_change     {{ real }}, -- Attendance rate of the last 20 school days minus that of the 20 before, percentage points. [sensitive]
    trend_flag            {{ text }} NOT NULL, -- Same values as attendance_flag. [sensitive]
    courses_failing       {{ integer }}, -- Core courses with an average below the pass mark. [sensitive]
    courses_flag          {{ text }} NOT NULL, -- Same values as attendance_flag. [sensitive]
    average_score         {{ real }}, -- Average of all valid scores, percent 0-100. [sensitive]
    score_flag            {{ text }} NOT NULL, -- Same values as attendance_flag. [sensitive]
    score_change          {{ real }}, -- Newest score of each subject minus the average of its earlier scores, averaged over subjects, percentage points. [sensitive]
    score_trend_flag      {{ text }} NOT NULL, -- Same values as attendance_flag. [sensitive]
    homework_missing_rate {{ real }}, -- Missing assignments as a share of those due in the last four weeks, percent 0-100. [sensitive]
    homework_flag         {{ text }} NOT NULL, -- Same values as attendance_flag. [sensitive]
    days_without_contact  {{ integer }}, -- Days since the last message between people. [sensitive]
    contact_flag          {{ text }} NOT NULL, -- Same values as attendance_flag. [sensitive]
    data_coverage         {{ real }} NOT NULL, -- Share of the indicators that have enough data, percent 0-100.
    known_until           {{ date }}, -- The as-of day: the last day with data.
    rule_set              {{ text }} NOT NULL, -- Name of the rule set that was applied.
    PRIMARY KEY (student_durable_key)
) {{ keyed }};

-- name: query
WITH student AS MATERIALIZED (
    SELECT s.student_durable_key, o.as_of_date AS known_until, o.rule_set
    FROM dim_students AS s
    CROSS JOIN v_as_of AS o
    WHERE s.is_current = 1 AND (s.left_on IS NULL OR o.as_of_date IS NULL OR s.left_on > o.as_of_date)
),
flagged AS MATERIALIZED (
    SELECT
        i.student_durable_key,
        SUM(CASE WHEN i.level = 3 THEN 1 ELSE 0 END) AS severe_indicators,
        COUNT(DISTINCT CASE WHEN i.level >= 2 THEN i.domain END) AS domains_at_risk,
        SUM(i.weight * i.level) AS risk_score,
        STRING_AGG(i.reason, '; ' ORDER BY i.level DESC, i.weight DESC, i.indicator) AS reasons
    FROM v_student_risk_indicators AS i
    WHERE i.level > 0
    GROUP BY i.student_durable_key
),
measured AS MATERIALIZED (
    -- Absence is counted in parts of a day, 2520 each (student_attendance_month). The trend indicators measure a decline; as
    -- a change it is shown with the opposite sign. NOT_NOW: the indicator no longer applies, such as the first month's.
    SELECT
        l.student_durable_key,
        SUM(CASE WHEN l.is_required = 1 AND l.data_status <> 'OK' THEN 1 ELSE 0 END) AS required_without_data,
        SUM(CASE WHEN l.data_status = 'OK' THEN 1 ELSE 0 END) AS indicators_with_data,
        SUM(CASE WHEN l.data_status <> 'NOT_NOW' THEN 1 ELSE 0 END) AS indicators,
        MAX(CASE WHEN l.indicator = 'attendance_rate' THEN l.value END) AS attendance_rate,
        MAX(CASE WHEN l.indicator = 'attendance_rate' THEN l.level END) AS attendance_level,
        MAX(CASE WHEN l.indicator = 'attendance_rate' THEN l.data_points END) AS days_recorded,
        MAX(CASE WHEN l.indicator = 'attendance_rate' THEN l.parts END) AS absent_parts,
        MAX(CASE WHEN l.indicator = 'attendance_rate' AND l.data_sent > 0
            THEN CAST(100 * l.data_points AS DOUBLE PRECISION) / l.data_sent END) AS attendance_coverage,
        MAX(CASE WHEN l.indicator = 'attendance_streak' THEN l.value END) AS streak,
        MAX(CASE WHEN l.indicator = 'attendance_streak' THEN l.level END) AS streak_level,
        MAX(CASE WHEN l.indicator = 'attendance_trend' THEN -l.value END) AS attendance_change,
        MAX(CASE WHEN l.indicator = 'attendance_trend' THEN l.level END) AS trend_level,
        MAX(CASE WHEN l.indicator = 'courses_failing' THEN l.value END) AS courses_failing,
        MAX(CASE WHEN l.indicator = 'courses_failing' THEN l.level END) AS courses_level,
        MAX(CASE WHEN l.indicator = 'average_score' THEN l.value END) AS average_score,
        MAX(CASE WHEN l.indicator = 'average_score' THEN l.level END) AS score_level,
        MAX(CASE WHEN l.indicator = 'score_trend' THEN -l.value END) AS score_change,
        MAX(CASE WHEN l.indicator = 'score_trend' THEN l.level END) AS score_trend_level,
        MAX(CASE WHEN l.indicator IN ('homework_missing', 'homework_completion') THEN l.level END) AS homework_level,
        MAX(CASE WHEN l.indicator = 'homework_missing' THEN l.value END) AS homework_missing_rate,
        MAX(CASE WHEN l.indicator = 'contact_gap' THEN l.value END) AS days_without_contact,
        MAX(CASE WHEN l.indicator = 'contact_gap' THEN l.level END) AS contact_level
    FROM (
        SELECT
            v.*,
            CASE WHEN v.data_points > 0 THEN CAST(v.numerator * v.scale AS DOUBLE PRECISION) / v.denominator END AS value
        FROM v_risk_levels AS v
    ) AS l
    GROUP BY l.student_durable_key
)
SELECT
    s.student_durable_key,
    CASE
        WHEN f.severe_indicators >= 1 OR f.domains_at_risk >= 2 THEN 'HIGH'
        WHEN f.domains_at_risk = 1 THEN 'MODERATE'
        WHEN f.student_durable_key IS NOT NULL THEN 'WATCH'
        WHEN m.required_without_data = 0 THEN 'ON_TRACK'
        ELSE 'INSUFFICIENT_DATA'
    END AS risk_tier,
    CAST(COALESCE(f.risk_score, 0) AS BIGINT) AS risk_score,
    COALESCE(f.reasons, '') AS reasons,
    m.attendance_rate AS attendance_rate,
    {{ flag("m.attendance_level") }} AS attendance_flag,
    CASE
        WHEN m.attendance_level IS NULL THEN NULL
        WHEN 5 * m.absent_parts >= 2520 * m.days_recorded THEN 'SEVERE_CHRONIC'
        WHEN 10 * m.absent_parts >= 2520 * m.days_recorded THEN 'MODERATE_CHRONIC'
        WHEN 20 * m.absent_parts >= 2520 * m.days_recorded THEN 'AT_RISK'
        ELSE 'SATISFACTORY'
    END AS chronic_absence_tier,
    COALESCE(m.days_recorded, 0) AS days_recorded,
    CAST(COALESCE(m.absent_parts, 0) AS DOUBLE PRECISION) / 2520 AS days_absent,
    m.attendance_coverage AS attendance_coverage,
    CAST(m.streak AS INTEGER) AS days_absent_in_a_row,
    {{ flag("m.streak_level") }} AS streak_flag,
    m.attendance_change AS attendance_change,
    {{ flag("m.trend_level") }} AS trend_flag,
    CAST(m.courses_failing AS INTEGER) AS courses_failing,
    {{ flag("m.courses_level") }} AS courses_flag,
    m.average_score AS average_score,
    {{ flag("m.score_level") }} AS score_flag,
    m.score_change AS score_change,
    {{ flag("m.score_trend_level") }} AS score_trend_flag,
    m.homework_missing_rate AS homework_missing_rate,
    {{ flag("m.homework_level") }} AS homework_flag,
    CAST(m.days_without_contact AS INTEGER) AS days_without_contact,
    {{ flag("m.contact_level") }} AS contact_flag,
    CASE
        WHEN m.indicators > 0 THEN CAST(100 * m.indicators_with_data AS DOUBLE PRECISION) / m.indicators
        ELSE 0.0
    END AS data_coverage,
    s.known_until,
    s.rule_set
FROM student AS s
LEFT JOIN measured AS m ON m.student_durable_key = s.student_durable_key
LEFT JOIN flagged AS f ON f.student_durable_key = s.student_durable_key;

-- name: due
SELECT CASE WHEN o.is_judged = 0 OR EXISTS (SELECT 1 FROM touched_student) THEN 1 ELSE 0 END AS is_due FROM v_as_of AS o;

-- name: merge
-- For many students, `judge` is replaced by DuckDB, which runs `levels` and `judged` (sql/bulk/student_risk.sql).
{{ choose_students }};

{{ judge }};

{{ clean_up }};

-- name: choose_students
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
{{ levels }};

INSERT INTO student_risk (
    student_durable_key, risk_tier, risk_score, reasons, attendance_rate, attendance_flag, chronic_absence_tier,
    days_recorded, days_absent, attendance_coverage, days_absent_in_a_row, streak_flag, attendance_change,
    trend_flag, courses_failing, courses_flag, average_score, score_flag, score_change, score_trend_flag,
    homework_missing_rate, homework_flag, days_without_contact, contact_flag, data_coverage, known_until,
    rule_set
)
{{ judged }};

DROP TABLE level_now;

-- name: levels
-- The queries of the views are inserted as common table expressions of the same names, below a `dim_students` that holds
-- only the students in `to_judge` (`home` is the schema of the real one). The levels are stored, because both tiers and
-- reasons need them.
CREATE TEMP TABLE level_now AS
WITH dim_students AS (
    {{ students_to_judge }}
),
v_risk_measures AS (
    {{ v_risk_measures }}
),
v_risk_rules AS (
    {{ v_risk_rules }}
)
SELECT * FROM (
    {{ v_risk_levels }}
) AS levels;

-- name: judged
WITH dim_students AS (
    {{ students_to_judge }}
),
v_risk_rules AS (
    {{ v_risk_rules }}
),
v_risk_levels AS (SELECT * FROM level_now),
v_student_risk_indicators AS (
    {{ v_student_risk_indicators }}
)
SELECT * FROM (
    {{ query }}
) AS judged;

-- name: students_to_judge
SELECT s.* FROM {{ home }}.dim_students AS s
WHERE s.student_durable_key IN (SELECT j.student_durable_key FROM to_judge AS j);

-- name: clean_up
DROP TABLE to_judge;

DROP TABLE IF EXISTS needs_older_months;
