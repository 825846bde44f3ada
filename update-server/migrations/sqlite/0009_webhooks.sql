-- The timeline of one cluster asks for the rows about it.
CREATE INDEX audit_object ON audit (object, id);

-- Where people want events sent. `after` is the last audit row that was delivered, given up on, or not
-- wanted; rows after it are still to be sent. The secret signs, so it is kept as it is.
CREATE TABLE webhook (
    id         INTEGER PRIMARY KEY,
    url        TEXT NOT NULL,
    kinds      TEXT NOT NULL,
    secret     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    after      INTEGER NOT NULL
) STRICT;

-- Events that were given up on: the newest ones of each webhook.
CREATE TABLE webhook_dead (
    id       INTEGER PRIMARY KEY,
    webhook  INTEGER NOT NULL,
    audit    INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    gave_up  INTEGER NOT NULL,
    error    TEXT NOT NULL
) STRICT;
CREATE INDEX webhook_dead_webhook ON webhook_dead (webhook, id);
