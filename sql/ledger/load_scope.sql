-- For what each snapshot or window file was the whole truth: a row that an older export brings later, and that this
-- truth does not hold, stays out.

-- name: schema
CREATE TABLE load_scope (
    file_id        {{ integer }} NOT NULL REFERENCES ingest_file (file_id), -- The file.
    school_key     {{ integer }} NOT NULL, -- The school that it spoke for; -1 for all.
    feed           {{ text }} NOT NULL, -- Its feed.
    effective_date_key {{ integer }} NOT NULL, -- The day from which it is true, yyyymmdd.
    first_date_key {{ integer }} NOT NULL, -- The first day that it spans, yyyymmdd; 0 for all.
    last_date_key  {{ integer }} NOT NULL, -- The last day that it spans, yyyymmdd.
    PRIMARY KEY (file_id, school_key)
) {{ keyed }};
CREATE INDEX load_scope_by_feed ON load_scope (feed, effective_date_key);
