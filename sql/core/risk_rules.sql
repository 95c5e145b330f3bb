-- Risk rules: from which value an indicator is watch, risk or severe. Rules: data/reference/risk_rules.csv.

-- name: schema
CREATE TABLE risk_rules (
    rule_set       {text} NOT NULL, -- Name of the rule set; the active one is a setting.
    indicator      {text} NOT NULL, -- The indicator.
    level          {integer} NOT NULL, -- 1 watch, 2 at risk, 3 severe.
    comparator     {text} NOT NULL, -- lt, le, gt or ge.
    threshold_x100 {integer} NOT NULL, -- The cut-off in hundredths (percent or count).
    weight         {integer} NOT NULL, -- Order of reasons and share of the score.
    citation       {text} NOT NULL, -- Where the cut-off comes from.
    valid_from_key {integer} NOT NULL, -- First day it holds, yyyymmdd.
    valid_to_key   {integer} NOT NULL, -- First day it no longer holds, yyyymmdd.
    PRIMARY KEY (rule_set, indicator, level, valid_from_key)
) {keyed};

-- name: merge
DELETE FROM risk_rules;

INSERT INTO risk_rules
    (rule_set, indicator, level, comparator, threshold_x100, weight, citation, valid_from_key, valid_to_key)
SELECT rule_set, indicator, CASE level WHEN 'watch' THEN 1 WHEN 'risk' THEN 2 WHEN 'severe' THEN 3 END,
    comparator, CAST(ROUND(CAST(threshold AS NUMERIC) * 100) AS INTEGER), CAST(weight AS INTEGER), citation,
    CAST(REPLACE(valid_from, '-', '') AS INTEGER),
    CASE WHEN valid_to = '' OR valid_to IS NULL THEN 99991231 ELSE CAST(REPLACE(valid_to, '-', '') AS INTEGER) END
FROM reference;
