-- Risk indicators: what is looked at. Rules: data/reference/risk_indicators.csv; how each is measured: v_risk_measures.
-- Two indicators of one domain count as one when the tier is found: they say the same thing twice.

-- name: schema
CREATE TABLE risk_indicators (
    indicator        {{ text }} PRIMARY KEY NOT NULL, -- Name of the indicator.
    domain           {{ text }} NOT NULL, -- What it is about; at risk twice in one domain is at risk once.
    feed             {{ text }} NOT NULL, -- The feed it is computed from.
    scale            {{ integer }} NOT NULL, -- 100 for a percentage, 1 for a count.
    required         {{ text }} NOT NULL CHECK (required IN ('always', 'if_sent', 'no')), -- Whether nobody is ON_TRACK without it: always, if_sent (when the feed has data) or no.
    needs_other_risk {{ integer }} NOT NULL -- 1 if it only counts beside another indicator at risk.
) {{ keyed }};

-- name: merge
DELETE FROM risk_indicators;

INSERT INTO risk_indicators (indicator, domain, feed, scale, required, needs_other_risk)
SELECT indicator, domain, feed, CAST(scale AS INTEGER), required, CAST(needs_other_risk AS INTEGER) FROM reference;
