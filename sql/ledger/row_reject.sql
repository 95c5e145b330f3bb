-- Every rejected row, with the cell that caused the rejection and what to do.

-- name: schema
CREATE TABLE row_reject (
    file_id     {{ integer }} NOT NULL REFERENCES ingest_file (file_id), -- The file.
    line_no     {{ integer }} NOT NULL, -- The line on which the row begins.
    column_name {{ text }} NOT NULL, -- The column, or (row) for the whole row.
    reason_code {{ text }} NOT NULL, -- Reason code.
    value       {{ text }}, -- Original content of the cell. [pii]
    reason      {{ text }} NOT NULL, -- Reason, and what to do.
    student_id  {{ text }}, -- Student id, if the row contains one. [sensitive]
    correction_of {{ text }}, -- The rejected row that this row corrects, as file and line.
    resent_file_id {{ integer }}, -- The file that contained the row again, corrected or not; null while the reject is open.
    resent_line_no {{ integer }}, -- The line of that file.
    PRIMARY KEY (file_id, line_no, column_name)
) {{ keyed }};
CREATE INDEX row_reject_by_correction ON row_reject (correction_of);

-- name: note_resent
CREATE TEMP TABLE resent AS
SELECT o.file_id AS refused_file_id, c.correction_of, c.file_id, MAX(c.line_no) AS line_no
FROM (
    SELECT s.file_id, s.line_no, s.correction_of FROM {{ staging }} AS s JOIN due ON due.file_id = s.file_id
    UNION ALL
    SELECT r.file_id, r.line_no, r.correction_of FROM row_reject AS r JOIN due ON due.file_id = r.file_id
) AS c
JOIN ingest_file AS o ON SUBSTR(o.sha256, 1, 8) = SUBSTR(c.correction_of, 1, 8) AND o.file_id <> c.file_id
GROUP BY o.file_id, c.correction_of, c.file_id;

UPDATE row_reject SET resent_file_id = r.file_id, resent_line_no = r.line_no
FROM resent AS r
JOIN ingest_file AS o ON o.file_id = r.refused_file_id
WHERE row_reject.file_id = r.refused_file_id
  AND r.correction_of = SUBSTR(o.sha256, 1, 8) || '-' || CAST(row_reject.line_no AS TEXT);

UPDATE ingest_file SET
    effective_date_key = o.effective_date_key, effective_from = o.effective_from, load_mode = 'delta'
FROM (
    SELECT r.file_id, MIN(f.effective_date_key) AS effective_date_key, MIN(f.effective_from) AS effective_from
    FROM resent AS r
    JOIN ingest_file AS f ON f.file_id = r.refused_file_id
    GROUP BY r.file_id
) AS o
WHERE ingest_file.file_id = o.file_id;

DROP TABLE resent;
