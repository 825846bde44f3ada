-- Every version of every rollout policy, with the file as it was applied. Rows are only added; the
-- newest version of a name is the one in force, unless it says that the policy was deleted.
CREATE TABLE rollout_policy (
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,
    text    TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    by      TEXT NOT NULL,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

-- A release under a policy. What is only ever read back whole is one JSON document.
CREATE TABLE rollout (
    id        INTEGER PRIMARY KEY,
    policy    TEXT NOT NULL,
    product   TEXT NOT NULL,
    version   TEXT NOT NULL,
    digest    BLOB NOT NULL,
    opened_at INTEGER NOT NULL,
    state     TEXT NOT NULL
) STRICT;

-- Clusters that were granted, one row per attempt, replaced as it goes on. Clusters that never
-- were have none. The body is empty once nothing can change any more.
CREATE TABLE rollout_attempt (
    rollout    INTEGER NOT NULL,
    cluster    INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    outcome    TEXT NOT NULL,
    granted_at INTEGER,
    at         INTEGER NOT NULL,
    body       TEXT NOT NULL,
    PRIMARY KEY (rollout, cluster, generation)
) STRICT, WITHOUT ROWID;
