-- Every time a file was dropped: a content may come many times, under many names.

-- name: schema
CREATE TABLE file_drop (
    claim_id      {{ text }} PRIMARY KEY NOT NULL, -- Unique name of this drop: the start of its name in the work folder.
    file_id       {{ integer }} NOT NULL REFERENCES ingest_file (file_id), -- The content that was dropped.
    seen_name     {{ text }} NOT NULL, -- What the file was called this time. [sensitive]
    outcome       {{ text }} NOT NULL CHECK (outcome IN ('first', 'duplicate')), -- first, or duplicate of a content already known.
    dropped_at    {{ text }} NOT NULL, -- When it was claimed (UTC).
    archived_path {{ text }}, -- Where it lies now, below the data folder. [sensitive]
    archived_at   {{ text }}, -- When it was put there (UTC).
    reported_at   {{ text }} -- When its outcome was shown in the landing_files asset (UTC).
) {{ strict }};
CREATE INDEX file_drop_by_file ON file_drop (file_id);
