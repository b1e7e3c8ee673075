-- Investigations and the alerts folded into them (MECHANICS 2 and 6).
-- Text is compared by its bytes, as SQLite does, whatever the language of the server. JSON is
-- TEXT: it is read whole and must come back as it was written.

-- The tenant that a transaction is for, or NULL (store.ForTenant).
CREATE FUNCTION current_tenant() RETURNS TEXT LANGUAGE sql STABLE PARALLEL SAFE
	RETURN NULLIF(current_setting('aluskort.tenant', true), '');

-- row_security guards a table: aluskort_app does what is in privileges to the rows for which
-- own holds and reads those for which shared holds; aluskort_system has all rows. Every table
-- goes through it, in the migration that creates it.
CREATE FUNCTION row_security(guarded REGCLASS, own TEXT, privileges TEXT DEFAULT 'SELECT, INSERT, UPDATE, DELETE', shared TEXT DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
	EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', guarded);
	EXECUTE format('CREATE POLICY everything ON %s TO aluskort_system USING (true) WITH CHECK (true)', guarded);
	IF privileges <> '' THEN
		EXECUTE format('GRANT %s ON %s TO aluskort_app', privileges, guarded);
		EXECUTE format('CREATE POLICY own ON %s TO aluskort_app USING (%s) WITH CHECK (%s)', guarded, own, own);
	END IF;
	IF shared IS NOT NULL THEN
		EXECUTE format('CREATE POLICY shared ON %s FOR SELECT TO aluskort_app USING (%s)', guarded, shared);
	END IF;
END $$;

CREATE TABLE counter (
	name  TEXT COLLATE "C" PRIMARY KEY,
	value BIGINT NOT NULL
);
INSERT INTO counter (name, value) VALUES ('alert', 0), ('doc', 0);

-- Documents, only ever added: alerts as frames, investigations as JSON. codec 0 is plain, 1 is
-- zstd, hence nothing for the server to compress.
CREATE TABLE doc (
	id    BIGINT PRIMARY KEY,
	codec BIGINT NOT NULL,
	bytes BYTEA NOT NULL
);
ALTER TABLE doc ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- One row per distinct alert, in order of acceptance. previous chains the alerts of one
-- investigation, newest first, from investigation.last_alert.
CREATE TABLE alert (
	seq           BIGINT PRIMARY KEY,
	investigation TEXT COLLATE "C" NOT NULL,
	previous      BIGINT,
	event_time    BIGINT NOT NULL,
	doc           BIGINT NOT NULL
);

-- Identity of an alert: a hash of tenant, source and alert id. Unique for ever.
CREATE TABLE alert_identity (
	key   BYTEA PRIMARY KEY,
	alert BIGINT NOT NULL
);

CREATE TABLE investigation (
	id             TEXT COLLATE "C" PRIMARY KEY,
	tenant         TEXT COLLATE "C" NOT NULL,
	state          TEXT COLLATE "C" NOT NULL,
	wait_reason    TEXT COLLATE "C" NOT NULL,
	classification TEXT COLLATE "C" NOT NULL,
	severity       BIGINT NOT NULL,
	probability    BIGINT NOT NULL, -- millionths
	alerts         BIGINT NOT NULL,
	redelivered    BIGINT NOT NULL,
	version        BIGINT NOT NULL,
	first_alert    BIGINT NOT NULL,
	last_alert     BIGINT NOT NULL,
	doc            BIGINT NOT NULL,
	created_at     BIGINT NOT NULL,
	updated_at     BIGINT NOT NULL,
	lease_owner    TEXT COLLATE "C",
	lease_until    BIGINT,
	wake_at        BIGINT,
	dirty_at       BIGINT
);
CREATE INDEX investigation_queue ON investigation (tenant, state, first_alert);
CREATE INDEX investigation_wake ON investigation (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX investigation_dirty ON investigation (dirty_at) WHERE dirty_at IS NOT NULL;

-- Results of steps that cost money, leave the process or need a person: never done twice.
CREATE TABLE step_journal (
	investigation TEXT COLLATE "C" NOT NULL,
	step          TEXT COLLATE "C" NOT NULL,
	attempt       BIGINT NOT NULL,
	input_hash    BYTEA NOT NULL,
	output        BYTEA NOT NULL,
	recorded_at   BIGINT NOT NULL,
	PRIMARY KEY (investigation, step, attempt)
);

-- Next offset per consumer and partition, moved in the transaction of the work.
CREATE TABLE consumer_offset (
	consumer  TEXT COLLATE "C" NOT NULL,
	topic     TEXT COLLATE "C" NOT NULL,
	topic_id  BYTEA NOT NULL,
	partition BIGINT NOT NULL,
	next      BIGINT NOT NULL,
	PRIMARY KEY (consumer, topic, partition)
);

-- By which row security finds whose a document is.
CREATE INDEX alert_doc ON alert (doc);
CREATE INDEX investigation_doc ON investigation (doc);

-- One revision for all tenants; it tells nothing but that something changed.
SELECT row_security('counter', 'true');
SELECT row_security('investigation', 'tenant = current_tenant()');
SELECT row_security('alert', 'EXISTS (SELECT FROM investigation i WHERE i.id = alert.investigation)');
SELECT row_security('doc', 'EXISTS (SELECT FROM investigation i WHERE i.doc = doc.id) OR EXISTS (SELECT FROM alert a WHERE a.doc = doc.id)', 'SELECT');
SELECT row_security('step_journal', 'EXISTS (SELECT FROM investigation i WHERE i.id = step_journal.investigation)');
-- Keys are hashes, which do not say whose they are: not for the transactions of one tenant.
SELECT row_security('alert_identity', 'false', '');
SELECT row_security('consumer_offset', 'false', '');
