-- The durable key of every student. Facts refer to it, whichever version of the student is current.

-- name: schema
CREATE TABLE student_identity (
    student_durable_key {{ integer }} PRIMARY KEY, -- Durable key of the student. It never changes.
    student_id          {{ text }} NOT NULL UNIQUE, -- The id in the source system. [sensitive]
    confirmed_on_key    {{ integer }} NOT NULL -- Effective day of the newest export that contains or withdraws the student, yyyymmdd.
) {{ strict }};
