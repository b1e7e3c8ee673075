-- Messages committed with the state that caused them (MECHANICS 7), and the gap-free numbers
-- of a tenant's audit events at their origin (MECHANICS 8).

CREATE TABLE outbox (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	topic      TEXT    NOT NULL,
	key        BLOB,
	tenant     TEXT    NOT NULL,
	payload    BLOB    NOT NULL,
	created_at INTEGER NOT NULL
);

CREATE TABLE audit_sequence (
	tenant   TEXT    PRIMARY KEY,
	last_seq INTEGER NOT NULL
) WITHOUT ROWID;
