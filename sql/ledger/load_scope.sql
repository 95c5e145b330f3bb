-- The scope of each snapshot or window file, for which it is the complete state. A row of an older export that arrives
-- later, is within the scope and is missing from the file, is not loaded.

-- name: schema
CREATE TABLE load_scope (
    file_id        {{ integer }} NOT NULL REFERENCES ingest_file (file_id), -- The file.
    school_key     {{ integer }} NOT NULL, -- School that the file covers; -1 for all.
    feed           {{ text }} NOT NULL, -- The feed of the file.
    effective_date_key {{ integer }} NOT NULL, -- Effective day of the file, yyyymmdd.
    first_date_key {{ integer }} NOT NULL, -- First day that the file covers, yyyymmdd; 0 for all.
    last_date_key  {{ integer }} NOT NULL, -- Last day that the file covers, yyyymmdd.
    PRIMARY KEY (file_id, school_key)
) {{ keyed }};
CREATE INDEX load_scope_by_feed ON load_scope (feed, effective_date_key);
