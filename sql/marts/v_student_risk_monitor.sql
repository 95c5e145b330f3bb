-- The students at risk and the reasons: one row per current student, with every reason. HIGH: one indicator is severe,
-- or indicators of two domains are at risk. MODERATE: indicators of one domain are at risk. WATCH: an indicator is
-- worth watching. ON_TRACK requires sufficient data; otherwise the tier is INSUFFICIENT_DATA. Each indicator
-- separately: v_student_risk_indicators.

-- name: schema
CREATE VIEW v_student_risk_monitor AS
SELECT
    s.student_id AS student_id, -- text: The student's id. [sensitive]
    s.full_name AS full_name, -- text: The student's name. [pii]
    s.grade_level AS grade_level, -- text: Grade level. [sensitive]
    h.school_id AS school_id, -- text: School of enrollment.
    s.homeroom AS homeroom, -- text: Homeroom. [sensitive]
    r.risk_tier AS risk_tier, -- text: HIGH, MODERATE, WATCH, ON_TRACK or INSUFFICIENT_DATA. [sensitive]
    r.risk_score AS risk_score, -- integer: Sum of weight times level over all indicators, for sorting. [sensitive]
    r.reasons AS reasons, -- text: All reasons as text, most severe first. [sensitive]
    r.attendance_rate AS attendance_rate, -- real: Days present as a share of days recorded this school year, percent 0-100. [sensitive]
    r.attendance_flag AS attendance_flag, -- text: OK, WATCH, RISK, SEVERE or INSUFFICIENT_DATA. [sensitive]
    r.chronic_absence_tier AS chronic_absence_tier, -- text: Tier defined by Attendance Works: SEVERE_CHRONIC (20 % missed or more), MODERATE_CHRONIC (10 %), AT_RISK (5 %), SATISFACTORY. [sensitive]
    r.days_recorded AS days_recorded, -- integer: Days with at least one mapped attendance code.
    r.days_absent AS days_absent, -- real: Days missed, excused or not. [sensitive]
    r.attendance_coverage AS attendance_coverage, -- real: Days with mapped codes as a share of days sent, percent 0-100.
    r.days_absent_in_a_row AS days_absent_in_a_row, -- integer: Consecutive whole school days missed, up to the last recorded day. [sensitive]
    r.streak_flag AS streak_flag, -- text: Same values as attendance_flag. [sensitive]
    r.attendance_change AS attendance_change, -- real: Attendance rate of the last 20 school days minus that of the 20 before, percentage points. [sensitive]
    r.trend_flag AS trend_flag, -- text: Same values as attendance_flag. [sensitive]
    r.courses_failing AS courses_failing, -- integer: Core courses with an average below the pass mark. [sensitive]
    r.courses_flag AS courses_flag, -- text: Same values as attendance_flag. [sensitive]
    r.average_score AS average_score, -- real: Average of all valid scores, percent 0-100. [sensitive]
    r.score_flag AS score_flag, -- text: Same values as attendance_flag. [sensitive]
    r.score_change AS score_change, -- real: Newest score of each subject minus the average of its earlier scores, averaged over subjects, percentage points. [sensitive]
    r.score_trend_flag AS score_trend_flag, -- text: Same values as attendance_flag. [sensitive]
    r.homework_missing_rate AS homework_missing_rate, -- real: Missing assignments as a share of those due in the last four weeks, percent 0-100. [sensitive]
    r.homework_flag AS homework_flag, -- text: Same values as attendance_flag. [sensitive]
    r.days_without_contact AS days_without_contact, -- integer: Days since the last message between people. [sensitive]
    r.contact_flag AS contact_flag, -- text: Same values as attendance_flag. [sensitive]
    r.data_coverage AS data_coverage, -- real: Share of the indicators that have enough data, percent 0-100.
    r.known_until AS known_until, -- date: The as-of day: the last day with data.
    r.rule_set AS rule_set, -- text: Name of the rule set that was applied.
    s.student_durable_key AS student_durable_key -- integer: Durable key of the student, for joins with facts.
FROM student_risk AS r
JOIN dim_students AS s ON s.student_durable_key = r.student_durable_key AND s.is_current = 1
JOIN dim_schools AS h ON h.school_key = s.school_key;

-- name: row_count
SELECT COUNT(*) FROM student_risk;
