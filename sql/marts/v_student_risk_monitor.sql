-- Which student is at risk and why: one row for every current student, with every reason.
-- HIGH: one severe, or at risk in two domains. MODERATE: at risk in one. WATCH: something to watch. ON_TRACK only when the
-- data suffices, else INSUFFICIENT_DATA: no data is never fine. Each indicator on its own: v_student_risk_indicators.

-- name: schema
CREATE VIEW v_student_risk_monitor AS
WITH look AS MATERIALIZED (
    SELECT o.as_of_date, o.school_year, o.month_key, o.rule_set FROM v_as_of AS o
),
judged AS MATERIALIZED (
    SELECT
        w.student_durable_key,
        SUM(CASE WHEN w.level = 3 THEN 1 ELSE 0 END) AS severe_count,
        COUNT(DISTINCT CASE WHEN w.level >= 2 THEN w.domain END) AS domains_at_risk,
        SUM(CASE WHEN w.level >= 1 THEN 1 ELSE 0 END) AS flag_count,
        SUM(w.weight * w.level) AS risk_score,
        SUM(CASE WHEN w.is_required = 1 AND w.data_status <> 'OK' THEN 1 ELSE 0 END) AS required_lacking,
        SUM(CASE WHEN w.data_status = 'OK' THEN 1 ELSE 0 END) AS indicators_judged,
        SUM(CASE WHEN w.data_status <> 'NOT_NOW' THEN 1 ELSE 0 END) AS indicators,
        STRING_AGG(w.reason, '; ' ORDER BY w.level DESC, w.weight DESC, w.indicator) AS reasons,
        MAX(CASE WHEN w.indicator = 'attendance_rate' THEN w.value END) AS attendance_rate,
        MAX(CASE WHEN w.indicator = 'attendance_rate' THEN w.flag END) AS attendance_flag,
        MAX(CASE WHEN w.indicator = 'attendance_rate' THEN w.data_points END) AS days_recorded,
        MAX(CASE WHEN w.indicator = 'attendance_rate' THEN w.coverage END) AS attendance_coverage,
        MAX(CASE WHEN w.indicator = 'attendance_streak' THEN w.value END) AS streak,
        MAX(CASE WHEN w.indicator = 'attendance_streak' THEN w.flag END) AS streak_flag,
        MAX(CASE WHEN w.indicator = 'attendance_trend' THEN -w.value END) AS attendance_change,
        MAX(CASE WHEN w.indicator = 'attendance_trend' THEN w.flag END) AS trend_flag,
        MAX(CASE WHEN w.indicator = 'courses_failing' THEN w.value END) AS courses_failing,
        MAX(CASE WHEN w.indicator = 'courses_failing' THEN w.flag END) AS courses_flag,
        MAX(CASE WHEN w.indicator = 'average_score' THEN w.value END) AS average_score,
        MAX(CASE WHEN w.indicator = 'average_score' THEN w.flag END) AS score_flag,
        MAX(CASE WHEN w.indicator = 'score_trend' THEN -w.value END) AS score_change,
        MAX(CASE WHEN w.indicator = 'score_trend' THEN w.flag END) AS score_trend_flag,
        MAX(CASE WHEN w.indicator IN ('homework_missing', 'homework_completion') THEN w.flag END) AS homework_flag,
        MAX(CASE WHEN w.indicator = 'homework_missing' THEN w.value END) AS homework_missing_rate,
        MAX(CASE WHEN w.indicator = 'contact_gap' THEN w.value END) AS days_without_contact,
        MAX(CASE WHEN w.indicator = 'contact_gap' THEN w.flag END) AS contact_flag
    FROM v_student_risk_indicators AS w
    GROUP BY w.student_durable_key
),
absent AS MATERIALIZED (
    SELECT m.student_durable_key, SUM(m.absent_parts) AS absent_parts, SUM(m.days_recorded) AS days
    FROM look AS o
    JOIN student_attendance_month AS m ON m.school_year = o.school_year AND m.month_key <= o.month_key
    GROUP BY m.student_durable_key
)
SELECT
    s.student_id AS student_id, -- text: The student's id. [sensitive]
    s.full_name AS full_name, -- text: The student's name. [pii]
    s.grade_level AS grade_level, -- text: Grade level. [sensitive]
    h.school_id AS school_id, -- text: School of enrolment.
    s.homeroom AS homeroom, -- text: Homeroom. [sensitive]
    CASE
        WHEN t.severe_count >= 1 OR t.domains_at_risk >= 2 THEN 'HIGH'
        WHEN t.domains_at_risk = 1 THEN 'MODERATE'
        WHEN t.flag_count >= 1 THEN 'WATCH'
        WHEN t.required_lacking = 0 THEN 'ON_TRACK'
        ELSE 'INSUFFICIENT_DATA'
    END AS risk_tier, -- text: HIGH, MODERATE, WATCH, ON_TRACK or INSUFFICIENT_DATA. [sensitive]
    CAST(COALESCE(t.risk_score, 0) AS BIGINT) AS risk_score, -- integer: Sum of weight times level of all flags; for ordering. [sensitive]
    COALESCE(t.reasons, '') AS reasons, -- text: All reasons in words, the gravest first. [sensitive]
    t.attendance_rate AS attendance_rate, -- real: Days present of days recorded this school year, percent 0-100. [sensitive]
    COALESCE(t.attendance_flag, 'INSUFFICIENT_DATA') AS attendance_flag, -- text: OK, WATCH, RISK, SEVERE or INSUFFICIENT_DATA. [sensitive]
    CASE
        WHEN a.days IS NULL OR t.attendance_flag = 'INSUFFICIENT_DATA' THEN NULL
        WHEN 5 * a.absent_parts >= 2520 * a.days THEN 'SEVERE_CHRONIC'
        WHEN 10 * a.absent_parts >= 2520 * a.days THEN 'MODERATE_CHRONIC'
        WHEN 20 * a.absent_parts >= 2520 * a.days THEN 'AT_RISK'
        ELSE 'SATISFACTORY'
    END AS chronic_absence_tier, -- text: By Attendance Works: SEVERE_CHRONIC (20 % missed or more), MODERATE_CHRONIC (10 %), AT_RISK (5 %), SATISFACTORY. [sensitive]
    COALESCE(t.days_recorded, 0) AS days_recorded, -- integer: Days with attendance that could be understood.
    CAST(COALESCE(a.absent_parts, 0) AS DOUBLE PRECISION) / 2520 AS days_absent, -- real: Days missed, excused or not. [sensitive]
    t.attendance_coverage AS attendance_coverage, -- real: Days understood of days sent, percent 0-100.
    CAST(t.streak AS INTEGER) AS days_absent_in_a_row, -- integer: Whole school days missed up to the last one recorded. [sensitive]
    COALESCE(t.streak_flag, 'INSUFFICIENT_DATA') AS streak_flag, -- text: As attendance_flag. [sensitive]
    t.attendance_change AS attendance_change, -- real: Attendance rate of the last 20 school days against the 20 before, percentage points. [sensitive]
    COALESCE(t.trend_flag, 'INSUFFICIENT_DATA') AS trend_flag, -- text: As attendance_flag. [sensitive]
    CAST(t.courses_failing AS INTEGER) AS courses_failing, -- integer: Core courses with an average below the pass mark. [sensitive]
    COALESCE(t.courses_flag, 'INSUFFICIENT_DATA') AS courses_flag, -- text: As attendance_flag. [sensitive]
    t.average_score AS average_score, -- real: Average of the scores that count, percent 0-100. [sensitive]
    COALESCE(t.score_flag, 'INSUFFICIENT_DATA') AS score_flag, -- text: As attendance_flag. [sensitive]
    t.score_change AS score_change, -- real: Newest score of each subject against the earlier ones, percentage points. [sensitive]
    COALESCE(t.score_trend_flag, 'INSUFFICIENT_DATA') AS score_trend_flag, -- text: As attendance_flag. [sensitive]
    t.homework_missing_rate AS homework_missing_rate, -- real: Assignments missing of those due in the last four weeks, percent 0-100. [sensitive]
    COALESCE(t.homework_flag, 'INSUFFICIENT_DATA') AS homework_flag, -- text: As attendance_flag. [sensitive]
    CAST(t.days_without_contact AS INTEGER) AS days_without_contact, -- integer: Days since a message between people. [sensitive]
    COALESCE(t.contact_flag, 'INSUFFICIENT_DATA') AS contact_flag, -- text: As attendance_flag. [sensitive]
    CASE WHEN t.indicators > 0 THEN CAST(100 * t.indicators_judged AS DOUBLE PRECISION) / t.indicators ELSE 0.0 END AS data_coverage, -- real: Indicators with enough data of all, percent 0-100.
    o.as_of_date AS known_until, -- date: The day up to which data is known.
    o.rule_set AS rule_set, -- text: The rules that were applied.
    s.student_durable_key AS student_durable_key -- integer: The student, for joining facts.
FROM dim_students AS s
CROSS JOIN look AS o
JOIN dim_schools AS h ON h.school_key = s.school_key
LEFT JOIN judged AS t ON t.student_durable_key = s.student_durable_key
LEFT JOIN absent AS a ON a.student_durable_key = s.student_durable_key
WHERE s.is_current = 1 AND (s.left_on IS NULL OR o.as_of_date IS NULL OR s.left_on > o.as_of_date);

-- name: row_count
SELECT COUNT(*)
FROM dim_students AS s
CROSS JOIN v_as_of AS o
WHERE s.is_current = 1 AND (s.left_on IS NULL OR o.as_of_date IS NULL OR s.left_on > o.as_of_date);
