-- What past incidents were and how they ended (package knowledge/memory). The vector engine holds
-- an index over them that can be made again from here. Times are microseconds UTC.

-- One row per investigation. model names the embedder whose vector is in the vector engine, empty
-- while the row waits to be indexed; revision counts changes, so that an index of an older state is
-- not taken for one of the newer. gone rows wait for their vector to be removed.
CREATE TABLE incident_memory (
	seq           INTEGER PRIMARY KEY,
	tenant        TEXT    NOT NULL,
	investigation TEXT    NOT NULL,
	person        INTEGER NOT NULL CHECK (person IN (0, 1)),
	decided_by    TEXT    NOT NULL,
	decided_at    INTEGER NOT NULL,
	body          TEXT    NOT NULL, -- JSON, read whole
	model         TEXT    NOT NULL,
	revision      INTEGER NOT NULL,
	gone          INTEGER NOT NULL CHECK (gone IN (0, 1)),
	UNIQUE (tenant, investigation)
);
CREATE INDEX incident_memory_pending ON incident_memory (model, seq);
CREATE INDEX incident_memory_decided ON incident_memory (tenant, person, decided_at);

-- The words of those that people decided, for the search without the vector engine. A word is the
-- first 63 bits of a hash.
CREATE TABLE incident_word (
	tenant   TEXT    NOT NULL,
	word     INTEGER NOT NULL,
	incident INTEGER NOT NULL,
	PRIMARY KEY (tenant, word, incident)
) WITHOUT ROWID;
CREATE INDEX incident_word_incident ON incident_word (incident);
