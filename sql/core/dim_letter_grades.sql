-- Letter grades and the pass mark, which each district defines. Rules: data/reference/dim_letter_grades.csv.

-- name: schema
CREATE TABLE dim_letter_grades (
    letter_grade {{ text }} PRIMARY KEY NOT NULL, -- The letter grade.
    minimum_bp   {{ integer }} NOT NULL, -- Minimum score for the letter grade, in basis points (10000 = 100 %).
    is_passing   {{ integer }} NOT NULL -- 1 if a course average with this letter grade is passing.
) {{ keyed }};

-- name: merge
INSERT INTO dim_letter_grades (letter_grade, minimum_bp, is_passing)
SELECT letter_grade, CAST(ROUND(CAST(minimum_percent AS NUMERIC) * 100) AS INTEGER), CAST(is_passing AS INTEGER)
FROM reference WHERE 1 = 1
ON CONFLICT (letter_grade) DO UPDATE SET minimum_bp = excluded.minimum_bp, is_passing = excluded.is_passing
WHERE (dim_letter_grades.minimum_bp, dim_letter_grades.is_passing) <> (excluded.minimum_bp, excluded.is_passing);

DELETE FROM dim_letter_grades WHERE letter_grade NOT IN (SELECT letter_grade FROM reference);
