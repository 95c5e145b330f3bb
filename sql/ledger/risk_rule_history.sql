-- Every version of the risk rules that was ever in force, so that an old tier can be explained by the rules of that
-- time.

-- name: schema
CREATE TABLE risk_rule_history (
    version_no     {{ integer }} NOT NULL, -- Number of the version, from 1.
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
    PRIMARY KEY (version_no, rule_set, indicator, grade_band, school_id, level, valid_from_key)
) {{ keyed }};
