-- Times are seconds since 1970 in UTC.

CREATE TABLE repositories (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- Bytes that the store has, by digest. `unlinked_at` is when the last repository let go of them;
-- null while one holds them.
CREATE TABLE blobs (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    is_loose INTEGER NOT NULL,
    unlinked_at INTEGER
) STRICT;
CREATE INDEX blobs_unlinked ON blobs (unlinked_at) WHERE unlinked_at IS NOT NULL;

-- Tar segments of bundles. `bundle` is the digest of the bundle's signed manifest. A segment that was
-- punched no longer has all of its bytes; when its bundle comes again, it is adopted as the next
-- generation.
CREATE TABLE segments (
    id INTEGER PRIMARY KEY,
    bundle TEXT NOT NULL,
    file TEXT NOT NULL,
    generation INTEGER NOT NULL,
    path TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    adopted_at INTEGER NOT NULL,
    is_punched INTEGER NOT NULL DEFAULT 0,
    has_dead INTEGER NOT NULL DEFAULT 1,
    UNIQUE (bundle, file, generation)
) STRICT;

-- Where the bytes of blobs that are not loose lie, in order.
CREATE TABLE extents (
    blob INTEGER NOT NULL REFERENCES blobs (id) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    segment INTEGER NOT NULL REFERENCES segments (id),
    start INTEGER NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (blob, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX extents_segment ON extents (segment, start);

-- Blobs of repositories.
CREATE TABLE links (
    repository INTEGER NOT NULL REFERENCES repositories (id),
    blob INTEGER NOT NULL REFERENCES blobs (id),
    linked_at INTEGER NOT NULL,
    PRIMARY KEY (repository, blob)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_blob ON links (blob);

-- Manifests of repositories.
CREATE TABLE manifests (
    repository INTEGER NOT NULL REFERENCES repositories (id),
    blob INTEGER NOT NULL REFERENCES blobs (id),
    media_type TEXT NOT NULL,
    subject TEXT,
    artifact_type TEXT,
    annotations TEXT NOT NULL,
    PRIMARY KEY (repository, blob)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifests_blob ON manifests (blob);
CREATE INDEX manifests_subject ON manifests (repository, subject) WHERE subject IS NOT NULL;

-- What a manifest points at: config, layers, children. Digests, since an index may list children
-- that are not here.
CREATE TABLE children (
    repository INTEGER NOT NULL,
    manifest INTEGER NOT NULL,
    child TEXT NOT NULL,
    PRIMARY KEY (repository, manifest, child),
    FOREIGN KEY (repository, manifest) REFERENCES manifests (repository, blob) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX children_child ON children (repository, child);

CREATE TABLE tags (
    repository INTEGER NOT NULL,
    tag TEXT NOT NULL,
    manifest INTEGER NOT NULL,
    PRIMARY KEY (repository, tag),
    FOREIGN KEY (repository, manifest) REFERENCES manifests (repository, blob) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_manifest ON tags (repository, manifest);

-- Pushes under way; their bytes are in uploads/<id>.
CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    repository INTEGER NOT NULL REFERENCES repositories (id),
    started_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
