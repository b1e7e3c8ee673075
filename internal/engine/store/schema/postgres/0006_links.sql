-- Strong keys that investigations share (MECHANICS 3). The key is a hash of tenant, kind and
-- value; an investigation is named by its first alert, which is narrow and ascends.

ALTER TABLE investigation ADD COLUMN own_bits BIGINT NOT NULL DEFAULT 0; -- millionths, evidence of its own alerts alone
CREATE UNIQUE INDEX investigation_first ON investigation (first_alert);

CREATE TABLE link (
	key           BYTEA NOT NULL,
	investigation BIGINT NOT NULL,
	first_seen    BIGINT NOT NULL,
	last_seen     BIGINT NOT NULL,
	PRIMARY KEY (key, investigation)
);

SELECT row_security('link', 'false', '');
