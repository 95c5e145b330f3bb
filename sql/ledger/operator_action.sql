-- Manual actions of operators: files loaded again, withdrawals allowed.

-- name: schema
CREATE TABLE operator_action (
    action_no {{ integer }} PRIMARY KEY, -- Number of the action.
    at        {{ text }} NOT NULL, -- Time of the action (UTC).
    operator  {{ text }} NOT NULL, -- Operating system user.
    action    {{ text }} NOT NULL, -- reprocess or withdraw.
    about     {{ text }} NOT NULL -- The files (first digits of their hash) or feeds concerned.
) {{ strict }};
