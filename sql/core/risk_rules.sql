-- Risk rules: from which value an indicator is watch, risk or severe, for whom and since when. For a student the rules of
-- the school go before those of the grade band, and these before the ones for everybody. Rules:
-- data/reference/risk_rules.csv; a file with a mistake is refused as a whole and the rules stay as they are.

-- name: schema
CREATE TABLE risk_rules (
    rule_set       {{ text }} NOT NULL, -- Name of the rule set; the active one is a setting.
    indicator      {{ text }} NOT NULL, -- The indicator.
    grade_band     {{ text }} NOT NULL, -- For students of this grade band; empty for all.
    school_id      {{ text }} NOT NULL, -- For students of this school; empty for all.
    level          {{ integer }} NOT NULL, -- 1 watch, 2 at risk, 3 severe.
    comparator     {{ text }} NOT NULL, -- lt, le, gt or ge.
    threshold_x100 {{ integer }} NOT NULL, -- The cut-off in hundredths (percent or count).
    window_size    {{ integer }}, -- School days or days looked back, where the indicator has a window.
    minimum_data   {{ integer }} NOT NULL, -- The least number of days, scores or assignments to judge by.
    weight         {{ integer }} NOT NULL, -- Order of reasons and share of the score.
    citation       {{ text }} NOT NULL, -- Where the cut-off comes from.
    valid_from_key {{ integer }} NOT NULL, -- First day it holds, yyyymmdd.
    valid_to_key   {{ integer }} NOT NULL, -- First day it no longer holds, yyyymmdd.
    PRIMARY KEY (rule_set, indicator, grade_band, school_id, level, valid_from_key)
) {{ keyed }};

-- name: merge
DELETE FROM risk_rules;

INSERT INTO risk_rules (
    rule_set, indicator, grade_band, school_id, level, comparator, threshold_x100, window_size, minimum_data, weight,
    citation, valid_from_key, valid_to_key
)
SELECT
    rule_set, indicator, COALESCE(grade_band, ''), COALESCE(school_id, ''),
    CASE level WHEN 'watch' THEN 1 WHEN 'risk' THEN 2 WHEN 'severe' THEN 3 END, comparator,
    CAST(ROUND(CAST(threshold AS NUMERIC) * 100) AS INTEGER), CAST(window_size AS INTEGER),
    CAST(minimum_data AS INTEGER), CAST(weight AS INTEGER), citation,
    CAST(REPLACE(valid_from, '-', '') AS INTEGER),
    CASE WHEN valid_to IS NULL THEN 99991231 ELSE CAST(REPLACE(valid_to, '-', '') AS INTEGER) END
FROM reference;

INSERT INTO risk_rule_history (
    version_no, rule_set, indicator, grade_band, school_id, level, comparator, threshold_x100, window_size, minimum_data,
    weight, citation, valid_from_key, valid_to_key
)
SELECT
    v.version_no, r.rule_set, r.indicator, r.grade_band, r.school_id, r.level, r.comparator, r.threshold_x100,
    r.window_size, r.minimum_data, r.weight, r.citation, r.valid_from_key, r.valid_to_key
FROM risk_rules AS r
CROSS JOIN (SELECT COALESCE(MAX(version_no), 0) + 1 AS version_no FROM risk_rule_history) AS v
WHERE (SELECT COUNT(*) FROM risk_rules) <> (
    SELECT COUNT(*)
    FROM risk_rule_history AS k
    JOIN risk_rules AS n ON n.rule_set = k.rule_set AND n.indicator = k.indicator AND n.grade_band = k.grade_band
        AND n.school_id = k.school_id AND n.level = k.level AND n.valid_from_key = k.valid_from_key
        AND n.valid_to_key = k.valid_to_key AND n.comparator = k.comparator AND n.threshold_x100 = k.threshold_x100
        AND n.window_size IS NOT DISTINCT FROM k.window_size AND n.minimum_data = k.minimum_data AND n.weight = k.weight
        AND n.citation = k.citation
    WHERE k.version_no = v.version_no - 1
) OR (SELECT COUNT(*) FROM risk_rules) <> (
    SELECT COUNT(*) FROM risk_rule_history AS k WHERE k.version_no = v.version_no - 1
);
