-- The student as of the day of a fact f whose day is d: the version of that day, the first one for days before it, and the
-- newest one for an undated fact; and the school of enrolment. Put into the views of facts where they say {{ student_of_the_day }}.

-- name: join
JOIN dim_students AS v ON v.student_key = (
    SELECT n.student_key
    FROM dim_students AS n
    WHERE n.student_durable_key = f.student_durable_key
    ORDER BY CASE WHEN d.date_key = 0 OR n.valid_from <= d.full_date THEN 0 ELSE 1 END,
        CASE WHEN d.date_key = 0 OR n.valid_from <= d.full_date THEN n.valid_from END DESC, n.valid_from, n.student_key DESC
    LIMIT 1
)
JOIN dim_schools AS h ON h.school_key = v.school_key;
