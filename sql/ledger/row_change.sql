-- Every value that a load replaced or withdrew, with the file and line that did it. Nothing is deleted without a trace
-- here. Rows that were added are not repeated: v_changes finds them by their own file and line.

-- name: schema
CREATE TABLE row_change (
    table_name          {{ text }} NOT NULL, -- The table that the row is or was in.
    student_durable_key {{ integer }} NOT NULL, -- The student.
    day_key             {{ integer }} NOT NULL, -- The day that the row is about, yyyymmdd; 0 for undated.
    change              {{ text }} NOT NULL CHECK (change IN ('changed', 'withdrawn')), -- changed, or withdrawn (no longer sent).
    file_id             {{ integer }} NOT NULL, -- The file that did it.
    line_no             {{ integer }} NOT NULL, -- The line that did it; 0 when it is the lack of a line.
    before_file_id      {{ integer }} NOT NULL, -- The file that had said the value before.
    before_line_no      {{ integer }} NOT NULL, -- The line of that file.
    said_before         {{ text }}, -- What was said before, in words. [pii]
    said_after          {{ text }}, -- What is said now, in words; missing when nothing is. [pii]
    PRIMARY KEY (before_file_id, before_line_no, file_id, table_name)
) {{ keyed }};
CREATE INDEX row_change_by_file ON row_change (file_id, line_no);
