-- What an operator did by hand: files loaded again, withdrawals allowed.

-- name: schema
CREATE TABLE operator_action (
    action_no {{ integer }} PRIMARY KEY, -- Number of the action.
    at        {{ text }} NOT NULL, -- When (UTC).
    operator  {{ text }} NOT NULL, -- The user of the operating system.
    action    {{ text }} NOT NULL, -- reprocess or withdraw.
    about     {{ text }} NOT NULL -- Of which files, by the start of their hash, or of which feeds.
) {{ strict }};
