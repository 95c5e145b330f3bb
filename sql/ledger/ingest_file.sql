-- The ledger: one row per distinct content that was ever dropped, for ever (a second one if it took back newer ones).
-- rows_read = rows_loaded + rows_updated + rows_unchanged + rows_rejected + rows_waiting once a file is loaded.

-- name: schema
CREATE TABLE ingest_file (
    file_id        {{ integer }} PRIMARY KEY, -- Number of the file, in order of arrival.
    sha256         {{ text }} NOT NULL, -- The file's identity: the hash of its bytes.
    feed           {{ text }}, -- The feed it belongs to; missing when nobody can tell.
    first_name     {{ text }} NOT NULL, -- What it was called when it was first dropped. [sensitive]
    bytes          {{ bigint }} NOT NULL, -- Its size.
    received_at    {{ text }} NOT NULL, -- When it was first seen (UTC).
    effective_date_key {{ integer }} NOT NULL, -- The day from which its content is true, yyyymmdd.
    effective_from {{ text }} NOT NULL, -- Where that day comes from: name or arrival.
    load_mode      {{ text }} NOT NULL DEFAULT 'delta' CHECK (load_mode IN ('delta', 'snapshot', 'window')), -- delta (more rows), snapshot (the whole truth) or window (the whole truth for the dates it spans).
    status         {{ text }} NOT NULL CHECK (status IN ('received', 'staged', 'waiting', 'loaded', 'quarantined')), -- received, staged, waiting (rows wait for their student), loaded or quarantined.
    reason_code    {{ text }}, -- Why it is in quarantine: a code.
    reason         {{ text }}, -- Why it is in quarantine, and what to do.
    columns_found  {{ text }}, -- The columns of the contract that its header has, by name.
    warnings       {{ text }}, -- What was odd but harmless.
    first_date_key {{ integer }}, -- The first day that its rows are about, yyyymmdd; missing where they are about none.
    last_date_key  {{ integer }}, -- The last such day.
    rows_read      {{ integer }} NOT NULL DEFAULT 0, -- Data rows in the file, blank lines left out.
    rows_blank     {{ integer }} NOT NULL DEFAULT 0, -- Blank lines.
    rows_loaded    {{ integer }} NOT NULL DEFAULT 0, -- Rows that are new in the warehouse.
    rows_updated   {{ integer }} NOT NULL DEFAULT 0, -- Rows that changed what was known.
    rows_unchanged {{ integer }} NOT NULL DEFAULT 0, -- Rows that said nothing new (repeated, or older than what is known).
    rows_rejected  {{ integer }} NOT NULL DEFAULT 0, -- Rows refused: see row_reject.
    rows_waiting   {{ integer }} NOT NULL DEFAULT 0, -- Rows that wait for their student.
    rows_withdrawn {{ integer }} NOT NULL DEFAULT 0, -- Rows of older files that this file, being the whole truth, no longer holds.
    sweep          {{ text }} CHECK (sweep IN ('done', 'held')), -- Of a snapshot or window: done, or held back because too much would vanish.
    to_correct     {{ text }}, -- The CSV with its refused rows and reasons, below the data folder. [sensitive]
    run_id         {{ text }}, -- The Dagster run that handled it last.
    committed_at   {{ text }} -- When its outcome was committed (UTC).
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
