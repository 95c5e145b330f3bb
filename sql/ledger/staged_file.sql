-- Large files that are staged and not yet merged. Their typed rows are in a Parquet file in the data folder.

-- name: schema
CREATE TABLE staged_file (
    file_id      {{ integer }} PRIMARY KEY, -- The file.
    parquet_name {{ text }} NOT NULL -- Name of its Parquet file in the folder `staged`.
) {{ strict }};
