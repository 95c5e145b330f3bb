-- Student ids that were sent with a different name and a different date of birth, perhaps of another person. Both
-- versions are kept, and nothing is decided automatically: see 'Identity' in docs/how-to/send-files.md.

-- name: schema
CREATE TABLE identity_warning (
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- Durable key of the student.
    file_id             {{ integer }} NOT NULL REFERENCES ingest_file (file_id), -- The file with the different name and date of birth.
    line_no             {{ integer }} NOT NULL, -- The line of that file.
    effective_date_key  {{ integer }} NOT NULL, -- Effective day of the row, yyyymmdd.
    settled_by_file_id  {{ integer }}, -- The file of declared id changes that resolved the warning; null while it is open.
    PRIMARY KEY (student_durable_key, file_id, line_no)
) {{ keyed }};
