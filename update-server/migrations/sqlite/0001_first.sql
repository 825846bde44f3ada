-- Times are milliseconds since 1970 UTC by the hub's clock, except in audit (RFC 3339 text, which
-- is what is hashed). Documents are JSON text.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per cluster in the order of enrolment; the report slot follows the row, so reports in
-- slot order touch neighbouring pages. No index on anything that a report changes.
CREATE TABLE cluster (
    id            INTEGER PRIMARY KEY,
    uuid          BLOB NOT NULL,
    name          TEXT NOT NULL,
    key           BLOB NOT NULL,
    key_id        BLOB NOT NULL,
    join_token    INTEGER NOT NULL,
    enrolled_at   INTEGER NOT NULL,
    retired_at    INTEGER,
    agent_version TEXT NOT NULL,
    last_seen     INTEGER,
    seq           INTEGER NOT NULL DEFAULT 0,
    body_digest   BLOB,
    reply         TEXT,
    generation    INTEGER NOT NULL DEFAULT 0,
    grant_json    TEXT,
    products      TEXT NOT NULL DEFAULT '[]',
    units         BLOB
) STRICT;

CREATE TABLE hold (
    id         INTEGER PRIMARY KEY,
    scope      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    by         TEXT NOT NULL,
    at         INTEGER NOT NULL,
    resumed_at INTEGER,
    resumed_by TEXT
) STRICT;

CREATE TABLE token (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    digest     BLOB NOT NULL,
    access     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    revoked_at INTEGER
) STRICT;

CREATE TABLE join_token (
    id         INTEGER PRIMARY KEY,
    digest     BLOB NOT NULL,
    uses       INTEGER NOT NULL,
    used       INTEGER NOT NULL DEFAULT 0,
    expires_at INTEGER NOT NULL,
    note       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX join_token_digest ON join_token (digest);

CREATE TABLE audit (
    id       INTEGER PRIMARY KEY,
    at       TEXT NOT NULL,
    actor    TEXT NOT NULL,
    action   TEXT NOT NULL,
    object   TEXT NOT NULL,
    detail   TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash     TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_is_append_only_1 BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_append_only_2 BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
