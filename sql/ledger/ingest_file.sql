-- The ledger: one row per distinct file content ever dropped; rows are never deleted. A content that reverted newer
-- files has a second row. rows_read = rows_loaded + rows_updated + rows_unchanged + rows_rejected + rows_waiting once a
-- file is loaded.

-- name: schema
CREATE TABLE ingest_file (
    file_id        {{ integer }} PRIMARY KEY, -- File number, in order of arrival.
    sha256         {{ text }} NOT NULL, -- SHA-256 hash of the file's content, which identifies the file.
    feed           {{ text }}, -- The feed of the file; null if unknown.
    first_name     {{ text }} NOT NULL, -- File name of the first drop. [sensitive]
    bytes          {{ bigint }} NOT NULL, -- Size in bytes.
    received_at    {{ text }} NOT NULL, -- Time of the first drop (UTC).
    effective_date_key {{ integer }} NOT NULL, -- Effective day of the content, yyyymmdd.
    effective_from {{ text }} NOT NULL, -- Source of the effective day: name (of the file) or arrival.
    load_mode      {{ text }} NOT NULL DEFAULT 'delta' CHECK (load_mode IN ('delta', 'snapshot', 'window')), -- delta (only new or changed rows), snapshot (complete state) or window (complete state for the dates it spans).
    status         {{ text }} NOT NULL CHECK (status IN ('received', 'staged', 'waiting', 'loaded', 'quarantined')), -- received, staged, waiting (rows wait for their student), loaded or quarantined.
    reason_code    {{ text }}, -- Reason code of the quarantine.
    reason         {{ text }}, -- Reason of the quarantine, and what to do.
    columns_found  {{ text }}, -- Names of the contract's columns that the header contains.
    warnings       {{ text }}, -- Warnings that did not prevent the load.
    first_date_key {{ integer }}, -- First day of the rows, yyyymmdd; null if the rows have no days.
    last_date_key  {{ integer }}, -- Last day of the rows, yyyymmdd; null if the rows have no days.
    rows_read      {{ integer }} NOT NULL DEFAULT 0, -- Data rows in the file, without blank lines.
    rows_blank     {{ integer }} NOT NULL DEFAULT 0, -- Blank lines.
    rows_loaded    {{ integer }} NOT NULL DEFAULT 0, -- Rows that were new.
    rows_updated   {{ integer }} NOT NULL DEFAULT 0, -- Rows that changed existing values.
    rows_unchanged {{ integer }} NOT NULL DEFAULT 0, -- Rows that changed nothing (repeated, or older than the existing values).
    rows_rejected  {{ integer }} NOT NULL DEFAULT 0, -- Rejected rows; see row_reject.
    rows_waiting   {{ integer }} NOT NULL DEFAULT 0, -- Rows that wait because their student is not known yet.
    rows_withdrawn {{ integer }} NOT NULL DEFAULT 0, -- Rows of older files that were withdrawn because this snapshot or window does not contain them.
    sweep          {{ text }} CHECK (sweep IN ('done', 'held')), -- Withdrawal of a snapshot or window: done, or held because too many rows would be withdrawn.
    to_correct     {{ text }}, -- Path of the CSV with its rejected rows and reasons, relative to the data folder. [sensitive]
    run_id         {{ text }}, -- The last Dagster run that processed the file.
    committed_at   {{ text }} -- Time at which the outcome was committed (UTC).
) {{ strict }};
CREATE UNIQUE INDEX ingest_file_by_content ON ingest_file (sha256, effective_date_key);
CREATE INDEX ingest_file_by_status ON ingest_file (status, feed);

-- name: after_merge
UPDATE ingest_file SET
    rows_loaded = rows_loaded + n.loaded,
    rows_updated = rows_updated + n.updated,
    rows_unchanged = rows_unchanged + n.unchanged
FROM (
    SELECT file_id, SUM(loaded) AS loaded, SUM(updated) AS updated, SUM(unchanged) AS unchanged
    FROM merged
    GROUP BY file_id
) AS n
WHERE ingest_file.file_id = n.file_id;
