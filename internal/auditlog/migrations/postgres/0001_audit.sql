-- The chains of all tenants. Rows are only ever added to audit_record. Text is compared by its
-- bytes, as SQLite does, whatever the language of the server.

-- The tenant that a transaction is for, or NULL (store.ForTenant).
CREATE FUNCTION current_tenant() RETURNS TEXT LANGUAGE sql STABLE PARALLEL SAFE
	RETURN NULLIF(current_setting('aluskort.tenant', true), '');

CREATE TABLE audit_tenant (
	no     BIGINT PRIMARY KEY,
	tenant TEXT COLLATE "C" NOT NULL UNIQUE
);

-- The number of the tenant that a transaction is for; it sees only that row.
CREATE FUNCTION current_tenant_no() RETURNS BIGINT LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT no FROM audit_tenant WHERE tenant = current_tenant();
	END;

-- id = no << 40 | sequence number. One partition per month of recording. A key of the whole would
-- have to hold recorded_at, so each partition has a key of its own: it keeps a number from being
-- given twice within a month, the head, which every append moves by compare-and-swap, for ever.
CREATE TABLE audit_record (
	id          BIGINT NOT NULL,
	recorded_at BIGINT NOT NULL,
	bytes       BYTEA  NOT NULL,
	hash        BYTEA  NOT NULL CHECK (length(hash) = 32)
) PARTITION BY RANGE (recorded_at);

-- What no month was made for: nothing is refused because a job did not run.
CREATE TABLE audit_record_rest PARTITION OF audit_record (PRIMARY KEY (id)) DEFAULT;

CREATE FUNCTION audit_record_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'append-only: audit_record refuses %', TG_OP;
END $$;

CREATE TRIGGER audit_record_no_change BEFORE UPDATE OR DELETE ON audit_record
	FOR EACH ROW EXECUTE FUNCTION audit_record_refuse();
CREATE TRIGGER audit_record_no_truncate BEFORE TRUNCATE ON audit_record
	FOR EACH STATEMENT EXECUTE FUNCTION audit_record_refuse();
CREATE TRIGGER audit_record_no_truncate BEFORE TRUNCATE ON audit_record_rest
	FOR EACH STATEMENT EXECUTE FUNCTION audit_record_refuse();

CREATE FUNCTION audit_micros(t TIMESTAMP) RETURNS BIGINT LANGUAGE sql IMMUTABLE
	RETURN (extract(epoch FROM t) * 1000000)::BIGINT;

-- audit_record_months creates the partitions of the month that holds now, in microseconds, and of
-- the months after it, in all months, and returns how many were missing. A month of which rows lie
-- in audit_record_rest already stays there. It runs as the owner of the tables, which the roles
-- of the program are not.
CREATE FUNCTION audit_record_months(now BIGINT, months INT) RETURNS INT
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
	first TIMESTAMP := date_trunc('month', to_timestamp(now / 1000000) AT TIME ZONE 'UTC');
	begins TIMESTAMP;
	part TEXT;
	made INT := 0;
BEGIN
	FOR i IN 0..months - 1 LOOP
		begins := first + make_interval(months => i);
		part := 'audit_record_' || to_char(begins, 'YYYY_MM');
		CONTINUE WHEN to_regclass(part) IS NOT NULL;
		BEGIN
			EXECUTE format('CREATE TABLE %I PARTITION OF audit_record (PRIMARY KEY (id)) FOR VALUES FROM (%s) TO (%s)',
				part, audit_micros(begins), audit_micros(begins + INTERVAL '1 month'));
			EXECUTE format('CREATE TRIGGER audit_record_no_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION audit_record_refuse()', part);
			made := made + 1;
		EXCEPTION WHEN check_violation OR duplicate_table THEN
			NULL; -- rows of the month lie in audit_record_rest, or another process was faster
		END;
	END LOOP;
	RETURN made;
END $$;
REVOKE ALL ON FUNCTION audit_record_months FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_record_months TO aluskort_system;

-- tree is the compact Merkle tree over the records up to sequence.
CREATE TABLE audit_head (
	tenant_no  BIGINT PRIMARY KEY,
	sequence   BIGINT NOT NULL,
	hash       BYTEA  NOT NULL CHECK (length(hash) = 32),
	tree       BYTEA  NOT NULL,
	updated_at BIGINT NOT NULL
);

-- Which messages of a producer are in the chain.
CREATE TABLE audit_origin (
	origin   TEXT COLLATE "C" NOT NULL,
	tenant   TEXT COLLATE "C" NOT NULL,
	last_seq BIGINT NOT NULL,
	PRIMARY KEY (origin, tenant)
);

-- Where the records of an investigation lie: one row per investigation and append.
-- slot = no << 24 | first_seq >> 16, so that new rows fall into the few pages of the newest
-- slot although inv, a hash of the investigation's id, is random.
CREATE TABLE audit_ref (
	slot      BIGINT NOT NULL,
	inv       BIGINT NOT NULL,
	first_seq BIGINT NOT NULL,
	last_seq  BIGINT NOT NULL,
	PRIMARY KEY (slot, inv, first_seq)
);

-- What could not be decoded, byte for byte; the record with this id has its SHA-256.
CREATE TABLE audit_rejected (
	id     BIGINT PRIMARY KEY,
	sha256 TEXT COLLATE "C" NOT NULL UNIQUE,
	bytes  BYTEA NOT NULL
);

-- row_security guards a table: aluskort_app does what is in privileges to the rows for which own
-- holds; aluskort_system has all rows. Partitions are reached through their table alone.
CREATE FUNCTION row_security(guarded REGCLASS, own TEXT, privileges TEXT)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
	EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', guarded);
	EXECUTE format('CREATE POLICY everything ON %s TO aluskort_system USING (true) WITH CHECK (true)', guarded);
	EXECUTE format('GRANT %s ON %s TO aluskort_app', privileges, guarded);
	EXECUTE format('CREATE POLICY own ON %s TO aluskort_app USING (%s) WITH CHECK (%s)', guarded, own, own);
END $$;

-- The number is looked up once per statement, not per row.
SELECT row_security('audit_tenant', 'tenant = current_tenant()', 'SELECT, INSERT');
SELECT row_security('audit_record', 'id >> 40 = (SELECT current_tenant_no())', 'SELECT, INSERT');
SELECT row_security('audit_head', 'tenant_no = (SELECT current_tenant_no())', 'SELECT, INSERT, UPDATE');
SELECT row_security('audit_origin', 'tenant = current_tenant()', 'SELECT, INSERT, UPDATE');
SELECT row_security('audit_ref', 'slot >> 24 = (SELECT current_tenant_no())', 'SELECT, INSERT');
SELECT row_security('audit_rejected', 'id >> 40 = (SELECT current_tenant_no())', 'SELECT, INSERT');
