-- Investigations and the alerts folded into them (MECHANICS 2 and 6).
-- No blob lies in a table or index that is keyed by a random id: the wide parts are documents,
-- appended by rowid.

CREATE TABLE counter (
	name  TEXT    PRIMARY KEY,
	value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counter (name, value) VALUES ('alert', 0), ('doc', 0);

-- Documents: alerts as frames, investigations as JSON. codec 0 is plain, 1 is zstd.
CREATE TABLE doc (
	id    INTEGER PRIMARY KEY,
	codec INTEGER NOT NULL,
	bytes BLOB    NOT NULL
);

-- One row per distinct alert, in order of acceptance. previous chains the alerts of one
-- investigation, newest first, from investigation.last_alert.
CREATE TABLE alert (
	seq           INTEGER PRIMARY KEY,
	investigation TEXT    NOT NULL,
	previous      INTEGER,
	event_time    INTEGER NOT NULL,
	doc           INTEGER NOT NULL
);

-- Identity of an alert: a hash of tenant, source and alert id. Unique for ever.
CREATE TABLE alert_identity (
	key   BLOB    PRIMARY KEY,
	alert INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE investigation (
	id             TEXT    PRIMARY KEY,
	tenant         TEXT    NOT NULL,
	state          TEXT    NOT NULL,
	wait_reason    TEXT    NOT NULL,
	classification TEXT    NOT NULL,
	severity       INTEGER NOT NULL,
	probability    INTEGER NOT NULL, -- millionths
	alerts         INTEGER NOT NULL,
	redelivered    INTEGER NOT NULL,
	version        INTEGER NOT NULL,
	first_alert    INTEGER NOT NULL,
	last_alert     INTEGER NOT NULL,
	doc            INTEGER NOT NULL,
	created_at     INTEGER NOT NULL,
	updated_at     INTEGER NOT NULL,
	lease_owner    TEXT,
	lease_until    INTEGER,
	wake_at        INTEGER,
	dirty_at       INTEGER
) WITHOUT ROWID;
CREATE INDEX investigation_queue ON investigation (tenant, state, first_alert);
CREATE INDEX investigation_wake ON investigation (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX investigation_dirty ON investigation (dirty_at) WHERE dirty_at IS NOT NULL;

-- Results of steps that cost money, leave the process or need a person: never done twice.
CREATE TABLE step_journal (
	investigation TEXT    NOT NULL,
	step          TEXT    NOT NULL,
	attempt       INTEGER NOT NULL,
	input_hash    BLOB    NOT NULL,
	output        BLOB    NOT NULL,
	recorded_at   INTEGER NOT NULL,
	PRIMARY KEY (investigation, step, attempt)
) WITHOUT ROWID;

-- Next offset per consumer and partition, moved in the transaction of the work.
CREATE TABLE consumer_offset (
	consumer  TEXT    NOT NULL,
	topic     TEXT    NOT NULL,
	topic_id  BLOB    NOT NULL,
	partition INTEGER NOT NULL,
	next      INTEGER NOT NULL,
	PRIMARY KEY (consumer, topic, partition)
) WITHOUT ROWID;
