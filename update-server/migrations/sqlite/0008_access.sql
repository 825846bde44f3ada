-- When a token ends, the clusters it is good for, and the last day it was used (days since 1970).
ALTER TABLE token ADD COLUMN expires_at INTEGER;
ALTER TABLE token ADD COLUMN selector TEXT;
ALTER TABLE token ADD COLUMN last_used INTEGER;

-- People who are signed in with a browser. A row goes when its session ends; the audit log keeps
-- who came and went.
CREATE TABLE session (
    id         INTEGER PRIMARY KEY,
    digest     BLOB NOT NULL,
    name       TEXT NOT NULL,
    access     TEXT NOT NULL,
    selector   TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    active_at  INTEGER NOT NULL
) STRICT;
