-- The asset graph: what stands in which zone, what runs and connects where, what is weak
-- (package engine/graph/sqlgraph). Times are microseconds UTC. Ids are ordered by their bytes on
-- every engine, whatever the locale of the database.

-- One row per asset, zone, model and finding. node is the number by which edges name it.
CREATE TABLE graph_node (
	node        BIGINT   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant      TEXT     COLLATE "C" NOT NULL,
	kind        TEXT     COLLATE "C" NOT NULL CHECK (kind IN ('asset', 'zone', 'model', 'finding')),
	id          TEXT     COLLATE "C" NOT NULL,
	name        TEXT     NOT NULL, -- title of a finding
	type        TEXT     NOT NULL, -- type of an asset, version of a model, tool of a finding
	criticality TEXT     NOT NULL, -- of an asset; severity of a finding, hash of a model
	owner       TEXT     NOT NULL, -- who answers for an asset or a zone
	class       SMALLINT NOT NULL, -- of a zone: 4 safety_life, 3 equipment, 2 downtime, 1 data_loss, 0 unknown
	ot          SMALLINT NOT NULL, -- 1 when a source of operational technology named the asset
	within      TEXT     COLLATE "C" NOT NULL, -- id of the zone around a zone, '' for none
	origin      TEXT     COLLATE "C" NOT NULL, -- who wrote it last
	written_at  BIGINT   NOT NULL,
	UNIQUE (tenant, kind, id)
);
CREATE INDEX graph_node_origin ON graph_node (origin, tenant, written_at);
CREATE INDEX graph_node_within ON graph_node (tenant, within) WHERE within <> '';

-- One row per edge; DEPLOYS_TO has a second one, DEPLOYED_ON, from the asset to the model, so that
-- every walk reads edges from one end. Numbers of nodes are unique over all tenants; no index of
-- edges begins with the tenant, which planners without statistics take for selective.
CREATE TABLE graph_edge (
	tenant     TEXT   COLLATE "C" NOT NULL,
	source     BIGINT NOT NULL,
	relation   TEXT   COLLATE "C" NOT NULL,
	target     BIGINT NOT NULL,
	origin     TEXT   COLLATE "C" NOT NULL,
	written_at BIGINT NOT NULL,
	PRIMARY KEY (source, relation, target)
);
CREATE INDEX graph_edge_target ON graph_edge (target);
CREATE INDEX graph_edge_origin ON graph_edge (origin, tenant, written_at);

SELECT row_security('graph_node', 'tenant = current_tenant()');
SELECT row_security('graph_edge', 'tenant = current_tenant()');
