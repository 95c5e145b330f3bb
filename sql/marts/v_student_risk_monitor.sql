-- Which student is at risk and why: one row for every current student, with every reason.
-- HIGH: one severe or two at risk. MODERATE: one at risk. WATCH: something to watch. ON_TRACK only when the data
-- suffices, else INSUFFICIENT_DATA: no data is never fine. Rules: data/reference/risk_rules.csv.

-- name: schema
CREATE VIEW v_student_risk_monitor AS
WITH attendance AS (
    SELECT
        m.student_durable_key,
        SUM(m.days_recorded) AS days,
        SUM(2520 * m.days_recorded) AS parts,
        SUM(m.absent_parts) AS absent_parts,
        SUM(m.days_unmapped) AS days_unmapped,
        SUM(m.homework_done) AS homework_done,
        SUM(m.homework_done + m.homework_missing) AS homework_due,
        MAX(m.last_contact_key) AS last_contact_key,
        COALESCE(SUM(CASE WHEN m.month_key = a.month_key THEN m.days_recorded END), 0) AS days_now,
        COALESCE(SUM(CASE WHEN m.month_key = a.month_key THEN 2520 * m.days_recorded - m.absent_parts END), 0) AS present_now,
        COALESCE(SUM(CASE WHEN m.month_key = a.previous_month_key THEN m.days_recorded END), 0) AS days_before,
        COALESCE(SUM(CASE WHEN m.month_key = a.previous_month_key THEN 2520 * m.days_recorded - m.absent_parts END), 0) AS present_before
    FROM student_month AS m
    JOIN v_as_of AS a ON a.school_year = m.school_year AND m.month_key <= a.month_key
    GROUP BY m.student_durable_key
),
course AS (
    SELECT
        c.student_durable_key, c.subject, MAX(c.is_core) AS is_core, SUM(c.scores) AS scores,
        SUM(c.score_bp_sum) AS score_bp_sum, SUM(c.homework_values) AS homework_values,
        SUM(c.homework_bp_sum) AS homework_bp_sum
    FROM student_course AS c
    JOIN v_as_of AS a ON c.school_year IN (a.school_year, 0)
    GROUP BY c.student_durable_key, c.subject
),
pass_mark AS (
    SELECT MIN(minimum_bp) AS minimum_bp FROM dim_letter_grades WHERE is_passing = 1
),
scores AS (
    SELECT
        c.student_durable_key,
        SUM(CASE WHEN c.is_core = 1 AND c.scores > 0 THEN 1 ELSE 0 END) AS core_courses,
        SUM(CASE WHEN c.is_core = 1 AND c.scores > 0 AND c.score_bp_sum < p.minimum_bp * c.scores THEN 1 ELSE 0 END) AS failing,
        CAST(SUM(c.scores) AS BIGINT) AS scores, CAST(SUM(c.score_bp_sum) AS BIGINT) AS score_bp_sum,
        CAST(SUM(c.homework_values) AS BIGINT) AS homework_values, CAST(SUM(c.homework_bp_sum) AS BIGINT) AS homework_bp_sum
    FROM course AS c
    CROSS JOIN pass_mark AS p
    GROUP BY c.student_durable_key
),
indicator AS (
    SELECT
        student_durable_key, 'attendance_rate' AS indicator, parts - absent_parts AS numerator, parts AS denominator,
        days AS data_points, absent_parts
    FROM attendance
    UNION ALL
    SELECT student_durable_key, 'courses_failing', failing, 1, core_courses, 0 FROM scores
    UNION ALL
    SELECT student_durable_key, 'average_score', score_bp_sum, 10000 * scores, scores, 0 FROM scores
    UNION ALL
    SELECT student_durable_key, 'homework_done', homework_done, homework_due, homework_due, 0 FROM attendance
    UNION ALL
    SELECT student_durable_key, 'homework_completion', homework_bp_sum, 10000 * homework_values, homework_values, 0
    FROM scores
    UNION ALL
    SELECT
        student_durable_key, 'attendance_trend',
        present_before * days_now - present_now * days_before, 2520 * days_before * days_now,
        CASE WHEN days_before < days_now THEN days_before ELSE days_now END, 0
    FROM attendance
    UNION ALL
    SELECT
        i.student_durable_key, 'contact_gap',
        a.day_number - CASE WHEN c.day_number > first.day_number THEN c.day_number ELSE first.day_number END, 1, 1, 0
    FROM student_identity AS i
    CROSS JOIN v_as_of AS a
    JOIN data_extent AS e ON e.feed = 'communication'
    JOIN dim_dates AS first ON first.date_key = e.first_date_key
    LEFT JOIN attendance AS t ON t.student_durable_key = i.student_durable_key
    LEFT JOIN dim_dates AS c ON c.date_key = t.last_contact_key AND c.date_key > 0
),
rule AS (
    SELECT
        r.indicator,
        MAX(r.weight) AS weight,
        MAX(CASE WHEN r.level = 1 THEN r.threshold_x100 END) AS watch_at,
        MAX(CASE WHEN r.level = 1 THEN CASE WHEN r.comparator IN ('lt', 'le') THEN 1 ELSE -1 END END) AS watch_sign,
        MAX(CASE WHEN r.level = 1 THEN CASE WHEN r.comparator IN ('le', 'ge') THEN 1 ELSE 0 END END) AS watch_inclusive,
        MAX(CASE WHEN r.level = 2 THEN r.threshold_x100 END) AS risk_at,
        MAX(CASE WHEN r.level = 2 THEN CASE WHEN r.comparator IN ('lt', 'le') THEN 1 ELSE -1 END END) AS risk_sign,
        MAX(CASE WHEN r.level = 2 THEN CASE WHEN r.comparator IN ('le', 'ge') THEN 1 ELSE 0 END END) AS risk_inclusive,
        MAX(CASE WHEN r.level = 3 THEN r.threshold_x100 END) AS severe_at,
        MAX(CASE WHEN r.level = 3 THEN CASE WHEN r.comparator IN ('lt', 'le') THEN 1 ELSE -1 END END) AS severe_sign,
        MAX(CASE WHEN r.level = 3 THEN CASE WHEN r.comparator IN ('le', 'ge') THEN 1 ELSE 0 END END) AS severe_inclusive
    FROM risk_rules AS r
    JOIN v_as_of AS a ON a.rule_set = r.rule_set
        AND r.valid_from_key <= CASE WHEN a.as_of_date_key = 0 THEN 99991230 ELSE a.as_of_date_key END
        AND r.valid_to_key > CASE WHEN a.as_of_date_key = 0 THEN 99991230 ELSE a.as_of_date_key END
    GROUP BY r.indicator
),
measured AS (
    SELECT
        i.student_durable_key, i.indicator, i.numerator, i.denominator, i.data_points, i.absent_parts,
        d.needs_other_risk, d.reason_text, d.scale, r.weight,
        CASE WHEN d.required = 'always' OR (
            d.required = 'if_sent' AND EXISTS (SELECT 1 FROM data_extent AS e WHERE e.feed = d.feed)
        ) THEN 1 ELSE 0 END AS is_required,
        r.watch_at, r.risk_at, r.severe_at,
        CASE
            WHEN r.severe_sign * i.numerator * d.scale * 100 < r.severe_sign * r.severe_at * i.denominator + r.severe_inclusive THEN 3
            WHEN r.risk_sign * i.numerator * d.scale * 100 < r.risk_sign * r.risk_at * i.denominator + r.risk_inclusive THEN 2
            WHEN r.watch_sign * i.numerator * d.scale * 100 < r.watch_sign * r.watch_at * i.denominator + r.watch_inclusive THEN 1
            ELSE 0
        END AS raw_level
    FROM indicator AS i
    JOIN risk_indicators AS d ON d.indicator = i.indicator
    JOIN rule AS r ON r.indicator = i.indicator
    WHERE i.data_points >= d.minimum_data AND i.denominator > 0
),
at_risk AS (
    SELECT DISTINCT student_durable_key FROM measured WHERE raw_level >= 2 AND needs_other_risk = 0
),
judged AS (
    SELECT
        m.*,
        CASE WHEN m.needs_other_risk = 1 AND r.student_durable_key IS NULL THEN 0 ELSE m.raw_level END AS level,
        (2 * m.numerator * m.scale * 10 + m.denominator) / (2 * m.denominator) AS value_tenths,
        (2 * m.absent_parts * 10 + 2520) / (2 * 2520) AS missed_tenths,
        CASE m.raw_level WHEN 3 THEN m.severe_at WHEN 2 THEN m.risk_at ELSE m.watch_at END AS cut_off_x100
    FROM measured AS m
    LEFT JOIN at_risk AS r ON r.student_durable_key = m.student_durable_key
),
worded AS (
    SELECT
        j.*,
        CAST(j.numerator * j.scale AS DOUBLE PRECISION) / j.denominator AS value,
        CASE j.level WHEN 3 THEN 'SEVERE' WHEN 2 THEN 'RISK' WHEN 1 THEN 'WATCH' ELSE 'OK' END AS flag,
        CASE WHEN j.level > 0 THEN
            REPLACE(REPLACE(REPLACE(REPLACE(
                j.reason_text,
                '{value}', CAST(j.value_tenths / 10 AS TEXT)
                    || CASE WHEN j.value_tenths % 10 = 0 THEN '' ELSE '.' || CAST(j.value_tenths % 10 AS TEXT) END),
                '{threshold}', CAST(j.cut_off_x100 / 100 AS TEXT)
                    || CASE WHEN j.cut_off_x100 % 100 = 0 THEN '' ELSE '.' || CAST(j.cut_off_x100 % 100 AS TEXT) END),
                '{missed}', CAST(j.missed_tenths / 10 AS TEXT)
                    || CASE WHEN j.missed_tenths % 10 = 0 THEN '' ELSE '.' || CAST(j.missed_tenths % 10 AS TEXT) END),
                '{days}', CAST(j.data_points AS TEXT))
        END AS reason
    FROM judged AS j
),
student AS (
    SELECT
        w.student_durable_key,
        SUM(CASE WHEN w.level = 3 THEN 1 ELSE 0 END) AS severe_count,
        SUM(CASE WHEN w.level >= 2 THEN 1 ELSE 0 END) AS risk_count,
        SUM(CASE WHEN w.level = 1 THEN 1 ELSE 0 END) AS watch_count,
        SUM(w.weight * w.level) AS risk_score,
        SUM(w.is_required) AS required_met,
        COUNT(*) AS indicators_judged,
        STRING_AGG(w.reason, '; ' ORDER BY w.level DESC, w.weight DESC, w.indicator) AS reasons,
        MAX(CASE WHEN w.indicator = 'attendance_rate' THEN w.value END) AS attendance_rate,
        MAX(CASE WHEN w.indicator = 'attendance_rate' THEN w.flag END) AS attendance_flag,
        MAX(CASE WHEN w.indicator = 'courses_failing' THEN w.numerator END) AS courses_failing,
        MAX(CASE WHEN w.indicator = 'courses_failing' THEN w.flag END) AS courses_flag,
        MAX(CASE WHEN w.indicator = 'average_score' THEN w.value END) AS average_score,
        MAX(CASE WHEN w.indicator = 'average_score' THEN w.flag END) AS score_flag,
        MAX(CASE WHEN w.indicator = 'homework_done' THEN w.value END) AS homework_rate,
        MAX(CASE WHEN w.indicator = 'homework_done' THEN w.flag END) AS homework_flag,
        MAX(CASE WHEN w.indicator = 'attendance_trend' THEN -w.value END) AS attendance_change,
        MAX(CASE WHEN w.indicator = 'attendance_trend' THEN w.flag END) AS trend_flag,
        MAX(CASE WHEN w.indicator = 'contact_gap' THEN w.numerator END) AS days_without_contact,
        MAX(CASE WHEN w.indicator = 'contact_gap' THEN w.flag END) AS contact_flag
    FROM worded AS w
    GROUP BY w.student_durable_key
),
expected AS (
    SELECT
        COUNT(*) AS indicators,
        SUM(CASE WHEN d.required = 'always' OR (
            d.required = 'if_sent' AND EXISTS (SELECT 1 FROM data_extent AS e WHERE e.feed = d.feed)
        ) THEN 1 ELSE 0 END) AS required
    FROM risk_indicators AS d
    JOIN rule AS r ON r.indicator = d.indicator
)
SELECT
    s.student_id AS student_id, -- text: The student's id. [sensitive]
    s.full_name AS full_name, -- text: The student's name. [pii]
    s.grade_level AS grade_level, -- text: Grade level. [sensitive]
    h.school_id AS school_id, -- text: School of enrolment.
    s.homeroom AS homeroom, -- text: Homeroom. [sensitive]
    CASE
        WHEN t.severe_count >= 1 OR t.risk_count >= 2 THEN 'HIGH'
        WHEN t.risk_count = 1 THEN 'MODERATE'
        WHEN t.watch_count >= 1 THEN 'WATCH'
        WHEN t.required_met = x.required THEN 'ON_TRACK'
        ELSE 'INSUFFICIENT_DATA'
    END AS risk_tier, -- text: HIGH, MODERATE, WATCH, ON_TRACK or INSUFFICIENT_DATA. [sensitive]
    COALESCE(t.risk_score, 0) AS risk_score, -- integer: Sum of weight times level of all flags; for ordering. [sensitive]
    COALESCE(t.reasons, '') AS reasons, -- text: All reasons in words, the gravest first. [sensitive]
    t.attendance_rate AS attendance_rate, -- real: Days present of days recorded this school year, percent 0-100. [sensitive]
    COALESCE(t.attendance_flag, 'INSUFFICIENT_DATA') AS attendance_flag, -- text: OK, WATCH, RISK, SEVERE or INSUFFICIENT_DATA. [sensitive]
    COALESCE(a.days, 0) AS days_recorded, -- integer: Days with attendance that could be understood.
    CAST(COALESCE(a.absent_parts, 0) AS DOUBLE PRECISION) / 2520 AS days_absent, -- real: Days missed, excused or not. [sensitive]
    CASE WHEN a.days + a.days_unmapped > 0 THEN CAST(100 * a.days AS DOUBLE PRECISION) / (a.days + a.days_unmapped) END AS attendance_coverage, -- real: Days understood of days sent, percent 0-100.
    t.courses_failing AS courses_failing, -- integer: Core courses with an average below the pass mark. [sensitive]
    COALESCE(t.courses_flag, 'INSUFFICIENT_DATA') AS courses_flag, -- text: As attendance_flag. [sensitive]
    t.average_score AS average_score, -- real: Average of the scores that count, percent 0-100. [sensitive]
    COALESCE(t.score_flag, 'INSUFFICIENT_DATA') AS score_flag, -- text: As attendance_flag. [sensitive]
    t.homework_rate AS homework_rate, -- real: Assignments handed in of those done or missing, percent 0-100. [sensitive]
    COALESCE(t.homework_flag, 'INSUFFICIENT_DATA') AS homework_flag, -- text: As attendance_flag. [sensitive]
    t.attendance_change AS attendance_change, -- real: Attendance rate against the month before, percentage points. [sensitive]
    COALESCE(t.trend_flag, 'INSUFFICIENT_DATA') AS trend_flag, -- text: As attendance_flag. [sensitive]
    t.days_without_contact AS days_without_contact, -- integer: Days since a message between people. [sensitive]
    COALESCE(t.contact_flag, 'INSUFFICIENT_DATA') AS contact_flag, -- text: As attendance_flag. [sensitive]
    CAST(100 * COALESCE(t.indicators_judged, 0) AS DOUBLE PRECISION) / x.indicators AS data_coverage, -- real: Indicators with enough data of all, percent 0-100.
    o.as_of_date AS known_until, -- date: The day up to which data is known.
    o.rule_set AS rule_set, -- text: The rules that were applied.
    s.student_durable_key AS student_durable_key -- integer: The student, for joining facts.
FROM dim_students AS s
CROSS JOIN v_as_of AS o
CROSS JOIN expected AS x
JOIN dim_schools AS h ON h.school_key = s.school_key
LEFT JOIN student AS t ON t.student_durable_key = s.student_durable_key
LEFT JOIN attendance AS a ON a.student_durable_key = s.student_durable_key
WHERE s.is_current = 1;
