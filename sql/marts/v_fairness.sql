-- Flag rates per group, if a district loads groups (feed `groups`), to check whether one group is flagged more often
-- than others. Groups with fewer than 10 students are not shown and not included in totals. Groups are never inputs of
-- risk.

-- name: schema
CREATE VIEW v_fairness AS
WITH counted AS (
    SELECT
        g.group_name, g.group_value, COUNT(*) AS students,
        SUM(CASE WHEN r.risk_tier IN ('HIGH', 'MODERATE') THEN 1 ELSE 0 END) AS flagged,
        SUM(CASE WHEN r.risk_tier = 'HIGH' THEN 1 ELSE 0 END) AS high,
        SUM(CASE WHEN r.risk_tier = 'INSUFFICIENT_DATA' THEN 1 ELSE 0 END) AS unknown
    FROM fact_student_groups AS g
    JOIN v_student_risk_monitor AS r ON r.student_durable_key = g.student_durable_key
    GROUP BY g.group_name, g.group_value
),
shown AS (
    SELECT
        c.*, SUM(c.flagged) OVER (PARTITION BY c.group_name) AS flagged_of_all,
        SUM(c.students) OVER (PARTITION BY c.group_name) AS students_of_all
    FROM counted AS c
    WHERE c.students >= 10
)
SELECT
    s.group_name AS group_name, -- text: The kind of group.
    s.group_value AS group_value, -- text: The group.
    s.students AS students, -- integer: Current students in the group.
    CAST(s.flagged AS BIGINT) AS flagged, -- integer: Students with tier HIGH or MODERATE. [sensitive]
    CAST(100 * s.flagged AS DOUBLE PRECISION) / s.students AS flag_rate, -- real: Share with tier HIGH or MODERATE, percent 0-100. [sensitive]
    CAST(100 * s.high AS DOUBLE PRECISION) / s.students AS high_rate, -- real: Share with tier HIGH, percent 0-100. [sensitive]
    CAST(100 * s.unknown AS DOUBLE PRECISION) / s.students AS insufficient_data_rate, -- real: Share with tier INSUFFICIENT_DATA, percent 0-100.
    CAST(100 * s.flagged_of_all AS DOUBLE PRECISION) / CAST(s.students_of_all AS DOUBLE PRECISION) AS flag_rate_of_all, -- real: Flag rate of all students in the shown groups of this kind, percent 0-100. [sensitive]
    CASE WHEN s.flagged_of_all > 0 THEN
        CAST(s.flagged AS DOUBLE PRECISION) * CAST(s.students_of_all AS DOUBLE PRECISION)
        / (CAST(s.students AS DOUBLE PRECISION) * CAST(s.flagged_of_all AS DOUBLE PRECISION))
    END AS times_the_rate_of_all -- real: flag_rate divided by flag_rate_of_all: 1 is as often as all students, 2 twice as often. [sensitive]
FROM shown AS s;
