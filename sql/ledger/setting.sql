-- Settings that views need to know; written from the environment at each run.

-- name: schema
CREATE TABLE setting (
    name  {{ text }} PRIMARY KEY NOT NULL, -- Name of the setting.
    value {{ text }} NOT NULL -- Its value; empty for the default.
) {{ keyed }};
