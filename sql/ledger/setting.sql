-- Settings that views read. They are written from the environment in each run.

-- name: schema
CREATE TABLE setting (
    name  {{ text }} PRIMARY KEY NOT NULL, -- Name of the setting.
    value {{ text }} NOT NULL -- Value; empty for the default.
) {{ keyed }};
