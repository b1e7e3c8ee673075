-- What people concluded about alerts, and the priors learned from it (packages reason/prior and
-- orchestrate/priorstore). Times are microseconds UTC.

-- One row per verdict of a person; only appended.
CREATE TABLE judgement (
	seq       INTEGER PRIMARY KEY,
	tenant    TEXT    NOT NULL,
	source    TEXT    NOT NULL,
	analytic  TEXT    NOT NULL,
	severity  INTEGER NOT NULL,
	actor     TEXT    NOT NULL,
	malicious INTEGER NOT NULL CHECK (malicious IN (0, 1)),
	judged_at INTEGER NOT NULL
);
CREATE INDEX judgement_time ON judgement (judged_at);

-- Every snapshot that was ever in force: a verdict names the version that it rests on. The last
-- one is current.
CREATE TABLE prior_snapshot (
	seq       INTEGER PRIMARY KEY,
	version   TEXT    NOT NULL,
	fitted_at INTEGER NOT NULL,
	body      BLOB    NOT NULL -- JSON
);
CREATE INDEX prior_snapshot_version ON prior_snapshot (version);
