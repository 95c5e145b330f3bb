-- The risk monitor as of another day, from the facts, students and rules of that day. The tables and views that it
-- reads are replaced by common table expressions with the same names, so that the same SQL is used for every day.

-- name: any
WITH dim_students AS (
    SELECT
        s.student_key, s.student_durable_key, s.student_id, s.full_name, s.grade_level, s.school_key, s.homeroom,
        s.enrolled_on, s.left_on, s.valid_from, s.valid_to,
        CASE WHEN s.valid_to > o.full_date THEN 1 ELSE 0 END AS is_current
    FROM {{ home }}.dim_students AS s
    JOIN {{ home }}.dim_dates AS o ON o.date_key = {{ day }} AND s.valid_from <= o.full_date
),
data_extent AS (
    SELECT e.feed, e.first_date_key, CASE WHEN e.last_date_key > {{ day }} THEN {{ day }} ELSE e.last_date_key END AS last_date_key
    FROM {{ home }}.data_extent AS e
    WHERE e.first_date_key <= {{ day }}
),
v_as_of AS (
    SELECT
        d.date_key AS as_of_date_key, d.full_date AS as_of_date, d.day_number, d.month_key, d.school_year, o.data_known,
        o.rule_set, o.language
    FROM {{ home }}.v_as_of AS o
    JOIN {{ home }}.dim_dates AS d ON d.date_key = {{ day }}
),
touched AS (
    SELECT s.student_durable_key, m.month_key, 100 * m.month_key AS first_date_key
    FROM (SELECT DISTINCT student_durable_key FROM dim_students) AS s
    CROSS JOIN (
        SELECT DISTINCT d.month_key
        FROM v_as_of AS o
        JOIN {{ home }}.dim_dates AS d ON d.school_year IN (o.school_year, o.school_year - 1) AND d.month_key <= o.month_key
            AND d.month_key >= (SELECT MIN(e.first_date_key) / 100 FROM data_extent AS e WHERE e.first_date_key > 0)
    ) AS m
),
kept AS (SELECT m.* FROM {{ home }}.student_attendance_month AS m WHERE 1 = 0),
{% for name in [
    "student_attendance_month", "student_month", "student_course", "student_year_to_date", "v_risk_windows",
    "v_risk_measures", "v_risk_rules", "v_risk_levels", "v_student_risk_indicators", "student_risk",
    "v_student_risk_monitor",
] %}
{{ name }} AS (
    {{ queries[name] }}
){{ "," if not loop.last }}
{% endfor %}
