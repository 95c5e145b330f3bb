-- Which student is at risk and why: one row for every current student, with every reason.
-- HIGH: one severe, or at risk in two domains. MODERATE: at risk in one. WATCH: something to watch. ON_TRACK only when the
-- data suffices, else INSUFFICIENT_DATA: no data is never fine. Each indicator on its own: v_student_risk_indicators.

-- name: schema
CREATE VIEW v_student_risk_monitor AS
SELECT
    s.student_id AS student_id, -- text: The student's id. [sensitive]
    s.full_name AS full_name, -- text: The student's name. [pii]
    s.grade_level AS grade_level, -- text: Grade level. [sensitive]
    h.school_id AS school_id, -- text: School of enrolment.
    s.homeroom AS homeroom, -- text: Homeroom. [sensitive]
    r.risk_tier AS risk_tier, -- text: HIGH, MODERATE, WATCH, ON_TRACK or INSUFFICIENT_DATA. [sensitive]
    r.risk_score AS risk_score, -- integer: Sum of weight times level of all flags; for ordering. [sensitive]
    r.reasons AS reasons, -- text: All reasons in words, the gravest first. [sensitive]
    r.attendance_rate AS attendance_rate, -- real: Days present of days recorded this school year, percent 0-100. [sensitive]
    r.attendance_flag AS attendance_flag, -- text: OK, WATCH, RISK, SEVERE or INSUFFICIENT_DATA. [sensitive]
    r.chronic_absence_tier AS chronic_absence_tier, -- text: By Attendance Works: SEVERE_CHRONIC (20 % missed or more), MODERATE_CHRONIC (10 %), AT_RISK (5 %), SATISFACTORY. [sensitive]
    r.days_recorded AS days_recorded, -- integer: Days with attendance that could be understood.
    r.days_absent AS days_absent, -- real: Days missed, excused or not. [sensitive]
    r.attendance_coverage AS attendance_coverage, -- real: Days understood of days sent, percent 0-100.
    r.days_absent_in_a_row AS days_absent_in_a_row, -- integer: Whole school days missed up to the last one recorded. [sensitive]
    r.streak_flag AS streak_flag, -- text: As attendance_flag. [sensitive]
    r.attendance_change AS attendance_change, -- real: Attendance rate of the last 20 school days against the 20 before, percentage points. [sensitive]
    r.trend_flag AS trend_flag, -- text: As attendance_flag. [sensitive]
    r.courses_failing AS courses_failing, -- integer: Core courses with an average below the pass mark. [sensitive]
    r.courses_flag AS courses_flag, -- text: As attendance_flag. [sensitive]
    r.average_score AS average_score, -- real: Average of the scores that count, percent 0-100. [sensitive]
    r.score_flag AS score_flag, -- text: As attendance_flag. [sensitive]
    r.score_change AS score_change, -- real: Newest score of each subject against the earlier ones, percentage points. [sensitive]
    r.score_trend_flag AS score_trend_flag, -- text: As attendance_flag. [sensitive]
    r.homework_missing_rate AS homework_missing_rate, -- real: Assignments missing of those due in the last four weeks, percent 0-100. [sensitive]
    r.homework_flag AS homework_flag, -- text: As attendance_flag. [sensitive]
    r.days_without_contact AS days_without_contact, -- integer: Days since a message between people. [sensitive]
    r.contact_flag AS contact_flag, -- text: As attendance_flag. [sensitive]
    r.data_coverage AS data_coverage, -- real: Indicators with enough data of all, percent 0-100.
    r.known_until AS known_until, -- date: The day up to which data is known.
    r.rule_set AS rule_set, -- text: The rules that were applied.
    s.student_durable_key AS student_durable_key -- integer: The student, for joining facts.
FROM student_risk AS r
JOIN dim_students AS s ON s.student_durable_key = r.student_durable_key AND s.is_current = 1
JOIN dim_schools AS h ON h.school_key = s.school_key;

-- name: row_count
SELECT COUNT(*) FROM student_risk;
