-- The complete picture of a student, one row per current student: personal data, attendance, scores, homework and
-- contacts, and the reasons for the risk tier. Filter by student_id.

-- name: schema
CREATE VIEW v_student_360 AS
SELECT
    r.student_id AS student_id, -- text: The student's id. [sensitive]
    r.full_name AS full_name, -- text: The student's name. [pii]
    s.date_of_birth AS date_of_birth, -- date: Date of birth. [pii]
    r.grade_level AS grade_level, -- text: Grade level. [sensitive]
    r.school_id AS school_id, -- text: School of enrollment.
    r.homeroom AS homeroom, -- text: Homeroom. [sensitive]
    s.emergency_contact AS emergency_contact, -- text: Emergency contact. [pii]
    s.email AS email, -- text: E-mail address. [pii]
    s.enrolled_on AS enrolled_on, -- date: First day of enrollment, if given.
    s.valid_from AS in_grade_since, -- date: First day of the current version of the student.
    (SELECT COUNT(*) FROM dim_students AS v WHERE v.student_durable_key = r.student_durable_key) AS versions, -- integer: Number of versions of the student.
    r.risk_tier AS risk_tier, -- text: See v_student_risk_monitor. [sensitive]
    r.risk_score AS risk_score, -- integer: See v_student_risk_monitor. [sensitive]
    r.reasons AS reasons, -- text: All reasons as text. [sensitive]
    r.attendance_rate AS attendance_rate, -- real: Attendance rate, percent 0-100, this school year. [sensitive]
    r.days_recorded AS days_recorded, -- integer: Days with at least one mapped attendance code, this school year.
    r.days_absent AS days_absent, -- real: Days missed, this school year. [sensitive]
    r.chronic_absence_tier AS chronic_absence_tier, -- text: See v_student_risk_monitor. [sensitive]
    r.days_absent_in_a_row AS days_absent_in_a_row, -- integer: Consecutive whole school days missed, up to the last recorded day. [sensitive]
    (
        SELECT CAST(SUM(m.excused_parts) AS DOUBLE PRECISION) / 2520 FROM student_attendance_month AS m
        WHERE m.student_durable_key = r.student_durable_key AND m.school_year = o.school_year
    ) AS days_excused, -- real: Part of the days missed that is excused. [sensitive]
    (
        SELECT SUM(m.days_late) FROM student_attendance_month AS m
        WHERE m.student_durable_key = r.student_durable_key AND m.school_year = o.school_year
    ) AS days_late, -- integer: Days with a late arrival. [sensitive]
    r.average_score AS average_score, -- real: Average score, percent 0-100, of this school year's and undated scores. [sensitive]
    r.courses_failing AS courses_failing, -- integer: Core courses with an average below the pass mark. [sensitive]
    (
        SELECT STRING_AGG(
            c.subject || ' ' || CASE WHEN c.scores = 0 THEN 'no valid score'
                ELSE CAST((c.score_bp_sum + 50 * c.scores) / (100 * c.scores) AS TEXT) || ' %' END,
            '; ' ORDER BY c.subject, c.school_year)
        FROM student_course AS c
        WHERE c.student_durable_key = r.student_durable_key AND c.school_year IN (o.school_year, 0)
    ) AS courses, -- text: Average per subject, as text. [sensitive]
    (
        SELECT COALESCE(SUM(c.scores_flagged), 0) FROM student_course AS c
        WHERE c.student_durable_key = r.student_durable_key AND c.school_year IN (o.school_year, 0)
    ) AS scores_flagged, -- integer: Scores excluded from all averages because they are invalid or missing.
    (
        SELECT CAST(100 * SUM(m.homework_done) AS DOUBLE PRECISION) / NULLIF(SUM(m.homework_done + m.homework_missing), 0)
        FROM student_month AS m
        WHERE m.student_durable_key = r.student_durable_key AND m.school_year = o.school_year
    ) AS homework_rate, -- real: Assignments handed in as a share of those due, this school year, percent 0-100. [sensitive]
    (
        SELECT SUM(m.homework_missing) FROM student_month AS m
        WHERE m.student_durable_key = r.student_durable_key AND m.school_year = o.school_year
    ) AS homework_missing, -- integer: Assignments not handed in. [sensitive]
    (
        SELECT SUM(m.contacts) FROM student_month AS m
        WHERE m.student_durable_key = r.student_durable_key AND m.school_year = o.school_year
    ) AS contacts, -- integer: Messages between people, this school year. [sensitive]
    r.days_without_contact AS days_without_contact, -- integer: Days since the last message between people. [sensitive]
    r.known_until AS known_until, -- date: The as-of day: the last day with data.
    r.student_durable_key AS student_durable_key -- integer: Durable key of the student, for joins with facts.
FROM v_student_risk_monitor AS r
JOIN dim_students AS s ON s.student_durable_key = r.student_durable_key AND s.is_current = 1
CROSS JOIN v_as_of AS o;
