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

CREATE TABLE audit_sequence (
	tenant   TEXT COLLATE "C" PRIMARY KEY,
	last_seq BIGINT NOT NULL
);

SELECT row_security('outbox', 'tenant = current_tenant()');
SELECT row_security('audit_sequence', 'tenant = current_tenant()');
