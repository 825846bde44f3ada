-- Which process of an agent reported last, which ones it took over from, and what hints at two of
-- them under one key.
ALTER TABLE cluster ADD COLUMN instance TEXT;
ALTER TABLE cluster ADD COLUMN superseded TEXT NOT NULL DEFAULT '[]';
ALTER TABLE cluster ADD COLUMN sent_at INTEGER;
ALTER TABLE cluster ADD COLUMN heat INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cluster ADD COLUMN conflict_since INTEGER;

-- The key before the one in force, so that whoever still signs with it is told why it is refused.
ALTER TABLE cluster ADD COLUMN former_key BLOB;
ALTER TABLE cluster ADD COLUMN former_key_id BLOB;
ALTER TABLE cluster ADD COLUMN former_why TEXT;

-- The one cluster a token was minted for; none for tokens that admit new clusters.
ALTER TABLE join_token ADD COLUMN cluster INTEGER;
