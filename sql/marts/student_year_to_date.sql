-- Totals of each student's scores and messages in the school year of the as-of day, over all subjects. They are
-- computed when scores or messages arrive, so that a day of attendance reads one row per student. Undated scores count
-- for every year; a contact in the previous year counts too. Refreshed only for the students that a load changed, and
-- for all when a new school year begins or the pass mark changes.

-- name: schema
CREATE TABLE student_year_to_date (
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- Durable key of the student.
    core_courses        {{ integer }}, -- Core courses with a valid score; null, like all columns about scores, if none were sent.
    core_courses_sent   {{ integer }}, -- Core courses with any score.
    courses_failing     {{ integer }}, -- Core courses with an average below the pass mark. [sensitive]
    scores              {{ integer }}, -- Number of valid scores.
    score_bp_sum        {{ integer }}, -- Sum of the scores, in basis points (10000 = 100 %). [sensitive]
    scores_flagged      {{ integer }}, -- Scores excluded because they are invalid or missing.
    falling_courses     {{ integer }}, -- Courses with a newest score and earlier scores to compare it with.
    fall_bp             {{ integer }}, -- Average of the earlier scores minus the newest score, summed over these courses, in basis points. [sensitive]
    homework_values     {{ integer }}, -- Number of valid homework completions.
    homework_bp_sum     {{ integer }}, -- Sum of the homework completions, in basis points (10000 = 100 %). [sensitive]
    last_contact_key    {{ integer }}, -- Last day with a message between people, yyyymmdd; null if there was none. [sensitive]
    PRIMARY KEY (student_durable_key)
) {{ keyed }};

-- name: query
WITH student AS (SELECT DISTINCT student_durable_key FROM touched),
course AS (
    SELECT
        c.student_durable_key, c.subject, MAX(c.is_core) AS is_core, SUM(c.scores) AS scores,
        SUM(c.score_bp_sum) AS score_bp_sum, SUM(c.scores_flagged) AS flagged,
        SUM(c.homework_values) AS homework_values, SUM(c.homework_bp_sum) AS homework_bp_sum,
        MAX(CASE WHEN c.last_scores > 0 AND c.scores > c.last_scores THEN
            (c.score_bp_sum - c.last_score_bp_sum) / (c.scores - c.last_scores) - c.last_score_bp_sum / c.last_scores
        END) AS fall_bp
    FROM v_as_of AS o
    CROSS JOIN student AS t
    CROSS JOIN student_course AS c
    WHERE c.student_durable_key = t.student_durable_key AND c.school_year IN (o.school_year, 0)
    GROUP BY c.student_durable_key, c.subject
),
contact AS (
    SELECT m.student_durable_key, MAX(m.last_contact_key) AS last_contact_key
    FROM v_as_of AS o
    CROSS JOIN student AS t
    CROSS JOIN student_month AS m
    WHERE m.student_durable_key = t.student_durable_key AND m.school_year IN (o.school_year, o.school_year - 1)
      AND m.last_contact_key > 0
    GROUP BY m.student_durable_key
)
SELECT
    t.student_durable_key, s.core_courses, s.core_courses_sent, s.courses_failing, s.scores, s.score_bp_sum,
    s.scores_flagged, s.falling_courses, s.fall_bp, s.homework_values, s.homework_bp_sum, c.last_contact_key
FROM student AS t
LEFT JOIN (
    SELECT
        c.student_durable_key,
        SUM(CASE WHEN c.is_core = 1 AND c.scores > 0 THEN 1 ELSE 0 END) AS core_courses,
        SUM(CASE WHEN c.is_core = 1 THEN 1 ELSE 0 END) AS core_courses_sent,
        SUM(CASE WHEN c.is_core = 1 AND c.scores > 0 AND c.score_bp_sum < p.minimum_bp * c.scores THEN 1 ELSE 0 END)
            AS courses_failing,
        SUM(c.scores) AS scores, SUM(c.score_bp_sum) AS score_bp_sum, SUM(c.flagged) AS scores_flagged,
        COUNT(c.fall_bp) AS falling_courses, SUM(c.fall_bp) AS fall_bp,
        SUM(c.homework_values) AS homework_values, SUM(c.homework_bp_sum) AS homework_bp_sum
    FROM course AS c
    CROSS JOIN (SELECT MIN(minimum_bp) AS minimum_bp FROM dim_letter_grades WHERE is_passing = 1) AS p
    GROUP BY c.student_durable_key
) AS s ON s.student_durable_key = t.student_durable_key
LEFT JOIN contact AS c ON c.student_durable_key = t.student_durable_key
WHERE s.student_durable_key IS NOT NULL OR c.student_durable_key IS NOT NULL;

-- name: merge
CREATE TEMP TABLE touched AS
SELECT student_durable_key FROM touched_student_month WHERE feed = 'year_to_date'
UNION
SELECT i.student_durable_key FROM student_identity AS i
WHERE NOT EXISTS (SELECT 1 FROM setting AS s WHERE s.name = 'year_to_date_of' AND s.value = ({{ year_and_pass_mark }}));

DELETE FROM student_year_to_date WHERE student_durable_key IN (SELECT student_durable_key FROM touched);

INSERT INTO student_year_to_date (
    student_durable_key, core_courses, core_courses_sent, courses_failing, scores, score_bp_sum, scores_flagged,
    falling_courses, fall_bp, homework_values, homework_bp_sum, last_contact_key
)
{{ query }};

INSERT INTO setting (name, value)
SELECT 'year_to_date_of', n.value FROM ({{ year_and_pass_mark }}) AS n WHERE 1 = 1
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

DELETE FROM touched_student_month WHERE feed = 'year_to_date';

DROP TABLE touched;

-- name: year_and_pass_mark
SELECT
    CAST(o.school_year AS TEXT) || ' ' || COALESCE((
        SELECT CAST(MIN(g.minimum_bp) AS TEXT) FROM dim_letter_grades AS g WHERE g.is_passing = 1
    ), '') AS value
FROM v_as_of AS o;
