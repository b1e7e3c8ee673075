-- Strong keys that investigations share (MECHANICS 3). The key is a hash of tenant, kind and
-- value; an investigation is named by its first alert, which is narrow and ascends.

ALTER TABLE investigation ADD COLUMN own_bits INTEGER NOT NULL DEFAULT 0; -- millionths, evidence of its own alerts alone
CREATE UNIQUE INDEX investigation_first ON investigation (first_alert);

CREATE TABLE link (
	key           BLOB    NOT NULL,
	investigation INTEGER NOT NULL,
	first_seen    INTEGER NOT NULL,
	last_seen     INTEGER NOT NULL,
	PRIMARY KEY (key, investigation)
) WITHOUT ROWID;
