-- How people call each indicator and how its reason reads, per language. Rules: data/reference/risk_texts.csv; a district
-- adds its language there and sets STUDENT360_LANGUAGE.

-- name: schema
CREATE TABLE risk_texts (
    language  {{ text }} NOT NULL, -- The language, as STUDENT360_LANGUAGE names it.
    indicator {{ text }} NOT NULL, -- The indicator.
    label     {{ text }} NOT NULL, -- How people call it.
    reason    {{ text }} NOT NULL, -- The reason in words; docs/reference/risk-monitor.md says which numbers may stand in {braces}.
    PRIMARY KEY (language, indicator)
) {{ keyed }};

-- name: merge
DELETE FROM risk_texts;

INSERT INTO risk_texts (language, indicator, label, reason) SELECT language, indicator, label, reason FROM reference;
