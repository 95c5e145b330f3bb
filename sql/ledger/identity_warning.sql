-- An id that came back with another name and another date of birth: perhaps another person. Both versions are kept, and
-- nothing is decided: see 'Identity' in docs/how-to/send-files.md.

-- name: schema
CREATE TABLE identity_warning (
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- The student.
    file_id             {{ integer }} NOT NULL REFERENCES ingest_file (file_id), -- The file with the other person.
    line_no             {{ integer }} NOT NULL, -- The line of that file.
    effective_date_key  {{ integer }} NOT NULL, -- From which day, yyyymmdd.
    settled_by_file_id  {{ integer }}, -- The file of declared id changes that settled it; missing while it is open.
    PRIMARY KEY (student_durable_key, file_id, line_no)
) {{ keyed }};
