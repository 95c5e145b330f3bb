-- Message types: the direction of each kind of message. Rules: data/reference/dim_message_types.csv. Only messages
-- between people count as contact; automatic reminders do not.

-- name: schema
CREATE TABLE dim_message_types (
    message_type_key {{ integer }} PRIMARY KEY, -- Surrogate key.
    code             {{ text }} NOT NULL UNIQUE, -- The type, in lower case.
    category         {{ text }} NOT NULL, -- TEACHER_TO_FAMILY, FAMILY_TO_TEACHER, MEETING, AUTOMATIC or UNMAPPED.
    is_two_way       {{ integer }} NOT NULL, -- 1 if the message is between people, not automatic.
    description      {{ text }} -- Description.
) {{ strict }};

-- name: merge
CREATE TEMP TABLE changed_code AS
SELECT d.message_type_key
FROM dim_message_types AS d
LEFT JOIN reference AS r ON r.code = d.code
WHERE d.category <> COALESCE(r.category, 'UNMAPPED') OR d.is_two_way <> COALESCE(CAST(r.is_two_way AS INTEGER), 0);

UPDATE dim_message_types SET
    category = COALESCE((SELECT r.category FROM reference AS r WHERE r.code = dim_message_types.code), 'UNMAPPED'),
    is_two_way = COALESCE((SELECT CAST(r.is_two_way AS INTEGER) FROM reference AS r WHERE r.code = dim_message_types.code), 0),
    description = (SELECT r.description FROM reference AS r WHERE r.code = dim_message_types.code)
WHERE message_type_key IN (SELECT message_type_key FROM changed_code);

INSERT INTO touched_student_month (student_durable_key, month_key, feed)
SELECT DISTINCT f.student_durable_key, f.date_key / 100, 'communication'
FROM fact_communication AS f
WHERE EXISTS (SELECT 1 FROM changed_code) AND f.message_type_key IN (SELECT message_type_key FROM changed_code)
ON CONFLICT DO NOTHING;

DROP TABLE changed_code;

INSERT INTO dim_message_types (message_type_key, code, category, is_two_way, description)
SELECT
    (SELECT COALESCE(MAX(message_type_key), 0) FROM dim_message_types) + ROW_NUMBER() OVER (ORDER BY n.code),
    n.code, COALESCE(r.category, 'UNMAPPED'), COALESCE(CAST(r.is_two_way AS INTEGER), 0), r.description
FROM (
    SELECT code FROM reference
    UNION
    SELECT message_type FROM stg_communication WHERE EXISTS (SELECT 1 FROM ingest_file WHERE feed = 'communication' AND status = 'staged')
) AS n
LEFT JOIN reference AS r ON r.code = n.code
WHERE n.code NOT IN (SELECT code FROM dim_message_types);
