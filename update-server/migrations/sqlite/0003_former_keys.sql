-- When the key before the one in force ended, and the oldest one that was replaced within a day of
-- another: whoever replaces a stolen key twice must not make its true holder unknown.
ALTER TABLE cluster ADD COLUMN former_at INTEGER;
ALTER TABLE cluster ADD COLUMN elder_key BLOB;
ALTER TABLE cluster ADD COLUMN elder_key_id BLOB;
ALTER TABLE cluster ADD COLUMN elder_at INTEGER;
