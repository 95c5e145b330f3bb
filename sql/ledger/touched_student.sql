-- Students whose data a load changed since the risk tiers were last compared, with a line that changed it.

-- name: schema
CREATE TABLE touched_student (
    student_durable_key {{ integer }} NOT NULL, -- Durable key of the student.
    file_id             {{ integer }} NOT NULL, -- The newest file that changed the student's data.
    line_no             {{ integer }} NOT NULL, -- The last line of that file that changed the student's data; 0 if a missing line did.
    PRIMARY KEY (student_durable_key)
) {{ keyed }};

-- name: after_merge
INSERT INTO touched_student (student_durable_key, file_id, line_no)
SELECT n.student_durable_key, n.place / 4294967296, n.place % 4294967296
FROM (
    SELECT student_durable_key, MAX(file_id * 4294967296 + last_changed_line) AS place
    FROM merged
    WHERE last_changed_line IS NOT NULL
    GROUP BY student_durable_key
) AS n
WHERE 1 = 1
ON CONFLICT (student_durable_key) DO UPDATE SET file_id = excluded.file_id, line_no = excluded.line_no;
