-- Every id that a student has or had. Rows are assigned to their student by any of these ids.

-- name: schema
CREATE TABLE student_alias (
    student_id          {{ text }} PRIMARY KEY NOT NULL, -- An id in the source system. [sensitive]
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key) -- Durable key of the student.
) {{ keyed }};
CREATE INDEX student_alias_by_student ON student_alias (student_durable_key);
