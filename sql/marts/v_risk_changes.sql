-- Every change of a risk tier: the old and new tier, the reasons, and the line that caused it. For the last week only,
-- see v_risk_movers.

-- name: schema
CREATE VIEW v_risk_changes AS
SELECT
    i.student_id AS student_id, -- text: The student's id. [sensitive]
    t.tier_before AS tier_before, -- text: Previous tier. [sensitive]
    t.risk_tier AS risk_tier, -- text: New tier; null if the student is no longer enrolled. [sensitive]
    t.reasons AS reasons, -- text: All reasons as text. [sensitive]
    d.full_date AS as_of_date, -- date: As-of day of the risk monitor.
    t.cause AS cause, -- text: data (the student's data changed), rules (the rules changed), or time (the as-of day changed).
    f.first_name AS file_name, -- text: Name of the newest file that changed the student's data. [sensitive]
    t.line_no AS line_no, -- integer: The last line of that file that changed the student's data; 0 if a missing line did.
    t.file_id AS file_id, -- integer: The file (ingest_file).
    t.student_durable_key AS student_durable_key, -- integer: Durable key of the student, for joins with facts.
    t.change_no AS change_no -- integer: Number of the change for this student.
FROM student_risk_tier AS t
JOIN student_identity AS i ON i.student_durable_key = t.student_durable_key
LEFT JOIN dim_dates AS d ON d.date_key = t.as_of_date_key
LEFT JOIN ingest_file AS f ON f.file_id = t.file_id
WHERE t.tier_before IS NOT NULL;
