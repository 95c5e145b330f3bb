-- The measures of the risk rules in integers: one row per current student and indicator. The value is numerator /
-- denominator. This is the only definition of how an indicator is measured. The windows are in v_risk_windows, and
-- totals that are only computed when they change are in student_year_to_date.

-- name: schema
CREATE VIEW v_risk_measures AS
WITH look AS MATERIALIZED (
    SELECT * FROM v_risk_windows
),
enrolled AS (
    SELECT s.student_durable_key
    FROM dim_students AS s
    CROSS JOIN look AS o
    WHERE s.is_current = 1 AND (s.left_on IS NULL OR o.as_of_date IS NULL OR s.left_on > o.as_of_date)
),
year_to_date AS MATERIALIZED (
    SELECT
        m.student_durable_key, CAST(MAX(m.days_before + m.days_recorded) AS BIGINT) AS days,
        CAST(MAX(m.parts_before + m.absent_parts) AS BIGINT) AS absent_parts,
        MAX(m.unmapped_before + m.days_unmapped) AS days_unmapped,
        MAX(CASE
            WHEN m.days_recorded > 0 AND m.day_marks NOT LIKE '%A' THEN m.days_before + m.days_recorded
            WHEN RTRIM(m.day_marks, 'A') = '' THEN 0
            ELSE m.days_before + LENGTH(RTRIM(m.day_marks, 'A'))
        END) AS last_present
    FROM look AS o
    CROSS JOIN enrolled AS e
    CROSS JOIN student_attendance_month AS m
    WHERE m.student_durable_key = e.student_durable_key AND m.school_year = o.school_year AND m.month_key <= o.month_key
    GROUP BY m.student_durable_key
),
attendance AS MATERIALIZED (
    SELECT
        y.student_durable_key, MAX(y.days) AS days, MAX(y.absent_parts) AS absent_parts,
        MAX(y.days_unmapped) AS days_unmapped, MAX(y.last_present) AS last_present,
        COALESCE(MAX(CASE
            WHEN y.days - o.trend_days > m.days_before AND y.days - o.trend_days <= m.days_before + m.days_recorded
            THEN m.parts_before
                + CAST(SUBSTR(m.absent_so_far, CAST(5 * (y.days - o.trend_days - m.days_before) - 4 AS INTEGER), 5) AS INTEGER)
        END), 0) AS parts_before_recent,
        COALESCE(MAX(CASE
            WHEN y.days - 2 * o.trend_days > m.days_before AND y.days - 2 * o.trend_days <= m.days_before + m.days_recorded
            THEN m.parts_before
                + CAST(SUBSTR(m.absent_so_far, CAST(5 * (y.days - 2 * o.trend_days - m.days_before) - 4 AS INTEGER), 5) AS INTEGER)
        END), 0) AS parts_before_both,
        MAX(CASE
            WHEN o.first_days > m.days_before AND o.first_days <= m.days_before + m.days_recorded
            THEN m.parts_before
                + CAST(SUBSTR(m.absent_so_far, CAST(5 * (o.first_days - m.days_before) - 4 AS INTEGER), 5) AS INTEGER)
        END) AS parts_in_first
    FROM look AS o
    CROSS JOIN year_to_date AS y
    CROSS JOIN student_attendance_month AS m
    WHERE m.student_durable_key = y.student_durable_key AND m.school_year = o.school_year AND m.month_key <= o.month_key
    GROUP BY y.student_durable_key
),
homework AS (
    SELECT
        f.student_durable_key,
        SUM(CASE WHEN s.category = 'MISSING' THEN 1 ELSE 0 END) AS missing,
        SUM(CASE WHEN s.category IN ('DONE', 'MISSING') THEN 1 ELSE 0 END) AS due, COUNT(*) AS sent
    FROM look AS o
    CROSS JOIN enrolled AS e
    CROSS JOIN fact_homework AS f
    CROSS JOIN dim_homework_statuses AS s
    WHERE f.student_durable_key = e.student_durable_key
      AND f.due_date_key BETWEEN o.homework_from_key AND o.as_of_date_key
      AND s.homework_status_key = f.homework_status_key
    GROUP BY f.student_durable_key
),
known AS MATERIALIZED (
    SELECT
        e.student_durable_key, a.days, a.absent_parts, a.days_unmapped, a.days - a.last_present AS streak,
        CASE WHEN a.days >= o.trend_days THEN o.trend_days ELSE a.days END AS recent_days,
        a.absent_parts - a.parts_before_recent AS recent_parts,
        CASE
            WHEN a.days >= 2 * o.trend_days THEN o.trend_days
            WHEN a.days >= o.trend_days THEN a.days - o.trend_days
            WHEN a.days >= 0 THEN 0
        END AS before_days,
        a.parts_before_recent - a.parts_before_both AS before_parts,
        CASE WHEN a.days >= o.first_days THEN o.first_days ELSE a.days END AS first_days,
        COALESCE(a.parts_in_first, a.absent_parts) AS first_parts,
        CASE WHEN a.days > o.first_until_days THEN 0 ELSE 1 END AS is_first_month,
        y.core_courses, y.core_courses_sent, y.courses_failing, y.scores, y.score_bp_sum, y.scores_flagged,
        y.homework_values, y.homework_bp_sum, y.falling_courses, y.fall_bp, h.missing, h.due, h.sent,
        o.day_number - CASE WHEN d.day_number > o.messages_from_day THEN d.day_number ELSE o.messages_from_day END
            AS days_without_contact
    FROM enrolled AS e
    CROSS JOIN look AS o
    LEFT JOIN attendance AS a ON a.student_durable_key = e.student_durable_key
    LEFT JOIN student_year_to_date AS y ON y.student_durable_key = e.student_durable_key
    LEFT JOIN homework AS h ON h.student_durable_key = e.student_durable_key
    LEFT JOIN dim_dates AS d ON d.date_key = y.last_contact_key
),
measure AS (
    SELECT
        k.student_durable_key, 'attendance_rate' AS indicator,
        CASE WHEN k.days > 0 THEN 2520 * k.days - k.absent_parts END AS numerator, 2520 * NULLIF(k.days, 0) AS denominator,
        k.days AS data_points, CASE WHEN k.days > 0 THEN k.days + k.days_unmapped END AS data_sent, 1 AS is_judged_now,
        CASE WHEN k.days > 0 THEN k.absent_parts END AS parts,
        CASE WHEN k.days > 0 THEN 1000 * k.absent_parts / (2520 * k.days) END AS share_tenths, k.recent_parts, k.recent_days
    FROM known AS k
    UNION ALL
    SELECT
        k.student_durable_key, 'attendance_first_month', k.first_parts, 2520, k.first_days, k.first_days, k.is_first_month,
        k.first_parts, NULL, NULL, NULL
    FROM known AS k
    UNION ALL
    SELECT
        k.student_durable_key, 'attendance_streak', k.streak, 1, k.days, k.days, 1, NULL, NULL, NULL, NULL
    FROM known AS k
    UNION ALL
    SELECT
        k.student_durable_key, 'attendance_trend',
        k.recent_parts * k.before_days - k.before_parts * k.recent_days, 2520 * k.before_days * k.recent_days,
        k.before_days, k.before_days, 1, k.before_parts, NULL, k.recent_parts, k.recent_days
    FROM known AS k
    UNION ALL
    SELECT
        k.student_durable_key, 'courses_failing', k.courses_failing, 1, k.core_courses, k.core_courses_sent, 1, NULL, NULL, NULL,
        NULL
    FROM known AS k
    UNION ALL
    SELECT
        k.student_durable_key, 'average_score', k.score_bp_sum, 10000 * k.scores, k.scores, k.scores + k.scores_flagged, 1, NULL,
        NULL, NULL, NULL
    FROM known AS k
    UNION ALL
    SELECT
        k.student_durable_key, 'score_trend', k.fall_bp, 10000 * k.falling_courses, k.falling_courses, k.falling_courses, 1,
        NULL, NULL, NULL, NULL
    FROM known AS k
    UNION ALL
    SELECT
        k.student_durable_key, 'homework_missing', k.missing, k.due, k.due, k.sent, 1, 2520 * k.missing,
        CASE WHEN k.due > 0 THEN 1000 * k.missing / k.due END, NULL, NULL
    FROM known AS k
    UNION ALL
    SELECT
        k.student_durable_key, 'homework_completion', k.homework_bp_sum, 10000 * k.homework_values, k.homework_values,
        k.homework_values, 1, NULL, NULL, NULL, NULL
    FROM known AS k
    UNION ALL
    SELECT
        k.student_durable_key, 'contact_gap', k.days_without_contact, 1, 1, 1, 1, NULL, NULL, NULL, NULL
    FROM known AS k
    WHERE k.days_without_contact IS NOT NULL
)
SELECT
    m.student_durable_key AS student_durable_key, -- integer: Durable key of the student.
    m.indicator AS indicator, -- text: The indicator.
    CAST(m.numerator AS BIGINT) AS numerator, -- integer: The value is numerator / denominator. [sensitive]
    CAST(m.denominator AS BIGINT) AS denominator, -- integer: See numerator.
    CAST(COALESCE(m.data_points, 0) AS BIGINT) AS data_points, -- integer: Number of days, scores or assignments used.
    CAST(COALESCE(m.data_sent, 0) AS BIGINT) AS data_sent, -- integer: Number of days, scores or assignments sent, whether used or not.
    m.is_judged_now AS is_judged_now, -- integer: 0 if the indicator's period is over.
    CAST(m.parts AS BIGINT) AS parts, -- integer: Days or assignments missed, in parts of 1/2520, for the text of the reason. [sensitive]
    CAST(m.share_tenths AS BIGINT) AS share_tenths, -- integer: Share missed, in tenths of a percent, truncated, for the text of the reason. [sensitive]
    CAST(m.recent_parts AS BIGINT) AS recent_parts, -- integer: Days missed in the most recent window, in parts of 1/2520 day. [sensitive]
    CAST(m.recent_days AS BIGINT) AS recent_days -- integer: Number of school days in the most recent window.
FROM measure AS m;
