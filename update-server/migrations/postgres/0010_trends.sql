CREATE TABLE trend (
    at      BIGINT NOT NULL,
    product TEXT NOT NULL,
    channel TEXT NOT NULL,
    body    TEXT NOT NULL
);
CREATE UNIQUE INDEX trend_at ON trend (at, product, channel);

CREATE TABLE soak_day (
    day       BIGINT NOT NULL,
    product   TEXT NOT NULL,
    channel   TEXT NOT NULL,
    version   TEXT NOT NULL,
    healthy   BIGINT NOT NULL,
    unhealthy BIGINT NOT NULL,
    unknown   BIGINT NOT NULL
);
CREATE UNIQUE INDEX soak_day_day ON soak_day (day, product, channel, version);

CREATE TABLE soak_mark (
    id    BIGINT PRIMARY KEY,
    day   BIGINT NOT NULL,
    at    BIGINT NOT NULL,
    marks BYTEA NOT NULL
);
