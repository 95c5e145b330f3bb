-- Every refused row, with the cell that made it so and what to do.

-- name: schema
CREATE TABLE row_reject (
    file_id     {integer} NOT NULL REFERENCES ingest_file (file_id), -- The file.
    line_no     {integer} NOT NULL, -- The line that the row begins on.
    column_name {text} NOT NULL, -- The column, or (row) for the whole row.
    reason_code {text} NOT NULL, -- Why: a code.
    value       {text}, -- The cell as it came. [pii]
    reason      {text} NOT NULL, -- Why, and what to do.
    PRIMARY KEY (file_id, line_no, column_name)
) {keyed};
