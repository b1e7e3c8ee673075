-- Threat intelligence (package internal/knowledge/intel). Lists are JSON arrays, times
-- microseconds UTC, severity 0 (informational) to 4 (critical), tenant "*" is everybody's.

CREATE TABLE threat_intel_iocs (
	doc_id               INTEGER PRIMARY KEY,
	tenant_id            TEXT    NOT NULL,
	indicator_type       TEXT    NOT NULL,
	indicator_value      TEXT    NOT NULL,
	confidence           INTEGER NOT NULL CHECK (confidence BETWEEN 0 AND 100),
	severity             INTEGER NOT NULL CHECK (severity BETWEEN 0 AND 4),
	associated_campaigns TEXT    NOT NULL,
	associated_groups    TEXT    NOT NULL,
	mitre_techniques     TEXT    NOT NULL,
	first_seen           INTEGER,
	last_seen            INTEGER,
	sources              TEXT    NOT NULL,
	context              TEXT    NOT NULL,
	expiry               INTEGER NOT NULL,
	tags                 TEXT    NOT NULL,
	created_at           INTEGER NOT NULL,
	updated_at           INTEGER NOT NULL,
	UNIQUE (indicator_type, indicator_value, tenant_id)
);
CREATE INDEX threat_intel_iocs_expiry ON threat_intel_iocs (expiry);

-- One row per import. A tenant without one is blind, not free of threats.
CREATE TABLE threat_intel_imports (
	import_id   INTEGER PRIMARY KEY,
	tenant_id   TEXT    NOT NULL,
	feed        TEXT    NOT NULL,
	format      TEXT    NOT NULL,
	accepted    INTEGER NOT NULL,
	refused     INTEGER NOT NULL,
	skipped     INTEGER NOT NULL,
	imported_at INTEGER NOT NULL
);
CREATE INDEX threat_intel_imports_tenant ON threat_intel_imports (tenant_id, imported_at);
