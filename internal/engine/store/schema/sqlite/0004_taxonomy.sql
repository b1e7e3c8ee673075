-- Techniques of MITRE ATT&CK and ATLAS (package internal/knowledge/taxonomy). Lists are JSON
-- arrays, times microseconds UTC. Every tenant sees the same.

CREATE TABLE taxonomy_ids (
	technique_id    TEXT    PRIMARY KEY,
	framework       TEXT    NOT NULL, -- attack, atlas
	part            TEXT    NOT NULL, -- enterprise, ics, mobile, atlas
	name            TEXT    NOT NULL,
	is_subtechnique INTEGER NOT NULL,
	parent_id       TEXT    NOT NULL,
	tactics         TEXT    NOT NULL,
	deprecated      INTEGER NOT NULL,
	revoked         INTEGER NOT NULL,
	replaced_by     TEXT    NOT NULL,
	last_updated    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX taxonomy_ids_part ON taxonomy_ids (part);

-- Keys: <part>_version, last_sync.
CREATE TABLE taxonomy_metadata (
	key        TEXT    PRIMARY KEY,
	value      TEXT    NOT NULL,
	updated_at INTEGER NOT NULL
) WITHOUT ROWID;

-- The texts, for retrieval. Only what is in force.
CREATE TABLE mitre_techniques (
	doc_id           INTEGER PRIMARY KEY,
	technique_id     TEXT    NOT NULL UNIQUE,
	technique_name   TEXT    NOT NULL,
	parent_technique TEXT    NOT NULL,
	tactic           TEXT    NOT NULL,
	description      TEXT    NOT NULL,
	platforms        TEXT    NOT NULL,
	attack_version   TEXT    NOT NULL,
	part             TEXT    NOT NULL,
	last_updated     INTEGER NOT NULL
);
CREATE INDEX mitre_techniques_part ON mitre_techniques (part);
