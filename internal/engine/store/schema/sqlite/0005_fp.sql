-- False-positive patterns, what they closed, and kill switches (package internal/fp). Times are
-- microseconds UTC, fractions millionths.

-- Moves with every change of a pattern's standing or of a switch, so that a reader can tell
-- whether what it holds in memory is current.
INSERT INTO counter (name, value) VALUES ('fp', 0);

CREATE TABLE fp_patterns (
	seq                  INTEGER PRIMARY KEY,
	pattern_id           TEXT    NOT NULL UNIQUE,
	scope_tenant_id      TEXT    NOT NULL,
	pattern_name         TEXT    NOT NULL,
	definition           TEXT    NOT NULL, -- JSON: scope, conditions, threshold, justification
	status               TEXT    NOT NULL CHECK (status IN ('pending_review', 'approved', 'active', 'shadow', 'deprecated', 'expired', 'revoked')),
	proposer             TEXT    NOT NULL,
	approved_by_1        TEXT    NOT NULL DEFAULT '',
	approval_reason_1    TEXT    NOT NULL DEFAULT '',
	approved_by_2        TEXT    NOT NULL DEFAULT '',
	approval_reason_2    TEXT    NOT NULL DEFAULT '',
	created_at           INTEGER NOT NULL,
	approval_date        INTEGER,
	expiry_date          INTEGER,
	reaffirmed_by        TEXT    NOT NULL DEFAULT '',
	reaffirmed_date      INTEGER,
	ended_by             TEXT    NOT NULL DEFAULT '',
	ended_reason         TEXT    NOT NULL DEFAULT '',
	ended_date           INTEGER,
	occurrences          INTEGER NOT NULL DEFAULT 0,
	last_occurrence      INTEGER,
	shadow_decisions     INTEGER NOT NULL DEFAULT 0,
	shadow_disagreements INTEGER NOT NULL DEFAULT 0,
	version              INTEGER NOT NULL,
	CHECK (approved_by_1 = '' OR approved_by_1 <> proposer),
	CHECK (approved_by_2 = '' OR approved_by_2 NOT IN (proposer, approved_by_1)),
	CHECK (status NOT IN ('active', 'shadow') OR (approved_by_1 <> '' AND approved_by_2 <> '' AND expiry_date IS NOT NULL))
);
CREATE INDEX fp_patterns_status ON fp_patterns (status, expiry_date);

-- Which pattern closed which investigation. A row of a revoked pattern without reopened_at is
-- work to be done.
CREATE TABLE fp_closure (
	pattern       TEXT    NOT NULL,
	investigation TEXT    NOT NULL,
	closed_at     INTEGER NOT NULL,
	reopened_at   INTEGER,
	PRIMARY KEY (pattern, investigation)
) WITHOUT ROWID;

-- The switches that are on; who cleared one is in the audit trail.
CREATE TABLE fp_kill_switch (
	dimension    TEXT    NOT NULL CHECK (dimension IN ('tenant', 'pattern', 'technique', 'datasource')),
	value        TEXT    NOT NULL,
	activated_by TEXT    NOT NULL,
	reason       TEXT    NOT NULL,
	activated_at INTEGER NOT NULL,
	PRIMARY KEY (dimension, value)
) WITHOUT ROWID;
