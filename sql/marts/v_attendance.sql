-- Attendance rows with names instead of keys, and the student's version of that day: the starting point for analysts.

-- name: schema
CREATE VIEW v_attendance AS
SELECT
    v.student_id AS student_id, -- text: The student's id. [sensitive]
    d.full_date AS full_date, -- date: The school day.
    d.school_year AS school_year, -- integer: School year, named by the year in which it ends.
    d.month_key AS month_key, -- integer: Month, yyyymm.
    d.term AS term, -- text: Term, if the calendar names one.
    b.subject AS subject, -- text: The subject; 'All day' for daily attendance.
    f.period AS period, -- text: The period; empty if there is none.
    c.code AS attendance_code, -- text: The code, in lower case. [sensitive]
    c.category AS category, -- text: Category of the code. [sensitive]
    c.absent_share_pct AS absent_share_pct, -- integer: Share of the day or period missed, percent 0-100; null if the row does not count. [sensitive]
    v.grade_level AS grade_level, -- text: Grade level on that day. [sensitive]
    COALESCE(t.school_id, h.school_id) AS school_id, -- text: School that took attendance; if not given, the school of enrollment on that day.
    v.homeroom AS homeroom, -- text: Homeroom on that day. [sensitive]
    f.file_id AS file_id, -- integer: The file that first contained these values.
    f.line_no AS line_no, -- integer: The line of that file.
    f.student_durable_key AS student_durable_key -- integer: Durable key of the student, for joins with facts.
FROM fact_attendance AS f
JOIN dim_dates AS d ON d.date_key = f.date_key
JOIN dim_attendance_codes AS c ON c.attendance_code_key = f.attendance_code_key
JOIN dim_subjects AS b ON b.subject_key = f.subject_key
{{ student_of_the_day }}
LEFT JOIN dim_schools AS t ON t.school_key = f.school_key AND t.school_key > 0;
