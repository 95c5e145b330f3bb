-- Every drop of a file. The same content can be dropped many times, under different names.

-- name: schema
CREATE TABLE file_drop (
    claim_id      {{ text }} PRIMARY KEY NOT NULL, -- Unique id of this drop: the beginning of its file name in the work folder.
    file_id       {{ integer }} NOT NULL REFERENCES ingest_file (file_id), -- The file content that was dropped.
    seen_name     {{ text }} NOT NULL, -- File name of this drop. [sensitive]
    outcome       {{ text }} NOT NULL CHECK (outcome IN ('first', 'duplicate')), -- first, or duplicate (the content was known).
    dropped_at    {{ text }} NOT NULL, -- Time of the claim (UTC).
    archived_path {{ text }}, -- Path of the archived file, relative to the data folder. [sensitive]
    archived_at   {{ text }}, -- Time of archiving (UTC).
    reported_at   {{ text }} -- Time at which the outcome was reported to the landing_files asset (UTC).
) {{ strict }};
CREATE INDEX file_drop_by_file ON file_drop (file_id);
