-- Display names of the indicators and texts of their reasons, per language. Rules: data/reference/risk_texts.csv. A
-- district adds its language there and sets STUDENT360_LANGUAGE.

-- name: schema
CREATE TABLE risk_texts (
    language  {{ text }} NOT NULL, -- The language, as in STUDENT360_LANGUAGE.
    indicator {{ text }} NOT NULL, -- The indicator.
    label     {{ text }} NOT NULL, -- Display name of the indicator.
    reason    {{ text }} NOT NULL, -- Text of the reason. docs/reference/risk-monitor.md lists the numbers that can be used in {braces}.
    PRIMARY KEY (language, indicator)
) {{ keyed }};

-- name: merge
DELETE FROM risk_texts;

INSERT INTO risk_texts (language, indicator, label, reason) SELECT language, indicator, label, reason FROM reference;
