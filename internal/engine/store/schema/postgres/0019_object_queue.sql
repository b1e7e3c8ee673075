-- Objects that the object store could not take yet (package engine/blob/queue). Times are
-- microseconds UTC.

-- One row per object of a tenant, in the order in which they came; digest is the SHA-256 of body in
-- hex. A row goes when the object is in the store.
CREATE TABLE object_queue (
	seq       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant    BYTEA  NOT NULL, -- its bytes: objects take tenants that no text column does
	digest    TEXT   COLLATE "C" NOT NULL,
	size      BIGINT NOT NULL,
	queued_at BIGINT NOT NULL,
	body      BYTEA  NOT NULL,
	UNIQUE (tenant, digest)
);
ALTER TABLE object_queue ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX object_queue_size ON object_queue (size);

-- A queue: rows come and go, and what went must not be read over again.
ALTER TABLE object_queue SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

SELECT row_security('object_queue', 'false', '');
