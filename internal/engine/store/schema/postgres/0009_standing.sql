-- What the queue of waiting investigations and the upkeep look at (package orchestrate).

-- Why an investigation that cannot be read or decided was set aside; its document is not to be
-- believed then, only this row.
ALTER TABLE investigation ADD COLUMN set_aside TEXT COLLATE "C";
CREATE INDEX investigation_aside ON investigation (id) WHERE set_aside IS NOT NULL;

-- Whether a person was waited for longer than the clock of the wait allows.
ALTER TABLE investigation ADD COLUMN overdue BOOLEAN NOT NULL DEFAULT false;

-- Waits for a verdict had no clock before: wake them once, which gives them one.
UPDATE investigation SET wake_at = updated_at WHERE state = 'awaiting_human' AND wait_reason = 'verdict' AND wake_at IS NULL;

-- What weighs on hosts and accounts: one row per identity and investigation that is an anchor.
-- The key is a hash of tenant and identity.
CREATE TABLE risk (
	key           BYTEA NOT NULL,
	seen          BIGINT NOT NULL, -- last event of the investigation
	investigation BIGINT NOT NULL, -- its first alert
	bits          BIGINT NOT NULL, -- millionths
	PRIMARY KEY (key, seen, investigation)
);

SELECT row_security('risk', 'false', '');
