-- The list of a counsellor or homeroom teacher: the students of each homeroom who are at risk or to be watched, the gravest
-- first, with all reasons and what changed in the last week.

-- name: schema
CREATE VIEW v_caseload AS
WITH week AS MATERIALIZED (
    SELECT w.date_key FROM v_as_of AS o JOIN dim_dates AS w ON w.day_number = o.day_number - 7
)
SELECT
    r.school_id AS school_id, -- text: School of enrolment.
    COALESCE(r.homeroom, '(not given)') AS homeroom, -- text: Homeroom. [sensitive]
    ROW_NUMBER() OVER (
        PARTITION BY r.school_id, r.homeroom
        ORDER BY CASE r.risk_tier WHEN 'HIGH' THEN 1 WHEN 'MODERATE' THEN 2 ELSE 3 END, r.risk_score DESC, r.student_id
    ) AS place, -- integer: 1 is the gravest of the homeroom.
    r.student_id AS student_id, -- text: The student's id. [sensitive]
    r.full_name AS full_name, -- text: The student's name. [pii]
    r.grade_level AS grade_level, -- text: Grade level. [sensitive]
    r.risk_tier AS risk_tier, -- text: HIGH, MODERATE or WATCH. [sensitive]
    r.risk_score AS risk_score, -- integer: For ordering. [sensitive]
    r.reasons AS reasons, -- text: All reasons in words, the gravest first. [sensitive]
    (
        SELECT d.full_date FROM student_risk_tier AS t JOIN dim_dates AS d ON d.date_key = t.as_of_date_key
        WHERE t.student_durable_key = r.student_durable_key AND t.is_current = 1
    ) AS tier_since, -- date: The day from which the tier was seen.
    NULLIF((
        SELECT b.risk_tier FROM student_risk_tier AS b
        WHERE b.student_durable_key = r.student_durable_key AND b.as_of_date_key <= (SELECT w.date_key FROM week AS w)
        ORDER BY b.change_no DESC LIMIT 1
    ), r.risk_tier) AS tier_a_week_ago, -- text: The tier a week ago, where it was another. [sensitive]
    r.days_without_contact AS days_without_contact, -- integer: Days since a message between people. [sensitive]
    r.known_until AS known_until, -- date: The day up to which data is known.
    r.student_durable_key AS student_durable_key -- integer: The student, for joining facts.
FROM v_student_risk_monitor AS r
WHERE r.risk_tier IN ('HIGH', 'MODERATE', 'WATCH');
