-- Risk indicators. Rules: data/reference/risk_indicators.csv; the measure of each is in v_risk_measures. Several
-- indicators of one domain count once in the tier, because they measure the same thing.

-- name: schema
CREATE TABLE risk_indicators (
    indicator        {{ text }} PRIMARY KEY NOT NULL, -- Name of the indicator.
    domain           {{ text }} NOT NULL, -- Domain. Several indicators at risk in one domain count once.
    feed             {{ text }} NOT NULL, -- The feed from which the indicator is computed.
    scale            {{ integer }} NOT NULL, -- 100 for a percentage, 1 for a count.
    required         {{ text }} NOT NULL CHECK (required IN ('always', 'if_sent', 'no')), -- Whether ON_TRACK requires data for the indicator: always, if_sent (if the feed has data) or no.
    needs_other_risk {{ integer }} NOT NULL -- 1 if the indicator counts only if another indicator is at risk.
) {{ keyed }};

-- name: merge
DELETE FROM risk_indicators;

INSERT INTO risk_indicators (indicator, domain, feed, scale, required, needs_other_risk)
SELECT indicator, domain, feed, CAST(scale AS INTEGER), required, CAST(needs_other_risk AS INTEGER) FROM reference;
