-- Objects that the object store could not take yet (package engine/blob/queue). Times are
-- microseconds UTC.

-- One row per object of a tenant, in the order in which they came; digest is the SHA-256 of body in
-- hex. A row goes when the object is in the store.
CREATE TABLE object_queue (
	seq       INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant    BLOB    NOT NULL, -- its bytes: objects take tenants that no text column does
	digest    TEXT    NOT NULL,
	size      INTEGER NOT NULL,
	queued_at INTEGER NOT NULL,
	body      BLOB    NOT NULL,
	UNIQUE (tenant, digest)
);
CREATE INDEX object_queue_size ON object_queue (size);
