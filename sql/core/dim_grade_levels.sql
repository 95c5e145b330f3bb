-- Grade levels: the meaning of each spelling. Rules: data/reference/dim_grade_levels.csv.

-- name: schema
CREATE TABLE dim_grade_levels (
    code        {{ text }} PRIMARY KEY NOT NULL, -- Grade level as sent, in lower case.
    grade_level {{ text }} NOT NULL, -- Name of the grade level.
    sort_order  {{ integer }} NOT NULL, -- Sort order; kindergarten is 0.
    grade_band  {{ text }} NOT NULL -- Elementary, Middle or High.
) {{ keyed }};

-- name: merge
INSERT INTO dim_grade_levels (code, grade_level, sort_order, grade_band)
SELECT code, grade_level, CAST(sort_order AS INTEGER), grade_band FROM reference WHERE 1 = 1
ON CONFLICT (code) DO UPDATE SET
    grade_level = excluded.grade_level, sort_order = excluded.sort_order, grade_band = excluded.grade_band
WHERE (dim_grade_levels.grade_level, dim_grade_levels.sort_order, dim_grade_levels.grade_band)
   <> (excluded.grade_level, excluded.sort_order, excluded.grade_band);

DELETE FROM dim_grade_levels WHERE code NOT IN (SELECT code FROM reference);
