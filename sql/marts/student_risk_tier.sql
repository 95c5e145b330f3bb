-- Every change of a student's risk tier: when it was detected, the old and new tier, the reasons, the file and line
-- that caused it, and the values of the risk monitor and the rules at that time. The last row of a student (is_current)
-- has the current tier. A student who is no longer enrolled has no tier.

-- name: schema
CREATE TABLE student_risk_tier (
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- Durable key of the student.
    change_no           {{ integer }} NOT NULL, -- Number of the change for this student, from 1.
    is_current          {{ integer }} NOT NULL, -- 1 for the last change.
    tier_before         {{ text }}, -- Previous tier; null for the first. [sensitive]
    risk_tier           {{ text }}, -- New tier; null if the student is no longer enrolled. [sensitive]
    risk_score          {{ integer }} NOT NULL, -- New risk score. [sensitive]
    reasons             {{ text }} NOT NULL, -- All reasons as text. [sensitive]
    attendance_rate     {{ real }}, -- Value in the risk monitor at that time, percent 0-100. [sensitive]
    days_absent         {{ real }}, -- Value in the risk monitor at that time. [sensitive]
    courses_failing     {{ integer }}, -- Value in the risk monitor at that time. [sensitive]
    average_score       {{ real }}, -- Value in the risk monitor at that time, percent 0-100. [sensitive]
    data_coverage       {{ real }}, -- Value in the risk monitor at that time, percent 0-100.
    as_of_date_key      {{ integer }} NOT NULL, -- As-of day of the risk monitor, yyyymmdd.
    rule_set            {{ text }} NOT NULL, -- Name of the rule set that was applied.
    rules_version       {{ integer }} NOT NULL, -- Version of the rules; they are in risk_rule_history.
    cause               {{ text }} NOT NULL, -- data (the student's data changed), rules (the rules changed), or time (the as-of day changed).
    file_id             {{ integer }}, -- The newest file that changed the student's data; null unless the cause is data.
    line_no             {{ integer }}, -- The last line of that file that changed the student's data; 0 if a missing line did.
    PRIMARY KEY (student_durable_key, change_no)
) {{ keyed }};
CREATE UNIQUE INDEX student_risk_tier_current ON student_risk_tier (student_durable_key) WHERE is_current = 1;

-- name: row_count
SELECT COUNT(*) FROM student_risk_tier WHERE is_current = 1;

-- name: due
SELECT CASE WHEN o.is_judged = 0 OR EXISTS (SELECT 1 FROM touched_student) THEN 1 ELSE 0 END AS is_due FROM v_as_of AS o;

-- name: merge
CREATE TEMP TABLE moved AS
SELECT
    n.student_durable_key, COALESCE(b.change_no, 0) + 1 AS change_no, b.risk_tier AS tier_before, n.risk_tier, n.risk_score,
    n.reasons, n.attendance_rate, n.days_absent, n.courses_failing, n.average_score, n.data_coverage
FROM student_risk AS n
LEFT JOIN student_risk_tier AS b ON b.student_durable_key = n.student_durable_key AND b.is_current = 1
WHERE n.risk_tier IS DISTINCT FROM b.risk_tier
UNION ALL
SELECT b.student_durable_key, b.change_no + 1, b.risk_tier, NULL, 0, '', NULL, NULL, NULL, NULL, NULL
FROM student_risk_tier AS b
WHERE b.is_current = 1 AND b.risk_tier IS NOT NULL
  AND b.student_durable_key NOT IN (SELECT n.student_durable_key FROM student_risk AS n);

UPDATE student_risk_tier SET is_current = 0
WHERE is_current = 1 AND student_durable_key IN (SELECT student_durable_key FROM moved);

INSERT INTO student_risk_tier (
    student_durable_key, change_no, is_current, tier_before, risk_tier, risk_score, reasons, attendance_rate, days_absent,
    courses_failing, average_score, data_coverage, as_of_date_key, rule_set, rules_version, cause, file_id, line_no
)
SELECT
    m.student_durable_key, m.change_no, 1, m.tier_before, m.risk_tier, m.risk_score, m.reasons, m.attendance_rate,
    m.days_absent, m.courses_failing, m.average_score, m.data_coverage, o.as_of_date_key, o.rule_set,
    (SELECT COALESCE(MAX(v.version_no), 0) FROM risk_rule_history AS v),
    CASE WHEN t.file_id IS NOT NULL THEN 'data'
        WHEN (SELECT s.value FROM setting AS s WHERE s.name = 'rules_of_tiers')
            IS DISTINCT FROM (SELECT s.value FROM setting AS s WHERE s.name = 'rules_now') THEN 'rules'
        ELSE 'time' END,
    t.file_id, t.line_no
FROM moved AS m
CROSS JOIN v_as_of AS o
LEFT JOIN touched_student AS t ON t.student_durable_key = m.student_durable_key;

INSERT INTO setting (name, value)
SELECT 'rules_of_tiers', s.value FROM setting AS s WHERE s.name = 'rules_now'
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

INSERT INTO setting (name, value)
SELECT 'data_of_tiers', o.data_known FROM v_as_of AS o WHERE 1 = 1
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

DELETE FROM touched_student;

-- name: changed
SELECT
    'moved_from_' || LOWER(tier_before) || '_to_' || LOWER(COALESCE(risk_tier, 'not_enrolled')) AS name,
    COUNT(*) AS number
FROM moved
WHERE tier_before IS NOT NULL
GROUP BY tier_before, risk_tier
ORDER BY 1;

-- name: tidy_up
DROP TABLE moved;
