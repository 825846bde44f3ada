-- Only here: the published repository, which every replica copies into its data directory. A file that
-- the newest set no longer has stays for a few sets; `gone` is the first set without it.
CREATE TABLE repository (
    id         BIGINT PRIMARY KEY,
    generation BIGINT NOT NULL,
    at         BIGINT NOT NULL
);
CREATE TABLE repository_file (
    path    TEXT COLLATE "C" PRIMARY KEY,
    digest  BYTEA NOT NULL,
    content BYTEA NOT NULL,
    gone    BIGINT
);

-- Public halves of the keys that every replica must have.
CREATE TABLE hub_key (
    name   TEXT COLLATE "C" PRIMARY KEY,
    public TEXT NOT NULL
);
