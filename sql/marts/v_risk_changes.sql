-- Every change of a risk tier: from what to what and why, with the line behind it. Of the last week alone: v_risk_movers.

-- name: schema
CREATE VIEW v_risk_changes AS
SELECT
    i.student_id AS student_id, -- text: The student's id. [sensitive]
    t.tier_before AS tier_before, -- text: The tier before. [sensitive]
    t.risk_tier AS risk_tier, -- text: The tier since; missing when no longer enrolled. [sensitive]
    t.reasons AS reasons, -- text: All reasons in words. [sensitive]
    d.full_date AS as_of_date, -- date: The day that the risk monitor looked from.
    t.cause AS cause, -- text: data (a line about the student), rules, or time (days went by).
    f.first_name AS file_name, -- text: The file that changed something about the student. [sensitive]
    t.line_no AS line_no, -- integer: Its last line that did; 0 when it was the lack of a line.
    t.file_id AS file_id, -- integer: The file (ingest_file).
    t.student_durable_key AS student_durable_key, -- integer: The student, for joining facts.
    t.change_no AS change_no -- integer: Number of the change, for this student.
FROM student_risk_tier AS t
JOIN student_identity AS i ON i.student_durable_key = t.student_durable_key
LEFT JOIN dim_dates AS d ON d.date_key = t.as_of_date_key
LEFT JOIN ingest_file AS f ON f.file_id = t.file_id
WHERE t.tier_before IS NOT NULL;
