-- Messages committed with the state that caused them (MECHANICS 7), and the gap-free numbers
-- of a tenant's audit events at their origin (MECHANICS 8).

CREATE TABLE outbox (
	seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	topic      TEXT COLLATE "C" NOT NULL,
	key        BYTEA,
	tenant     TEXT COLLATE "C" NOT NULL,
	payload    BYTEA NOT NULL,
	created_at BIGINT NOT NULL
);

-- A queue: rows come and go, and what went must not be read over again.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE audit_sequence (
	tenant   TEXT COLLATE "C" PRIMARY KEY,
	last_seq BIGINT NOT NULL
);

SELECT row_security('outbox', 'tenant = current_tenant()');
SELECT row_security('audit_sequence', 'tenant = current_tenant()');
