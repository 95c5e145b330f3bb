-- The student's version on the day d of a fact f: the version of that day, the first version for earlier days, the
-- newest version for undated facts; and the school of enrollment. Inserted into views of facts that contain {{
-- student_of_the_day }}.

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
