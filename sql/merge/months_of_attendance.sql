-- The months m of attendance of students, in the years y with attendance: the key of student_attendance_month begins
-- with the school year. Inserted into SQL files that contain {{ months_of_attendance }}. Their WHERE selects the
-- students.

-- name: join
CROSS JOIN (
    SELECT DISTINCT d.school_year
    FROM data_extent AS e
    JOIN dim_dates AS d ON d.date_key BETWEEN e.first_date_key AND e.last_date_key
    WHERE e.feed = 'attendance'
) AS y
CROSS JOIN student_attendance_month AS m;
