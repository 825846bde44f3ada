-- What the fleet's owner sets for one cluster: its labels, and by product the channel it should
-- follow, the version it is pinned to and the highest one it may go to. JSON; no report
-- changes them.
ALTER TABLE cluster ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE cluster ADD COLUMN settings TEXT NOT NULL DEFAULT '[]';

-- Labels of the clusters that enrol with a token.
ALTER TABLE join_token ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
