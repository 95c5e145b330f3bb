-- Every version of the risk rules that was ever in force, so that an old tier can be explained by the rules of its day.

-- name: schema
CREATE TABLE risk_rule_history (
    version_no     {{ integer }} NOT NULL, -- Number of the version, from 1.
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
    PRIMARY KEY (version_no, rule_set, indicator, grade_band, school_id, level, valid_from_key)
) {{ keyed }};
