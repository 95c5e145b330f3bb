-- Attendance row by row with words instead of keys, and each student as of the day: what an analyst starts from.

-- name: schema
CREATE VIEW v_attendance AS
SELECT
    v.student_id AS student_id, -- text: The student's id. [sensitive]
    d.full_date AS full_date, -- date: The school day.
    d.school_year AS school_year, -- integer: School year, named by the year it ends in.
    d.month_key AS month_key, -- integer: Month, yyyymm.
    d.term AS term, -- text: Term, where the calendar names one.
    b.subject AS subject, -- text: The subject; All day for daily attendance.
    f.period AS period, -- text: The period; empty for none.
    c.code AS attendance_code, -- text: The code in lower case. [sensitive]
    c.category AS category, -- text: What the code means. [sensitive]
    c.absent_share_pct AS absent_share_pct, -- integer: Share of the day or period missed, percent 0-100; missing where it does not count. [sensitive]
    v.grade_level AS grade_level, -- text: Grade level on that day. [sensitive]
    COALESCE(t.school_id, h.school_id) AS school_id, -- text: The school that took attendance; else that of enrolment on the day.
    v.homeroom AS homeroom, -- text: Homeroom on that day. [sensitive]
    f.file_id AS file_id, -- integer: The file that first said so.
    f.line_no AS line_no, -- integer: The line of that file.
    f.student_durable_key AS student_durable_key -- integer: The student, for joining facts.
FROM fact_attendance AS f
JOIN dim_dates AS d ON d.date_key = f.date_key
JOIN dim_attendance_codes AS c ON c.attendance_code_key = f.attendance_code_key
JOIN dim_subjects AS b ON b.subject_key = f.subject_key
{{ student_of_the_day }}
LEFT JOIN dim_schools AS t ON t.school_key = f.school_key AND t.school_key > 0;
