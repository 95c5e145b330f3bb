-- Attendance of each student per month and school. Refreshed only for the students and months that a load changed, so
-- that the risk monitor never reads the facts. A day counts once, whatever the number of its periods, and for one
-- school. Days are counted in parts of 1/2520 day, so that limits are compared in integers: 2520 is the smallest number
-- that is divisible by 1 to 10 periods. If only later days are added to a month, the stored row is extended and the
-- month is not counted again. Each row also has the totals of the school year before it, so that windows of days need
-- no sums and a student is evaluated from the last months only. A correction of an old month updates these totals in
-- the months that follow. The rows of a month are stored together and are found by an index on it, so that a day's file
-- reads and writes only the rows of its month, however long the history is. STUDENT360_DAY_RULE defines how periods
-- become a day, STUDENT360_ATTENDANCE_SENT what a day without a row means, and data/reference/dim_dates.csv the days
-- without school.

-- The primary key begins with the school year, so that a year of some students is one range of it, without their
-- earlier years. On PostgreSQL the months of 10,000 students are read in 20 ms; with the student first, the whole year
-- was scanned in 60 to 90 ms. On SQLite the index by month also contains the student, so that a month of some students
-- is read in storage order. On PostgreSQL it is a BRIN index; with the student in it, the blocks of all months of these
-- students would be read.

-- name: schema
CREATE TABLE student_attendance_month (
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- Durable key of the student.
    school_year         {{ integer }} NOT NULL, -- School year, named by the year in which it ends.
    month_key           {{ integer }} NOT NULL, -- Month as yyyymm.
    school_key          {{ integer }} NOT NULL REFERENCES dim_schools (school_key), -- School that took attendance; if not given, the school of enrollment on that day.
    first_date_key      {{ integer }} NOT NULL, -- First of these days, yyyymmdd.
    last_date_key       {{ integer }} NOT NULL, -- Last of these days, yyyymmdd.
    days_recorded       {{ integer }} NOT NULL, -- Days with at least one mapped attendance code.
    absent_parts        {{ integer }} NOT NULL, -- Days missed, in parts of 1/2520 day. [sensitive]
    excused_parts       {{ integer }} NOT NULL, -- Part of the days missed that is excused. [sensitive]
    days_late           {{ integer }} NOT NULL, -- Days with a late arrival. [sensitive]
    days_unmapped       {{ integer }} NOT NULL, -- Days with only unmapped codes. They lower the coverage, not the rate.
    days_before         {{ integer }} NOT NULL, -- Days recorded earlier in the school year.
    parts_before        {{ integer }} NOT NULL, -- Days missed earlier in the school year, in parts of 1/2520 day. [sensitive]
    unmapped_before     {{ integer }} NOT NULL, -- Days with only unmapped codes earlier in the school year.
    day_marks           {{ text }} NOT NULL, -- One letter per recorded day, in order: P present, H partly missed, A missed. [sensitive]
    absent_so_far       {{ text }} NOT NULL, -- Five digits per recorded day: parts (1/2520 day) missed from the first of these days up to and including it. [sensitive]
    PRIMARY KEY (school_year, student_durable_key, month_key, school_key)
) {{ strict }};
CREATE INDEX student_attendance_month_by_month ON student_attendance_month {{ as_they_lie }} (school_year, month_key{{ and_student }});

-- name: row_count
SELECT NULL AS not_worth_counting;

-- name: query
WITH version AS (
    SELECT
        s.student_durable_key, s.school_key, s.enrolled_on, s.left_on,
        CASE WHEN ROW_NUMBER() OVER versions = 1 THEN 0 ELSE s.from_key END AS from_key,
        COALESCE(LEAD(s.from_key) OVER versions, 99991231) AS to_key, s.ends_key
    FROM (
        SELECT
            v.student_durable_key, v.student_key, v.school_key, v.enrolled_on, v.left_on,
            CAST(REPLACE(CAST(v.valid_from AS TEXT), '-', '') AS INTEGER) AS from_key,
            CAST(REPLACE(CAST(v.valid_to AS TEXT), '-', '') AS INTEGER) AS ends_key
        FROM (SELECT DISTINCT student_durable_key FROM touched) AS t
        JOIN dim_students AS v ON v.student_durable_key = t.student_durable_key
    ) AS s
    WINDOW versions AS (PARTITION BY s.student_durable_key ORDER BY s.from_key, s.student_key)
),
sent AS (
    SELECT
        t.student_durable_key, d.school_year, d.month_key, d.date_key,
        CASE WHEN MAX(f.school_key) > 0 THEN MAX(f.school_key) ELSE MAX(v.school_key) END AS school_key,
        COUNT(c.absent_share_pct) AS mapped,
        COALESCE(SUM(c.absent_share_pct), 0) AS absent_pct,
        COALESCE(SUM(CASE WHEN c.is_excused = 1 THEN c.absent_share_pct END), 0) AS excused_pct,
        MAX(CASE WHEN c.category = 'LATE' THEN 1 ELSE 0 END) AS is_late,
        MAX(CASE WHEN c.category = 'UNMAPPED' THEN 1 ELSE 0 END) AS is_unmapped
    FROM touched AS t
    CROSS JOIN version AS v
    CROSS JOIN dim_dates AS d
    CROSS JOIN fact_attendance AS f
    CROSS JOIN dim_attendance_codes AS c
    WHERE v.student_durable_key = t.student_durable_key
      AND d.date_key BETWEEN t.first_date_key AND 100 * t.month_key + 99 AND +d.is_closed = 0
      AND +d.date_key <= (SELECT o.as_of_date_key FROM v_as_of AS o)
      AND +d.date_key >= v.from_key AND +d.date_key < v.to_key
      AND f.date_key BETWEEN (SELECT MIN(t.first_date_key) FROM touched AS t)
          AND (SELECT 100 * MAX(t.month_key) + 99 FROM touched AS t)
      AND f.date_key = d.date_key AND f.student_durable_key = t.student_durable_key
      AND c.attendance_code_key = f.attendance_code_key
    GROUP BY t.student_durable_key, d.school_year, d.month_key, d.date_key
),
presumed AS (
    SELECT
        t.student_durable_key, d.school_year, d.month_key, d.date_key, v.school_key, 1 AS mapped, 0 AS absent_pct,
        0 AS excused_pct, 0 AS is_late, 0 AS is_unmapped
    FROM setting AS p
    CROSS JOIN touched AS t
    CROSS JOIN version AS v
    CROSS JOIN dim_dates AS d
    CROSS JOIN data_extent AS e
    WHERE p.name = 'attendance_sent' AND p.value = 'absences_only' AND e.feed = 'attendance'
      AND v.student_durable_key = t.student_durable_key
      AND d.month_key = t.month_key AND d.date_key >= t.first_date_key AND d.is_instructional = 1
      AND d.date_key >= v.from_key AND d.date_key < v.to_key AND d.date_key < v.ends_key
      AND (v.enrolled_on IS NULL OR d.full_date >= v.enrolled_on)
      AND (v.left_on IS NULL OR d.full_date < v.left_on)
      AND d.date_key BETWEEN e.first_date_key AND e.last_date_key
      AND d.date_key <= (SELECT o.as_of_date_key FROM v_as_of AS o)
      AND d.date_key >= (
          SELECT MIN(f.date_key) FROM fact_attendance AS f
          WHERE f.date_key >= (SELECT MIN(y.date_key) FROM dim_dates AS y WHERE y.school_year = d.school_year)
      )
      AND NOT EXISTS (
          SELECT 1 FROM fact_attendance AS f
          WHERE f.date_key = d.date_key AND f.student_durable_key = t.student_durable_key
      )
),
counted AS (
    SELECT
        a.*,
        CASE
            WHEN a.mapped = 0 OR a.absent_pct = 0 THEN 0
            WHEN r.day_rule = 'any' THEN 2520
            WHEN r.day_rule = 'half' THEN CASE WHEN 2 * a.absent_pct >= 100 * a.mapped THEN 2520 ELSE 0 END
            ELSE 2520 * a.absent_pct / (100 * a.mapped)
        END AS absent_parts,
        r.day_rule
    FROM (SELECT * FROM sent UNION ALL SELECT * FROM presumed) AS a
    CROSS JOIN (
        SELECT COALESCE((SELECT s.value FROM setting AS s WHERE s.name = 'day_rule'), 'share') AS day_rule
    ) AS r
    WHERE NOT EXISTS (
        SELECT 1 FROM dim_school_closures AS x
        JOIN dim_schools AS h ON h.school_id = x.school_id
        WHERE x.date_key = a.date_key AND h.school_key = a.school_key
    )
),
part AS (
    SELECT
        student_durable_key, school_year, month_key, school_key, date_key AS first_date_key, date_key AS last_date_key,
        CASE WHEN mapped > 0 THEN 1 ELSE 0 END AS days_recorded, absent_parts,
        CASE
            WHEN absent_parts = 0 THEN 0
            WHEN day_rule = 'share' THEN 2520 * excused_pct / (100 * mapped)
            WHEN 2 * excused_pct >= absent_pct THEN absent_parts
            ELSE 0
        END AS excused_parts,
        is_late AS days_late, CASE WHEN mapped = 0 THEN is_unmapped ELSE 0 END AS days_unmapped,
        CASE WHEN mapped = 0 THEN NULL WHEN absent_parts = 2520 THEN 'A' WHEN absent_parts > 0 THEN 'H' ELSE 'P' END AS day_marks,
        NULL AS absent_so_far
    FROM counted
    UNION ALL
    SELECT
        k.student_durable_key, k.school_year, k.month_key, k.school_key, k.first_date_key, k.last_date_key, k.days_recorded,
        k.absent_parts, k.excused_parts, k.days_late, k.days_unmapped, k.day_marks, k.absent_so_far
    FROM kept AS k
)
SELECT
    c.student_durable_key, c.school_year, c.month_key, c.school_key, c.first_date_key, c.last_date_key, c.days_recorded,
    c.absent_parts, c.excused_parts, c.days_late, c.days_unmapped,
    CAST(SUM(c.days_recorded) OVER in_order - c.days_recorded AS BIGINT) AS days_before,
    CAST(SUM(c.absent_parts) OVER in_order - c.absent_parts AS BIGINT) AS parts_before,
    CAST(SUM(c.days_unmapped) OVER in_order - c.days_unmapped AS BIGINT) AS unmapped_before, c.day_marks, c.absent_so_far
FROM (
    SELECT
        student_durable_key, school_year, month_key, school_key, MIN(first_date_key) AS first_date_key,
        MAX(last_date_key) AS last_date_key, SUM(days_recorded) AS days_recorded, SUM(absent_parts) AS absent_parts,
        SUM(excused_parts) AS excused_parts, SUM(days_late) AS days_late, SUM(days_unmapped) AS days_unmapped,
        COALESCE(STRING_AGG(day_marks, '' ORDER BY first_date_key), '') AS day_marks,
        COALESCE(STRING_AGG(absent_so_far, '' ORDER BY first_date_key), '') AS absent_so_far
    FROM (
        SELECT
            p.student_durable_key, p.school_year, p.month_key, p.school_key, p.first_date_key, p.last_date_key, p.days_recorded,
            p.absent_parts, p.excused_parts, p.days_late, p.days_unmapped, p.day_marks,
            COALESCE(p.absent_so_far, CASE WHEN p.days_recorded > 0 THEN SUBSTR(CAST(100000 + SUM(p.absent_parts) OVER (
                PARTITION BY p.student_durable_key, p.school_year, p.month_key, p.school_key ORDER BY p.first_date_key
            ) AS TEXT), 2) END) AS absent_so_far
        FROM part AS p
    ) AS summed
    GROUP BY student_durable_key, school_year, month_key, school_key
) AS c
WINDOW in_order AS (
    PARTITION BY c.student_durable_key, c.school_year ORDER BY c.month_key, c.first_date_key, c.school_key
);

-- name: merge
{{ choose_months }};

{{ count }};

{{ carry_forward }};

{{ clean_up }};

-- name: choose_months
INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT s.student_durable_key, m.month_key, 'attendance'
FROM setting AS a
CROSS JOIN dim_students AS s
CROSS JOIN (
    SELECT
        d.school_year, d.month_key,
        MAX(CASE WHEN (d.date_key > u.presumed_until) <> (d.date_key > e.last_date_key) THEN 1 ELSE 0 END) AS has_moved
    FROM (
        SELECT COALESCE((SELECT CAST(p.value AS INTEGER) FROM setting AS p WHERE p.name = 'presumed_until'), 0) AS presumed_until
    ) AS u
    JOIN data_extent AS e ON e.feed = 'attendance'
    JOIN dim_dates AS l ON l.date_key = e.last_date_key
    JOIN dim_dates AS d ON d.school_year = l.school_year AND d.date_key >= e.first_date_key
        AND (d.date_key <= e.last_date_key OR d.date_key <= u.presumed_until)
    GROUP BY d.school_year, d.month_key
) AS m
WHERE a.name = 'attendance_sent' AND a.value = 'absences_only' AND s.is_current = 1
  AND (m.has_moved = 1 OR NOT EXISTS (
      SELECT 1 FROM student_attendance_month AS k
      WHERE k.school_year = m.school_year AND k.student_durable_key = s.student_durable_key AND k.month_key = m.month_key
  ))
ON CONFLICT DO NOTHING;

INSERT INTO setting (name, value)
SELECT 'presumed_until', CAST(e.last_date_key AS TEXT) FROM data_extent AS e WHERE e.feed = 'attendance'
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

CREATE TEMP TABLE changed AS
SELECT student_durable_key, month_key, MIN(first_date_key) AS first_date_key
FROM touched_student_month
WHERE feed = 'attendance'
GROUP BY student_durable_key, month_key;

ANALYZE changed;

CREATE TEMP TABLE kept AS
SELECT m.*
FROM changed AS c
CROSS JOIN (SELECT DISTINCT month_key, school_year FROM dim_dates) AS y
CROSS JOIN student_attendance_month AS m
WHERE y.month_key = c.month_key AND m.student_durable_key = c.student_durable_key AND m.school_year = y.school_year
  AND m.month_key = c.month_key
  AND m.month_key BETWEEN (SELECT MIN(c.month_key) FROM changed AS c) AND (SELECT MAX(c.month_key) FROM changed AS c);

CREATE TEMP TABLE touched AS
SELECT
    c.student_durable_key, c.month_key,
    CASE WHEN c.first_date_key > COALESCE(MAX(k.last_date_key), 0)
        THEN c.first_date_key ELSE 100 * c.month_key END AS first_date_key,
    CASE WHEN c.first_date_key > MAX(k.last_date_key) THEN 1 ELSE 0 END AS is_added_to
FROM changed AS c
LEFT JOIN kept AS k ON k.student_durable_key = c.student_durable_key AND k.month_key = c.month_key
GROUP BY c.student_durable_key, c.month_key, c.first_date_key;

ANALYZE touched;

CREATE TEMP TABLE recounted AS
SELECT k.student_durable_key, k.school_year, k.month_key, k.school_key
FROM touched AS t
JOIN kept AS k ON k.student_durable_key = t.student_durable_key AND k.month_key = t.month_key
WHERE t.is_added_to = 0;

DELETE FROM student_attendance_month
WHERE (school_year, student_durable_key, month_key, school_key) IN (
    SELECT school_year, student_durable_key, month_key, school_key FROM recounted
);

DELETE FROM kept
WHERE (school_year, student_durable_key, month_key, school_key) IN (
    SELECT school_year, student_durable_key, month_key, school_key FROM recounted
);

-- name: count
INSERT INTO student_attendance_month (
    student_durable_key, school_year, month_key, school_key, first_date_key, last_date_key, days_recorded, absent_parts,
    excused_parts, days_late, days_unmapped, days_before, parts_before, unmapped_before, day_marks, absent_so_far
)
SELECT * FROM (
    {{ query }}
) AS counted
WHERE 1 = 1
ORDER BY school_year, month_key, student_durable_key
ON CONFLICT (school_year, student_durable_key, month_key, school_key) DO UPDATE SET
    first_date_key = excluded.first_date_key, last_date_key = excluded.last_date_key,
    days_recorded = excluded.days_recorded, absent_parts = excluded.absent_parts, excused_parts = excluded.excused_parts,
    days_late = excluded.days_late, days_unmapped = excluded.days_unmapped, day_marks = excluded.day_marks,
    absent_so_far = excluded.absent_so_far;

-- name: carry_forward
CREATE TEMP TABLE to_carry AS
SELECT m.student_durable_key, m.school_year
FROM touched AS t
CROSS JOIN (SELECT DISTINCT month_key, school_year FROM dim_dates) AS y
CROSS JOIN student_attendance_month AS m
WHERE y.month_key = t.month_key AND m.student_durable_key = t.student_durable_key AND m.school_year = y.school_year
  AND m.month_key >= t.month_key
  AND m.month_key BETWEEN (SELECT MIN(t.month_key) FROM touched AS t) AND 999912
GROUP BY m.student_durable_key, m.school_year
HAVING COUNT(*) > 1 OR MAX(m.month_key) > MIN(t.month_key) OR MIN(t.is_added_to) = 0;

ANALYZE to_carry;

UPDATE student_attendance_month AS a
SET days_before = c.days_before, parts_before = c.parts_before, unmapped_before = c.unmapped_before
FROM (
    SELECT
        m.student_durable_key, m.school_year, m.month_key, m.school_key,
        SUM(m.days_recorded) OVER in_order - m.days_recorded AS days_before,
        SUM(m.absent_parts) OVER in_order - m.absent_parts AS parts_before,
        SUM(m.days_unmapped) OVER in_order - m.days_unmapped AS unmapped_before
    FROM to_carry AS o
    CROSS JOIN student_attendance_month AS m
    WHERE m.student_durable_key = o.student_durable_key AND m.school_year = o.school_year
    WINDOW in_order AS (
        PARTITION BY m.student_durable_key, m.school_year ORDER BY m.month_key, m.first_date_key, m.school_key
    )
) AS c
WHERE a.student_durable_key = c.student_durable_key AND a.school_year = c.school_year AND a.month_key = c.month_key
  AND a.school_key = c.school_key
  AND (a.days_before <> c.days_before OR a.parts_before <> c.parts_before OR a.unmapped_before <> c.unmapped_before);

DROP TABLE to_carry;

-- name: clean_up
DELETE FROM touched_student_month WHERE feed = 'attendance';

DROP TABLE recounted;

DROP TABLE changed;

DROP TABLE touched;

DROP TABLE kept;
