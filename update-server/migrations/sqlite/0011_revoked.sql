-- A cluster whose key a person took out of force, as JSON (at, by, reason), until it enrols again.
ALTER TABLE cluster ADD COLUMN revoked TEXT;
