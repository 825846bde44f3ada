-- How the fleet was, one row per product and channel every five minutes; names are empty in the row
-- that sums up what is not told apart.
CREATE TABLE trend (
    at      INTEGER NOT NULL,
    product TEXT NOT NULL,
    channel TEXT NOT NULL,
    body    TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX trend_at ON trend (at, product, channel);

-- How clusters fared on a release, by day (days since 1970 UTC): healthy all day, unhealthy at any
-- time of it, and neither.
CREATE TABLE soak_day (
    day       INTEGER NOT NULL,
    product   TEXT NOT NULL,
    channel   TEXT NOT NULL,
    version   TEXT NOT NULL,
    healthy   INTEGER NOT NULL,
    unhealthy INTEGER NOT NULL,
    unknown   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX soak_day_day ON soak_day (day, product, channel, version);

-- What the day that is not over has shown of each cluster, for a hub that starts again: one row.
CREATE TABLE soak_mark (
    id    INTEGER PRIMARY KEY,
    day   INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    marks BLOB NOT NULL
) STRICT;
