-- Homework and family contacts of each student per month, up to the as-of day of the risk monitor. Refreshed only for
-- the students and months that a load changed. An assignment counts from its due day on.

-- name: schema
CREATE TABLE student_month (
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- Durable key of the student.
    school_year         {{ integer }} NOT NULL, -- School year, named by the year in which it ends.
    month_key           {{ integer }} NOT NULL, -- Month as yyyymm.
    homework_done       {{ integer }} NOT NULL, -- Assignments due and handed in. [sensitive]
    homework_missing    {{ integer }} NOT NULL, -- Assignments due and not handed in. [sensitive]
    homework_open       {{ integer }} NOT NULL, -- Assignments due that count neither as handed in nor as missing (pending, exempt, unmapped).
    contacts            {{ integer }} NOT NULL, -- Messages between people. [sensitive]
    reminders           {{ integer }} NOT NULL, -- Automatic messages, which do not count as contact.
    last_contact_key    {{ integer }} NOT NULL, -- Last day with a message between people, yyyymmdd; 0 if there was none. [sensitive]
    PRIMARY KEY (student_durable_key, school_year, month_key)
) {{ keyed }};

-- name: row_count
SELECT NULL AS not_worth_counting;

-- name: query
SELECT
    student_durable_key, school_year, month_key, SUM(homework_done) AS homework_done,
    SUM(homework_missing) AS homework_missing, SUM(homework_open) AS homework_open, SUM(contacts) AS contacts,
    SUM(reminders) AS reminders, MAX(last_contact_key) AS last_contact_key
FROM (
    SELECT
        t.student_durable_key, d.school_year, d.month_key,
        CASE WHEN s.category = 'DONE' THEN 1 ELSE 0 END AS homework_done,
        CASE WHEN s.category = 'MISSING' THEN 1 ELSE 0 END AS homework_missing,
        CASE WHEN s.category IN ('DONE', 'MISSING') THEN 0 ELSE 1 END AS homework_open,
        0 AS contacts, 0 AS reminders, 0 AS last_contact_key
    FROM touched AS t
    CROSS JOIN fact_homework AS f
    CROSS JOIN dim_homework_statuses AS s
    CROSS JOIN dim_dates AS d
    WHERE f.student_durable_key = t.student_durable_key
      AND f.due_date_key BETWEEN t.month_key * 100 AND t.month_key * 100 + 99
      AND f.due_date_key <= (SELECT o.as_of_date_key FROM v_as_of AS o)
      AND s.homework_status_key = f.homework_status_key AND d.date_key = f.due_date_key
    UNION ALL
    SELECT
        t.student_durable_key, d.school_year, d.month_key, 0, 0, 0,
        m.is_two_way, 1 - m.is_two_way, CASE WHEN m.is_two_way = 1 THEN f.date_key ELSE 0 END
    FROM touched AS t
    CROSS JOIN fact_communication AS f
    CROSS JOIN dim_message_types AS m
    CROSS JOIN dim_dates AS d
    WHERE f.student_durable_key = t.student_durable_key
      AND f.date_key BETWEEN t.month_key * 100 AND t.month_key * 100 + 99
      AND f.date_key <= (SELECT o.as_of_date_key FROM v_as_of AS o)
      AND m.message_type_key = f.message_type_key AND d.date_key = f.date_key
) AS part
GROUP BY student_durable_key, school_year, month_key;

-- name: merge
INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT DISTINCT f.student_durable_key, f.due_date_key / 100, 'homework'
FROM (
    SELECT
        COALESCE((SELECT CAST(p.value AS INTEGER) FROM setting AS p WHERE p.name = 'homework_until'), 0) AS before_key,
        (SELECT o.as_of_date_key FROM v_as_of AS o) AS now_key
) AS m
CROSS JOIN fact_homework AS f
WHERE f.due_date_key > CASE WHEN m.before_key < m.now_key THEN m.before_key ELSE m.now_key END
  AND f.due_date_key <= CASE WHEN m.before_key < m.now_key THEN m.now_key ELSE m.before_key END
ON CONFLICT DO NOTHING;

INSERT INTO setting (name, value)
SELECT 'homework_until', CAST(o.as_of_date_key AS TEXT) FROM v_as_of AS o WHERE 1 = 1
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

CREATE TEMP TABLE touched AS
SELECT DISTINCT student_durable_key, month_key FROM touched_student_month WHERE feed IN ('homework', 'communication');

DELETE FROM student_month
WHERE (student_durable_key, month_key) IN (SELECT student_durable_key, month_key FROM touched);

INSERT INTO student_month (
    student_durable_key, school_year, month_key, homework_done, homework_missing, homework_open, contacts, reminders,
    last_contact_key
)
{{ query }};

INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT DISTINCT student_durable_key, 0, 'year_to_date' FROM touched_student_month WHERE feed = 'communication'
ON CONFLICT DO NOTHING;

DELETE FROM touched_student_month WHERE feed NOT IN ('attendance', 'performance', 'year_to_date');

DROP TABLE touched;
