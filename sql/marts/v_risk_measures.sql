-- What the risk rules look at, measured in whole numbers: one row for every current student and indicator. The value is
-- numerator / denominator. How each indicator is measured stands here and nowhere else.

-- name: schema
CREATE VIEW v_risk_measures AS
WITH look AS MATERIALIZED (
    SELECT
        o.as_of_date_key, o.as_of_date, o.day_number, o.month_key, o.school_year,
        COALESCE(MAX(CASE WHEN r.indicator = 'attendance_trend' THEN r.window_size END), 20) AS trend_days,
        COALESCE(MAX(CASE WHEN r.indicator = 'attendance_first_month' THEN r.window_size END), 20) AS first_days,
        COALESCE(MAX(CASE WHEN r.indicator = 'homework_missing' THEN r.window_size END), 28) AS homework_days
    FROM v_as_of AS o
    LEFT JOIN risk_rules AS r ON r.rule_set = o.rule_set
        AND r.valid_from_key <= o.as_of_date_key AND r.valid_to_key > o.as_of_date_key
    GROUP BY o.as_of_date_key, o.as_of_date, o.day_number, o.month_key, o.school_year
),
enrolled AS (
    SELECT s.student_durable_key
    FROM dim_students AS s
    CROSS JOIN look AS o
    WHERE s.is_current = 1 AND (s.left_on IS NULL OR o.as_of_date IS NULL OR s.left_on > o.as_of_date)
),
running AS (
    SELECT
        m.student_durable_key, m.month_key, m.first_date_key, m.days_recorded, m.absent_parts, m.days_unmapped,
        m.day_marks, m.absent_so_far,
        SUM(m.days_recorded) OVER in_order - m.days_recorded AS days_before,
        SUM(m.absent_parts) OVER in_order - m.absent_parts AS parts_before,
        SUM(m.days_recorded) OVER (PARTITION BY m.student_durable_key) AS days
    FROM look AS o
    JOIN student_attendance_month AS m ON m.school_year = o.school_year AND m.month_key <= o.month_key
    WINDOW in_order AS (PARTITION BY m.student_durable_key ORDER BY m.month_key, m.first_date_key, m.school_key)
),
attendance AS (
    SELECT
        r.student_durable_key, CAST(MAX(r.days) AS BIGINT) AS days, CAST(SUM(r.absent_parts) AS BIGINT) AS absent_parts,
        SUM(r.days_unmapped) AS days_unmapped,
        STRING_AGG(r.day_marks, '' ORDER BY r.month_key, r.first_date_key) AS marks,
        COALESCE(MAX(CASE
            WHEN r.days - o.trend_days > r.days_before AND r.days - o.trend_days <= r.days_before + r.days_recorded
            THEN r.parts_before
                + CAST(SUBSTR(r.absent_so_far, CAST(5 * (r.days - o.trend_days - r.days_before) - 4 AS INTEGER), 5) AS INTEGER)
        END), 0) AS parts_before_recent,
        COALESCE(MAX(CASE
            WHEN r.days - 2 * o.trend_days > r.days_before AND r.days - 2 * o.trend_days <= r.days_before + r.days_recorded
            THEN r.parts_before
                + CAST(SUBSTR(r.absent_so_far, CAST(5 * (r.days - 2 * o.trend_days - r.days_before) - 4 AS INTEGER), 5) AS INTEGER)
        END), 0) AS parts_before_both,
        MAX(CASE
            WHEN o.first_days > r.days_before AND o.first_days <= r.days_before + r.days_recorded
            THEN r.parts_before
                + CAST(SUBSTR(r.absent_so_far, CAST(5 * (o.first_days - r.days_before) - 4 AS INTEGER), 5) AS INTEGER)
        END) AS parts_in_first
    FROM running AS r
    CROSS JOIN look AS o
    GROUP BY r.student_durable_key
),
windows AS (
    SELECT
        a.student_durable_key,
        CASE WHEN a.days < o.trend_days THEN a.days ELSE o.trend_days END AS recent_days,
        a.absent_parts - a.parts_before_recent AS recent_parts,
        CASE
            WHEN a.days <= o.trend_days THEN 0
            WHEN a.days < 2 * o.trend_days THEN a.days - o.trend_days
            ELSE o.trend_days
        END AS before_days,
        a.parts_before_recent - a.parts_before_both AS before_parts,
        CASE WHEN a.days < o.first_days THEN a.days ELSE o.first_days END AS first_days,
        COALESCE(a.parts_in_first, a.absent_parts) AS first_parts
    FROM attendance AS a
    CROSS JOIN look AS o
),
course AS (
    SELECT
        c.student_durable_key, c.subject, MAX(c.is_core) AS is_core, SUM(c.scores) AS scores,
        SUM(c.score_bp_sum) AS score_bp_sum, SUM(c.scores_flagged) AS flagged,
        SUM(c.homework_values) AS homework_values, SUM(c.homework_bp_sum) AS homework_bp_sum,
        MAX(CASE WHEN c.last_scores > 0 AND c.scores > c.last_scores THEN
            (c.score_bp_sum - c.last_score_bp_sum) / (c.scores - c.last_scores) - c.last_score_bp_sum / c.last_scores
        END) AS fall_bp
    FROM look AS o
    JOIN student_course AS c ON c.school_year IN (o.school_year, 0)
    GROUP BY c.student_durable_key, c.subject
),
pass_mark AS (
    SELECT MIN(minimum_bp) AS minimum_bp FROM dim_letter_grades WHERE is_passing = 1
),
scores AS (
    SELECT
        c.student_durable_key,
        SUM(CASE WHEN c.is_core = 1 AND c.scores > 0 THEN 1 ELSE 0 END) AS core_courses,
        SUM(CASE WHEN c.is_core = 1 THEN 1 ELSE 0 END) AS core_courses_sent,
        SUM(CASE WHEN c.is_core = 1 AND c.scores > 0 AND c.score_bp_sum < p.minimum_bp * c.scores THEN 1 ELSE 0 END) AS failing,
        SUM(c.scores) AS scores, SUM(c.score_bp_sum) AS score_bp_sum, SUM(c.flagged) AS flagged,
        SUM(c.homework_values) AS homework_values, SUM(c.homework_bp_sum) AS homework_bp_sum,
        COUNT(c.fall_bp) AS falling_courses, SUM(c.fall_bp) AS fall_bp
    FROM course AS c
    CROSS JOIN pass_mark AS p
    GROUP BY c.student_durable_key
),
homework AS (
    SELECT
        f.student_durable_key,
        SUM(CASE WHEN s.category = 'MISSING' THEN 1 ELSE 0 END) AS missing,
        SUM(CASE WHEN s.category IN ('DONE', 'MISSING') THEN 1 ELSE 0 END) AS due, COUNT(*) AS sent
    FROM look AS o
    CROSS JOIN dim_dates AS d
    CROSS JOIN fact_homework AS f
    CROSS JOIN dim_homework_statuses AS s
    WHERE d.day_number > o.day_number - o.homework_days AND d.day_number <= o.day_number
      AND d.school_year = o.school_year AND f.due_date_key = d.date_key AND s.homework_status_key = f.homework_status_key
    GROUP BY f.student_durable_key
),
contact AS (
    SELECT m.student_durable_key, MAX(m.last_contact_key) AS last_contact_key
    FROM look AS o
    JOIN student_month AS m ON m.school_year IN (o.school_year, o.school_year - 1) AND m.month_key <= o.month_key
    GROUP BY m.student_durable_key
),
messages AS (
    SELECT d.day_number
    FROM data_extent AS e
    JOIN dim_dates AS d ON d.date_key = e.first_date_key
    WHERE e.feed = 'communication'
),
measure AS (
    SELECT
        e.student_durable_key, 'attendance_rate' AS indicator,
        2520 * a.days - a.absent_parts AS numerator, 2520 * a.days AS denominator, a.days AS data_points,
        a.days + a.days_unmapped AS data_sent, 1 AS is_judged_now,
        a.absent_parts AS parts, 1000 * a.absent_parts / (2520 * a.days) AS share_tenths, w.recent_parts, w.recent_days
    FROM enrolled AS e
    LEFT JOIN attendance AS a ON a.student_durable_key = e.student_durable_key AND a.days > 0
    LEFT JOIN windows AS w ON w.student_durable_key = e.student_durable_key
    UNION ALL
    SELECT
        e.student_durable_key, 'attendance_first_month', w.first_parts, 2520, w.first_days, w.first_days,
        CASE WHEN a.days > 3 * o.first_days THEN 0 ELSE 1 END, w.first_parts, NULL, NULL, NULL
    FROM enrolled AS e
    CROSS JOIN look AS o
    LEFT JOIN windows AS w ON w.student_durable_key = e.student_durable_key
    LEFT JOIN attendance AS a ON a.student_durable_key = e.student_durable_key
    UNION ALL
    SELECT
        e.student_durable_key, 'attendance_streak', LENGTH(a.marks) - LENGTH(RTRIM(a.marks, 'A')), 1, a.days, a.days, 1,
        NULL, NULL, NULL, NULL
    FROM enrolled AS e
    LEFT JOIN attendance AS a ON a.student_durable_key = e.student_durable_key
    UNION ALL
    SELECT
        e.student_durable_key, 'attendance_trend',
        w.recent_parts * w.before_days - w.before_parts * w.recent_days, 2520 * w.before_days * w.recent_days,
        CASE WHEN w.before_days < w.recent_days THEN w.before_days ELSE w.recent_days END,
        CASE WHEN w.before_days < w.recent_days THEN w.before_days ELSE w.recent_days END, 1,
        w.before_parts, NULL, w.recent_parts, w.recent_days
    FROM enrolled AS e
    LEFT JOIN windows AS w ON w.student_durable_key = e.student_durable_key
    UNION ALL
    SELECT
        e.student_durable_key, 'courses_failing', s.failing, 1, s.core_courses, s.core_courses_sent, 1, NULL, NULL, NULL,
        NULL
    FROM enrolled AS e
    LEFT JOIN scores AS s ON s.student_durable_key = e.student_durable_key
    UNION ALL
    SELECT
        e.student_durable_key, 'average_score', s.score_bp_sum, 10000 * s.scores, s.scores, s.scores + s.flagged, 1, NULL,
        NULL, NULL, NULL
    FROM enrolled AS e
    LEFT JOIN scores AS s ON s.student_durable_key = e.student_durable_key
    UNION ALL
    SELECT
        e.student_durable_key, 'score_trend', s.fall_bp, 10000 * s.falling_courses, s.falling_courses, s.falling_courses, 1,
        NULL, NULL, NULL, NULL
    FROM enrolled AS e
    LEFT JOIN scores AS s ON s.student_durable_key = e.student_durable_key
    UNION ALL
    SELECT
        e.student_durable_key, 'homework_missing', h.missing, h.due, h.due, h.sent, 1, 2520 * h.missing,
        CASE WHEN h.due > 0 THEN 1000 * h.missing / h.due END, NULL, NULL
    FROM enrolled AS e
    LEFT JOIN homework AS h ON h.student_durable_key = e.student_durable_key
    UNION ALL
    SELECT
        e.student_durable_key, 'homework_completion', s.homework_bp_sum, 10000 * s.homework_values, s.homework_values,
        s.homework_values, 1, NULL, NULL, NULL, NULL
    FROM enrolled AS e
    LEFT JOIN scores AS s ON s.student_durable_key = e.student_durable_key
    UNION ALL
    SELECT
        e.student_durable_key, 'contact_gap',
        o.day_number - CASE WHEN d.day_number > f.day_number THEN d.day_number ELSE f.day_number END, 1, 1, 1, 1, NULL, NULL,
        NULL, NULL
    FROM enrolled AS e
    CROSS JOIN look AS o
    JOIN messages AS f ON f.day_number <= o.day_number
    LEFT JOIN contact AS c ON c.student_durable_key = e.student_durable_key AND c.last_contact_key > 0
    LEFT JOIN dim_dates AS d ON d.date_key = c.last_contact_key
)
SELECT
    m.student_durable_key AS student_durable_key, -- integer: The student.
    m.indicator AS indicator, -- text: The indicator.
    CAST(m.numerator AS BIGINT) AS numerator, -- integer: The value is numerator / denominator. [sensitive]
    CAST(m.denominator AS BIGINT) AS denominator, -- integer: As numerator.
    CAST(COALESCE(m.data_points, 0) AS BIGINT) AS data_points, -- integer: Days, scores or assignments that count.
    CAST(COALESCE(m.data_sent, 0) AS BIGINT) AS data_sent, -- integer: Days, scores or assignments that were sent, understood or not.
    m.is_judged_now AS is_judged_now, -- integer: 0 when the time for the indicator is over.
    CAST(m.parts AS BIGINT) AS parts, -- integer: What was missed, in parts of 2520, for words. [sensitive]
    CAST(m.share_tenths AS BIGINT) AS share_tenths, -- integer: Its share, in tenths of a percent, cut, for words. [sensitive]
    CAST(m.recent_parts AS BIGINT) AS recent_parts, -- integer: What was missed in the last school days, in parts of 2520 a day. [sensitive]
    CAST(m.recent_days AS BIGINT) AS recent_days -- integer: How many last school days these are.
FROM measure AS m;

-- name: row_count
SELECT NULL AS not_worth_counting;
