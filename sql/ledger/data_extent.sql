-- First and last day with facts of each feed. The as-of day of the risk monitor is derived from the last days.

-- name: schema
CREATE TABLE data_extent (
    feed           {{ text }} PRIMARY KEY NOT NULL, -- The feed.
    first_date_key {{ integer }} NOT NULL, -- First day with facts, yyyymmdd.
    last_date_key  {{ integer }} NOT NULL -- Last day with facts, yyyymmdd.
) {{ keyed }};

-- name: after_merge
INSERT INTO data_extent (feed, first_date_key, last_date_key)
SELECT feed, MIN(first_date_key), MAX(last_date_key) FROM merged WHERE first_date_key IS NOT NULL GROUP BY feed
ON CONFLICT (feed) DO UPDATE SET
    first_date_key = CASE WHEN excluded.first_date_key < data_extent.first_date_key
        THEN excluded.first_date_key ELSE data_extent.first_date_key END,
    last_date_key = CASE WHEN excluded.last_date_key > data_extent.last_date_key
        THEN excluded.last_date_key ELSE data_extent.last_date_key END;
