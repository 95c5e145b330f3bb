-- Every value that a load replaced or withdrew, with the file and line that caused the change. Nothing is deleted
-- without a row here. Added rows are not recorded here: v_changes finds them by their own file and line.

-- name: schema
CREATE TABLE row_change (
    table_name          {{ text }} NOT NULL, -- Table of the row.
    student_durable_key {{ integer }} NOT NULL, -- Durable key of the student.
    day_key             {{ integer }} NOT NULL, -- Day of the row, yyyymmdd; 0 if undated.
    change              {{ text }} NOT NULL CHECK (change IN ('changed', 'withdrawn')), -- changed, or withdrawn (missing from a newer snapshot or window).
    file_id             {{ integer }} NOT NULL, -- The file that caused the change.
    line_no             {{ integer }} NOT NULL, -- The line that caused the change; 0 if a missing line did.
    before_file_id      {{ integer }} NOT NULL, -- The file of the previous value.
    before_line_no      {{ integer }} NOT NULL, -- The line of that file.
    said_before         {{ text }}, -- Previous value, as text. [pii]
    said_after          {{ text }}, -- New value, as text; null if the row was withdrawn. [pii]
    PRIMARY KEY (before_file_id, before_line_no, file_id, table_name)
) {{ keyed }};
CREATE INDEX row_change_by_file ON row_change (file_id, line_no);
