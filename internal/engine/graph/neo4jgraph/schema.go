package neo4jgraph

import (
	"context"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
)

// schema are the constraints and indexes of REFERENCE 7. Ids are unique per tenant: two tenants may
// have a host of one name.
var schema = []string{
	`CREATE CONSTRAINT aluskort_asset IF NOT EXISTS FOR (n:Asset) REQUIRE (n.tenant_id, n.id) IS UNIQUE`,
	`CREATE CONSTRAINT aluskort_zone IF NOT EXISTS FOR (n:Zone) REQUIRE (n.tenant_id, n.id) IS UNIQUE`,
	`CREATE CONSTRAINT aluskort_model IF NOT EXISTS FOR (n:Model) REQUIRE (n.tenant_id, n.id) IS UNIQUE`,
	`CREATE CONSTRAINT aluskort_finding IF NOT EXISTS FOR (n:Finding) REQUIRE (n.tenant_id, n.id) IS UNIQUE`,
	`CREATE CONSTRAINT aluskort_tenant IF NOT EXISTS FOR (n:Tenant) REQUIRE n.id IS UNIQUE`,
	`CREATE INDEX aluskort_asset_name IF NOT EXISTS FOR (n:Asset) ON (n.name)`,
	`CREATE INDEX aluskort_asset_tenant IF NOT EXISTS FOR (n:Asset) ON (n.tenant_id)`,
	`CREATE INDEX aluskort_zone_tenant IF NOT EXISTS FOR (n:Zone) ON (n.tenant_id)`,
	`CREATE INDEX aluskort_model_tenant IF NOT EXISTS FOR (n:Model) ON (n.tenant_id)`,
	`CREATE INDEX aluskort_finding_tenant IF NOT EXISTS FOR (n:Finding) ON (n.tenant_id)`,
	`CREATE INDEX aluskort_zone_class IF NOT EXISTS FOR (n:Zone) ON (n.consequence_class)`,
	`CREATE INDEX aluskort_finding_severity IF NOT EXISTS FOR (n:Finding) ON (n.severity)`,
}

// ensure makes the schema once. Each statement is a transaction of its own, as Neo4j wants it.
func (g *Graph) ensure(ctx context.Context) error {
	g.schema.Lock()
	defer g.schema.Unlock()
	if g.ready {
		return nil
	}
	err := g.session(ctx, neo4j.AccessModeWrite, func(ctx context.Context, s neo4j.SessionWithContext) error {
		for _, text := range append(schema, `CALL db.awaitIndexes(60)`) {
			_, err := s.ExecuteWrite(ctx, managed(ctx, func(ctx context.Context, tx neo4j.ManagedTransaction) error {
				return run(ctx, tx, text, nil)
			}))
			if err != nil {
				return err
			}
		}
		return nil
	})
	g.ready = err == nil
	return err
}
