-- What each student did in each month: attendance, homework and family contacts. Kept up to date for the students
-- and months that a load touched, so that the risk monitor never reads the facts.
-- A day with several periods counts by the share of its periods that were missed. Days are counted in parts of
-- 2520 a day, the least number that 1 to 10 periods divide without rest, so that limits are compared in integers.

-- name: schema
CREATE TABLE student_month (
    student_durable_key {integer} NOT NULL REFERENCES student_identity (student_durable_key), -- The student.
    school_year         {integer} NOT NULL, -- School year, named by the year it ends in.
    month_key           {integer} NOT NULL, -- Month as yyyymm.
    days_recorded       {integer} NOT NULL, -- Days with attendance that could be understood.
    absent_parts        {integer} NOT NULL, -- Days missed, in parts of 2520 a day. [sensitive]
    excused_parts       {integer} NOT NULL, -- Of these, excused. [sensitive]
    days_late           {integer} NOT NULL, -- Days with a late arrival. [sensitive]
    days_unmapped       {integer} NOT NULL, -- Days whose only codes nobody has explained: they lower coverage, not the rate.
    homework_done       {integer} NOT NULL, -- Assignments due and handed in. [sensitive]
    homework_missing    {integer} NOT NULL, -- Assignments due and not handed in. [sensitive]
    homework_open       {integer} NOT NULL, -- Assignments that count neither way (pending, exempt, unmapped).
    contacts            {integer} NOT NULL, -- Messages between people. [sensitive]
    reminders           {integer} NOT NULL, -- Automatic messages: no contact.
    last_contact_key    {integer} NOT NULL, -- Last day with a message between people, yyyymmdd; 0 for none. [sensitive]
    PRIMARY KEY (student_durable_key, school_year, month_key)
) {keyed};

-- name: merge
CREATE TEMP TABLE touched AS
SELECT DISTINCT student_durable_key, month_key FROM touched_student_month WHERE feed <> 'performance';

DELETE FROM student_month
WHERE (student_durable_key, month_key) IN (SELECT student_durable_key, month_key FROM touched);

INSERT INTO student_month (
    student_durable_key, school_year, month_key, days_recorded, absent_parts, excused_parts, days_late, days_unmapped,
    homework_done, homework_missing, homework_open, contacts, reminders, last_contact_key
)
WITH attendance_day AS (
    SELECT
        t.student_durable_key, d.school_year, d.month_key, d.date_key,
        COUNT(c.absent_share_pct) AS mapped,
        COALESCE(SUM(c.absent_share_pct), 0) AS absent_pct,
        COALESCE(SUM(CASE WHEN c.is_excused = 1 THEN c.absent_share_pct END), 0) AS excused_pct,
        MAX(CASE WHEN c.category = 'LATE' THEN 1 ELSE 0 END) AS is_late,
        MAX(CASE WHEN c.category = 'UNMAPPED' THEN 1 ELSE 0 END) AS is_unmapped
    FROM touched AS t
    CROSS JOIN dim_dates AS d
    CROSS JOIN fact_attendance AS f
    CROSS JOIN dim_attendance_codes AS c
    WHERE d.month_key = t.month_key
      AND f.date_key = d.date_key AND f.student_durable_key = t.student_durable_key
      AND c.attendance_code_key = f.attendance_code_key
    GROUP BY t.student_durable_key, d.school_year, d.month_key, d.date_key
),
part AS (
    SELECT
        student_durable_key, school_year, month_key,
        CASE WHEN mapped > 0 THEN 1 ELSE 0 END AS days_recorded,
        CASE WHEN mapped > 0 THEN 2520 * absent_pct / (100 * mapped) ELSE 0 END AS absent_parts,
        CASE WHEN mapped > 0 THEN 2520 * excused_pct / (100 * mapped) ELSE 0 END AS excused_parts,
        is_late AS days_late,
        CASE WHEN mapped = 0 THEN is_unmapped ELSE 0 END AS days_unmapped,
        0 AS homework_done, 0 AS homework_missing, 0 AS homework_open, 0 AS contacts, 0 AS reminders,
        0 AS last_contact_key
    FROM attendance_day
    UNION ALL
    SELECT
        t.student_durable_key, d.school_year, d.month_key, 0, 0, 0, 0, 0,
        CASE WHEN s.category = 'DONE' THEN 1 ELSE 0 END,
        CASE WHEN s.category = 'MISSING' THEN 1 ELSE 0 END,
        CASE WHEN s.category IN ('DONE', 'MISSING') THEN 0 ELSE 1 END,
        0, 0, 0
    FROM touched AS t
    CROSS JOIN fact_homework AS f
    CROSS JOIN dim_homework_statuses AS s
    CROSS JOIN dim_dates AS d
    WHERE f.student_durable_key = t.student_durable_key
      AND f.due_date_key BETWEEN t.month_key * 100 AND t.month_key * 100 + 99
      AND s.homework_status_key = f.homework_status_key AND d.date_key = f.due_date_key
    UNION ALL
    SELECT
        t.student_durable_key, d.school_year, d.month_key, 0, 0, 0, 0, 0, 0, 0, 0,
        m.is_two_way, 1 - m.is_two_way, CASE WHEN m.is_two_way = 1 THEN f.date_key ELSE 0 END
    FROM touched AS t
    CROSS JOIN fact_communication AS f
    CROSS JOIN dim_message_types AS m
    CROSS JOIN dim_dates AS d
    WHERE f.student_durable_key = t.student_durable_key
      AND f.date_key BETWEEN t.month_key * 100 AND t.month_key * 100 + 99
      AND m.message_type_key = f.message_type_key AND d.date_key = f.date_key
)
SELECT
    student_durable_key, school_year, month_key, SUM(days_recorded), SUM(absent_parts), SUM(excused_parts),
    SUM(days_late), SUM(days_unmapped), SUM(homework_done), SUM(homework_missing), SUM(homework_open), SUM(contacts),
    SUM(reminders), MAX(last_contact_key)
FROM part
GROUP BY student_durable_key, school_year, month_key;

DELETE FROM touched_student_month WHERE feed <> 'performance';

DROP TABLE touched;
