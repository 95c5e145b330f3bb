-- Every refused row, with the cell that made it so and what to do.

-- name: schema
CREATE TABLE row_reject (
    file_id     {integer} NOT NULL REFERENCES ingest_file (file_id), -- The file.
    line_no     {integer} NOT NULL, -- The line that the row begins on.
    column_name {text} NOT NULL, -- The column, or (row) for the whole row.
    reason_code {text} NOT NULL, -- Why: a code.
    value       {text}, -- The cell as it came. [pii]
    reason      {text} NOT NULL, -- Why, and what to do.
    student_id  {text}, -- The student, where the row says it. [sensitive]
    correction_of {text}, -- The refused row that this row was sent to correct, as file and line.
    resent_file_id {integer}, -- The file that brought the row again, corrected or not; missing while it is open.
    resent_line_no {integer}, -- The line of that file.
    PRIMARY KEY (file_id, line_no, column_name)
) {keyed};
CREATE INDEX row_reject_by_correction ON row_reject (correction_of);

-- name: note_resent
UPDATE row_reject SET resent_file_id = n.file_id, resent_line_no = n.line_no
FROM (
    SELECT o.file_id AS refused_file_id, c.correction_of, SUBSTR(o.sha256, 1, 8) AS start_of_hash, c.file_id, MAX(c.line_no) AS line_no
    FROM (
        SELECT file_id, line_no, correction_of FROM corrections
        UNION
        SELECT file_id, line_no, correction_of FROM row_reject
        WHERE correction_of IS NOT NULL AND file_id IN (SELECT file_id FROM corrected)
    ) AS c
    JOIN ingest_file AS o ON SUBSTR(o.sha256, 1, 8) = SUBSTR(c.correction_of, 1, 8) AND o.file_id <> c.file_id
    GROUP BY o.file_id, o.sha256, c.correction_of, c.file_id
) AS n
WHERE row_reject.file_id = n.refused_file_id
  AND n.correction_of = n.start_of_hash || '-' || CAST(row_reject.line_no AS TEXT);
