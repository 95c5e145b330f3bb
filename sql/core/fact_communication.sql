-- Communication: one row per student, day, type and text of a message between school and family.

-- name: schema
CREATE TABLE fact_communication (
    student_durable_key {integer} NOT NULL REFERENCES student_identity (student_durable_key), -- The student.
    date_key            {integer} NOT NULL REFERENCES dim_dates (date_key), -- The day of the message.
    message_type_key    {integer} NOT NULL REFERENCES dim_message_types (message_type_key), -- Its type.
    content_hash        {bigint} NOT NULL, -- Fingerprint of the text, so that two messages of a day stay two.
    message_content     {text}, -- The text. [pii]
    file_id             {integer} NOT NULL, -- The newest file that said so.
    line_no             {integer} NOT NULL, -- The line of that file.
    PRIMARY KEY (student_durable_key, date_key, message_type_key, content_hash)
) {keyed};

-- name: row_count
SELECT COALESCE(SUM(rows_loaded), 0) FROM ingest_file WHERE feed = 'communication';

-- name: merge
CREATE TEMP TABLE incoming AS
WITH resolved AS (
    SELECT
        s.file_id, s.line_no, i.student_durable_key, s.date_key AS day_key, c.message_type_key, s.content_hash,
        s.message_content, f.effective_date_key, f.feed
    FROM ingest_file AS f
    JOIN stg_communication AS s ON s.file_id = f.file_id
    JOIN student_identity AS i ON i.student_id = s.student_id
    JOIN dim_message_types AS c ON c.code = s.message_type
    WHERE f.feed = 'communication' AND f.status IN ('staged', 'waiting')
),
ranked AS (
    SELECT
        r.*,
        ROW_NUMBER() OVER (
            PARTITION BY r.student_durable_key, r.day_key, r.message_type_key, r.content_hash
            ORDER BY r.effective_date_key DESC, r.file_id DESC, r.line_no DESC
        ) AS newest
    FROM resolved AS r
)
SELECT r.*, CASE WHEN r.newest > 1 OR t.file_id IS NOT NULL THEN 'unchanged' ELSE 'loaded' END AS outcome
FROM ranked AS r
LEFT JOIN fact_communication AS t
    ON t.student_durable_key = r.student_durable_key AND t.date_key = r.day_key
    AND t.message_type_key = r.message_type_key AND t.content_hash = r.content_hash;

INSERT INTO fact_communication
    (student_durable_key, date_key, message_type_key, content_hash, message_content, file_id, line_no)
SELECT student_durable_key, day_key, message_type_key, content_hash, message_content, file_id, line_no
FROM incoming
WHERE outcome = 'loaded'
ORDER BY student_durable_key, day_key, message_type_key, content_hash;
