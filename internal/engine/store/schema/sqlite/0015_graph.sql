-- The asset graph: what stands in which zone, what runs and connects where, what is weak
-- (package engine/graph/sqlgraph). Times are microseconds UTC.

-- One row per asset, zone, model and finding. node is the number by which edges name it.
CREATE TABLE graph_node (
	node        INTEGER PRIMARY KEY,
	tenant      TEXT    NOT NULL,
	kind        TEXT    NOT NULL CHECK (kind IN ('asset', 'zone', 'model', 'finding')),
	id          TEXT    NOT NULL,
	name        TEXT    NOT NULL, -- title of a finding
	type        TEXT    NOT NULL, -- type of an asset, version of a model, tool of a finding
	criticality TEXT    NOT NULL, -- of an asset; severity of a finding, hash of a model
	owner       TEXT    NOT NULL, -- who answers for an asset or a zone
	class       INTEGER NOT NULL, -- of a zone: 4 safety_life, 3 equipment, 2 downtime, 1 data_loss, 0 unknown
	ot          INTEGER NOT NULL, -- 1 when a source of operational technology named the asset
	within      TEXT    NOT NULL, -- id of the zone around a zone, '' for none
	origin      TEXT    NOT NULL, -- who wrote it last
	written_at  INTEGER NOT NULL,
	UNIQUE (tenant, kind, id)
);
CREATE INDEX graph_node_origin ON graph_node (origin, tenant, written_at);
CREATE INDEX graph_node_within ON graph_node (tenant, within) WHERE within <> '';

-- One row per edge; DEPLOYS_TO has a second one, DEPLOYED_ON, from the asset to the model, so that
-- every walk reads edges from one end. Numbers of nodes are unique over all tenants; no index of
-- edges begins with the tenant, which planners without statistics take for selective.
CREATE TABLE graph_edge (
	tenant     TEXT    NOT NULL,
	source     INTEGER NOT NULL,
	relation   TEXT    NOT NULL,
	target     INTEGER NOT NULL,
	origin     TEXT    NOT NULL,
	written_at INTEGER NOT NULL,
	PRIMARY KEY (source, relation, target)
) WITHOUT ROWID;
CREATE INDEX graph_edge_target ON graph_edge (target);
CREATE INDEX graph_edge_origin ON graph_edge (origin, tenant, written_at);
