-- What the tokens of redaction stand for (package gateway/redact/vault). Times are microseconds
-- UTC.

-- One row per investigation of which something went to a model. The body is sealed with a key
-- that is not in the database; it lives as long as the investigation.
CREATE TABLE redaction_map (
	tenant        TEXT COLLATE "C" NOT NULL,
	investigation TEXT COLLATE "C" NOT NULL,
	body          BYTEA NOT NULL,
	updated_at    BIGINT NOT NULL,
	PRIMARY KEY (tenant, investigation)
);
CREATE INDEX redaction_map_age ON redaction_map (tenant, updated_at);

SELECT row_security('redaction_map', 'tenant = current_tenant()');
