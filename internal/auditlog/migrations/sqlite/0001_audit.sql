-- The chains of all tenants. Rows are only ever added to audit_record.

CREATE TABLE audit_tenant (
	no     INTEGER PRIMARY KEY,
	tenant TEXT NOT NULL UNIQUE
);

-- id = no << 40 | sequence number: one chain lies together and grows at its end.
CREATE TABLE audit_record (
	id          INTEGER PRIMARY KEY,
	recorded_at INTEGER NOT NULL,
	bytes       BLOB    NOT NULL,
	hash        BLOB    NOT NULL CHECK (length(hash) = 32)
);

CREATE TRIGGER audit_record_no_update BEFORE UPDATE ON audit_record
BEGIN
	SELECT RAISE(ABORT, 'append-only: audit_record refuses UPDATE');
END;

CREATE TRIGGER audit_record_no_delete BEFORE DELETE ON audit_record
BEGIN
	SELECT RAISE(ABORT, 'append-only: audit_record refuses DELETE');
END;

-- INSERT OR REPLACE removes the old row without firing the trigger for DELETE.
CREATE TRIGGER audit_record_no_replace BEFORE INSERT ON audit_record
WHEN EXISTS (SELECT 1 FROM audit_record WHERE id = NEW.id)
BEGIN
	SELECT RAISE(ABORT, 'append-only: audit_record has this number');
END;

-- tree is the compact Merkle tree over the records up to sequence.
CREATE TABLE audit_head (
	tenant_no  INTEGER PRIMARY KEY,
	sequence   INTEGER NOT NULL,
	hash       BLOB    NOT NULL CHECK (length(hash) = 32),
	tree       BLOB    NOT NULL,
	updated_at INTEGER NOT NULL
);

-- Which messages of a producer are in the chain.
CREATE TABLE audit_origin (
	origin   TEXT    NOT NULL,
	tenant   TEXT    NOT NULL,
	last_seq INTEGER NOT NULL,
	PRIMARY KEY (origin, tenant)
) WITHOUT ROWID;

-- Where the records of an investigation lie: one row per investigation and append.
-- slot = no << 24 | first_seq >> 16, so that new rows fall into the few pages of the newest
-- slot although inv, a hash of the investigation's id, is random.
CREATE TABLE audit_ref (
	slot      INTEGER NOT NULL,
	inv       INTEGER NOT NULL,
	first_seq INTEGER NOT NULL,
	last_seq  INTEGER NOT NULL,
	PRIMARY KEY (slot, inv, first_seq)
) WITHOUT ROWID;

-- What could not be decoded, byte for byte; the record with this id has its SHA-256.
CREATE TABLE audit_rejected (
	id     INTEGER PRIMARY KEY,
	sha256 TEXT NOT NULL UNIQUE,
	bytes  BLOB NOT NULL
);
