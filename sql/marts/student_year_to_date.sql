-- What each student's scores and messages come to in the school year that the risk monitor looks at, all subjects
-- together: added up when scores or messages come, so that a day of attendance reads one row of it per student. Undated
-- scores count to every year, a contact of the year before counts too. Kept up to date for the students that a load
-- touched; for all when another school year begins, or another score passes.

-- name: schema
CREATE TABLE student_year_to_date (
    student_durable_key {{ integer }} NOT NULL REFERENCES student_identity (student_durable_key), -- The student.
    core_courses        {{ integer }}, -- Core courses with a score that counts; missing, as all about scores, when none was sent.
    core_courses_sent   {{ integer }}, -- Core courses with any score.
    courses_failing     {{ integer }}, -- Core courses with an average below the pass mark. [sensitive]
    scores              {{ integer }}, -- Scores that count.
    score_bp_sum        {{ integer }}, -- Their sum in basis points (10000 = 100 %). [sensitive]
    scores_flagged      {{ integer }}, -- Scores left out because they cannot be true or are missing.
    falling_courses     {{ integer }}, -- Courses whose newest score can be compared with earlier ones.
    fall_bp             {{ integer }}, -- How far it lies below their average, added up over these, in basis points. [sensitive]
    homework_values     {{ integer }}, -- Homework completions that count.
    homework_bp_sum     {{ integer }}, -- Their sum in basis points. [sensitive]
    last_contact_key    {{ integer }}, -- Last day with a message between people, yyyymmdd; missing when there was none. [sensitive]
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
