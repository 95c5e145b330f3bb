-- Risk rules: the value from which an indicator is watch, risk or severe, for which students and from which day. Rules
-- for a student's school take precedence over those for the grade band, and these over the rules for all students.
-- Rules: data/reference/risk_rules.csv. A file with a mistake is rejected as a whole, and the previous rules stay in
-- force.

-- name: schema
CREATE TABLE risk_rules (
    rule_set       {{ text }} NOT NULL, -- Name of the rule set. The active one is a setting.
    indicator      {{ text }} NOT NULL, -- The indicator.
    grade_band     {{ text }} NOT NULL, -- Grade band that the rule applies to; empty for all.
    school_id      {{ text }} NOT NULL, -- School that the rule applies to; empty for all.
    level          {{ integer }} NOT NULL, -- 1 watch, 2 at risk, 3 severe.
    comparator     {{ text }} NOT NULL, -- lt, le, gt or ge.
    threshold_x100 {{ integer }} NOT NULL, -- The cut-off, in hundredths (of a percent or count).
    window_size    {{ integer }}, -- Length of the window in school days or days, if the indicator has one.
    minimum_data   {{ integer }} NOT NULL, -- Minimum number of days, scores or assignments required.
    weight         {{ integer }} NOT NULL, -- Weight of the indicator in the risk score and in the order of reasons.
    citation       {{ text }} NOT NULL, -- Source of the cut-off.
    valid_from_key {{ integer }} NOT NULL, -- First day on which the rule applies, yyyymmdd.
    valid_to_key   {{ integer }} NOT NULL, -- First day on which the rule no longer applies, yyyymmdd.
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
