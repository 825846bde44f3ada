-- A damaged blob is as good as absent until somebody brings its bytes again: repositories go on holding
-- it, and it has neither extents nor a loose file.
ALTER TABLE blobs ADD COLUMN is_damaged INTEGER NOT NULL DEFAULT 0;
CREATE INDEX blobs_damaged ON blobs (digest) WHERE is_damaged = 1;

-- Whether the segment's own file was hashed: a copy is not what was hashed at its source.
ALTER TABLE segments ADD COLUMN is_checked INTEGER NOT NULL DEFAULT 0;
