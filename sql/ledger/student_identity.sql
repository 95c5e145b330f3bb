-- The durable key of every student: what facts refer to, whatever version of the student is current.

-- name: schema
CREATE TABLE student_identity (
    student_durable_key {{ integer }} PRIMARY KEY, -- The student, for ever.
    student_id          {{ text }} NOT NULL UNIQUE, -- The id in the source system. [sensitive]
    confirmed_on_key    {{ integer }} NOT NULL -- Effective day of the newest export that spoke of the student, yyyymmdd.
) {{ strict }};
