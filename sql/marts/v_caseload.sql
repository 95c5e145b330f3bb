-- The list for a counselor or homeroom teacher: the students of each homeroom with tier HIGH, MODERATE or WATCH, in
-- order of risk, with all reasons and the tier of a week ago if it was different.

-- name: schema
CREATE VIEW v_caseload AS
WITH week AS MATERIALIZED (
    SELECT w.date_key FROM v_as_of AS o JOIN dim_dates AS w ON w.day_number = o.day_number - 7
)
SELECT
    r.school_id AS school_id, -- text: School of enrollment.
    COALESCE(r.homeroom, '(not given)') AS homeroom, -- text: Homeroom. [sensitive]
    ROW_NUMBER() OVER (
        PARTITION BY r.school_id, r.homeroom
        ORDER BY CASE r.risk_tier WHEN 'HIGH' THEN 1 WHEN 'MODERATE' THEN 2 ELSE 3 END, r.risk_score DESC, r.student_id
    ) AS place, -- integer: Rank in the homeroom; 1 has the highest risk.
    r.student_id AS student_id, -- text: The student's id. [sensitive]
    r.full_name AS full_name, -- text: The student's name. [pii]
    r.grade_level AS grade_level, -- text: Grade level. [sensitive]
    r.risk_tier AS risk_tier, -- text: HIGH, MODERATE or WATCH. [sensitive]
    r.risk_score AS risk_score, -- integer: Risk score, for sorting. [sensitive]
    r.reasons AS reasons, -- text: All reasons as text, most severe first. [sensitive]
    (
        SELECT d.full_date FROM student_risk_tier AS t JOIN dim_dates AS d ON d.date_key = t.as_of_date_key
        WHERE t.student_durable_key = r.student_durable_key AND t.is_current = 1
    ) AS tier_since, -- date: As-of day from which the student has the tier.
    NULLIF((
        SELECT b.risk_tier FROM student_risk_tier AS b
        WHERE b.student_durable_key = r.student_durable_key AND b.as_of_date_key <= (SELECT w.date_key FROM week AS w)
        ORDER BY b.change_no DESC LIMIT 1
    ), r.risk_tier) AS tier_a_week_ago, -- text: Tier a week ago, if it was different. [sensitive]
    r.days_without_contact AS days_without_contact, -- integer: Days since the last message between people. [sensitive]
    r.known_until AS known_until, -- date: The as-of day: the last day with data.
    r.student_durable_key AS student_durable_key -- integer: Durable key of the student, for joins with facts.
FROM v_student_risk_monitor AS r
WHERE r.risk_tier IN ('HIGH', 'MODERATE', 'WATCH');
