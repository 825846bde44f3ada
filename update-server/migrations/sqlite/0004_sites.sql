-- Dark sites that people registered, each with the newest status file that was imported of it: the
-- signed bytes as they came, in a zstd frame.
CREATE TABLE site (
    name                TEXT PRIMARY KEY,
    key                 TEXT NOT NULL,
    description         TEXT NOT NULL,
    expected_interval_s INTEGER,
    registered_at       INTEGER NOT NULL,
    registered_by       TEXT NOT NULL,
    status              BLOB,
    imported_at         INTEGER,
    imported_by         TEXT
) STRICT, WITHOUT ROWID;

-- Every status that was taken, the newest ones of each site and key. Outlives the site's row, so that
-- a site that is registered again does not take an old status.
CREATE TABLE site_import (
    id          INTEGER PRIMARY KEY,
    site        TEXT NOT NULL,
    key_id      TEXT NOT NULL,
    sequence    INTEGER NOT NULL,
    made_at     INTEGER NOT NULL,
    imported_at INTEGER NOT NULL,
    imported_by TEXT NOT NULL,
    digest      BLOB NOT NULL,
    clusters    INTEGER NOT NULL
) STRICT;
CREATE INDEX site_import_site ON site_import (site, key_id, id);
