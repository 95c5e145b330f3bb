-- Students with a different risk tier than a week ago, for a weekly review. A week is counted back from the as-of day
-- of the risk monitor. All changes, however old, are in v_risk_changes.

-- name: schema
CREATE VIEW v_risk_movers AS
WITH moved AS (
    SELECT
        t.student_durable_key, t.risk_tier, t.reasons, t.as_of_date_key, t.cause, t.line_no, t.file_id,
        (
            SELECT MAX(p.change_no) FROM student_risk_tier AS p
            WHERE p.student_durable_key = t.student_durable_key AND p.as_of_date_key <= w.date_key
        ) AS change_no_before
    FROM v_as_of AS o
    JOIN dim_dates AS w ON w.day_number = o.day_number - 7
    JOIN student_risk_tier AS t ON t.is_current = 1 AND t.as_of_date_key > w.date_key
)
SELECT
    i.student_id AS student_id, -- text: The student's id. [sensitive]
    b.risk_tier AS tier_before, -- text: Tier a week ago. [sensitive]
    n.risk_tier AS risk_tier, -- text: Current tier; null if the student is no longer enrolled. [sensitive]
    CASE
        WHEN n.risk_tier IS NULL THEN 'LEFT'
        WHEN CASE n.risk_tier WHEN 'HIGH' THEN 3 WHEN 'MODERATE' THEN 2 WHEN 'WATCH' THEN 1 ELSE 0 END
            > CASE b.risk_tier WHEN 'HIGH' THEN 3 WHEN 'MODERATE' THEN 2 WHEN 'WATCH' THEN 1 ELSE 0 END THEN 'WORSE'
        WHEN CASE n.risk_tier WHEN 'HIGH' THEN 3 WHEN 'MODERATE' THEN 2 WHEN 'WATCH' THEN 1 ELSE 0 END
            < CASE b.risk_tier WHEN 'HIGH' THEN 3 WHEN 'MODERATE' THEN 2 WHEN 'WATCH' THEN 1 ELSE 0 END THEN 'BETTER'
        ELSE 'DATA'
    END AS direction, -- text: WORSE, BETTER, LEFT, or DATA (between ON_TRACK and INSUFFICIENT_DATA). [sensitive]
    n.reasons AS reasons, -- text: All reasons as text. [sensitive]
    b.reasons AS reasons_before, -- text: All reasons a week ago, as text. [sensitive]
    d.full_date AS since, -- date: As-of day from which the student has the current tier.
    n.cause AS cause, -- text: data (the student's data changed), rules (the rules changed), or time (the as-of day changed).
    f.first_name AS file_name, -- text: Name of the newest file that changed the student's data. [sensitive]
    n.line_no AS line_no, -- integer: The last line of that file that changed the student's data; 0 if a missing line did.
    n.file_id AS file_id, -- integer: The file (ingest_file).
    n.student_durable_key AS student_durable_key -- integer: Durable key of the student, for joins with facts.
FROM moved AS n
JOIN student_risk_tier AS b ON b.student_durable_key = n.student_durable_key AND b.change_no = n.change_no_before
JOIN student_identity AS i ON i.student_durable_key = n.student_durable_key
LEFT JOIN dim_dates AS d ON d.date_key = n.as_of_date_key
LEFT JOIN ingest_file AS f ON f.file_id = n.file_id
WHERE n.risk_tier IS DISTINCT FROM b.risk_tier AND b.risk_tier IS NOT NULL;
