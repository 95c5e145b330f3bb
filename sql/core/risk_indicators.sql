-- Risk indicators: what is looked at, how much data it needs and how its reason reads.
-- Rules: data/reference/risk_indicators.csv.

-- name: schema
CREATE TABLE risk_indicators (
    indicator       {text} PRIMARY KEY NOT NULL, -- Name of the indicator.
    feed            {text} NOT NULL, -- The feed it is computed from.
    label           {text} NOT NULL, -- How people call it.
    scale           {integer} NOT NULL, -- 100 for a percentage, 1 for a count.
    minimum_data    {integer} NOT NULL, -- The least number of days, scores or assignments to judge by.
    required        {text} NOT NULL CHECK (required IN ('always', 'if_sent', 'no')), -- Whether nobody is ON_TRACK without it: always, if_sent (when the feed has data) or no.
    needs_other_risk {integer} NOT NULL, -- 1 if it only counts beside another indicator at risk.
    reason_text     {text} NOT NULL -- The reason in words; {value}, {threshold}, {numerator} and {denominator} are filled in.
) {keyed};

-- name: merge
DELETE FROM risk_indicators WHERE indicator NOT IN (SELECT indicator FROM reference);

INSERT INTO risk_indicators (indicator, feed, label, scale, minimum_data, required, needs_other_risk, reason_text)
SELECT indicator, feed, label, CAST(scale AS INTEGER), CAST(minimum_data AS INTEGER), required,
    CAST(needs_other_risk AS INTEGER), reason_text
FROM reference WHERE 1 = 1
ON CONFLICT (indicator) DO UPDATE SET
    feed = excluded.feed, label = excluded.label, scale = excluded.scale, minimum_data = excluded.minimum_data,
    required = excluded.required, needs_other_risk = excluded.needs_other_risk, reason_text = excluded.reason_text;
