package neo4jgraph

import (
	"context"
	"errors"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"github.com/aluskort/aluskort/internal/engine/graph"
)

// The consequence walk of REFERENCE 7, by the kind of node that it starts from. Each gives rows of
// first, model and asset; strongest chooses among their zones.
const (
	fromAsset = `UNWIND $ids AS id
MATCH (s:Asset {tenant_id: $tenant, id: id})
CALL { WITH s
	CALL { WITH s
		RETURN s AS first, null AS model, s AS asset
		UNION ALL
		WITH s MATCH (s)<-[:DEPLOYS_TO]-(m:Model {tenant_id: $tenant})-[:DEPLOYS_TO]->(a:Asset {tenant_id: $tenant})
		RETURN s AS first, m AS model, a AS asset
	}` + strongest
	fromModel = `UNWIND $ids AS id
MATCH (s:Model {tenant_id: $tenant, id: id})
CALL { WITH s
	CALL { WITH s
		OPTIONAL MATCH (s)-[:DEPLOYS_TO]->(a:Asset {tenant_id: $tenant})
		RETURN null AS first, s AS model, a AS asset
	}` + strongest
	fromFinding = `UNWIND $ids AS id
MATCH (s:Finding {tenant_id: $tenant, id: id})
CALL { WITH s
	CALL { WITH s
		OPTIONAL MATCH (s)-[:AFFECTS]->(f:Asset {tenant_id: $tenant})
		RETURN f AS first, null AS model, f AS asset
		UNION ALL
		WITH s MATCH (s)-[:AFFECTS]->(f:Asset {tenant_id: $tenant})<-[:DEPLOYS_TO]-(m:Model {tenant_id: $tenant})-[:DEPLOYS_TO]->(a:Asset {tenant_id: $tenant})
		RETURN f AS first, m AS model, a AS asset
		UNION ALL
		WITH s MATCH (s)-[:AFFECTS]->(m:Model {tenant_id: $tenant})-[:DEPLOYS_TO]->(a:Asset {tenant_id: $tenant})
		RETURN null AS first, m AS model, a AS asset
	}` + strongest

	// strongest takes the worst class; of several, the shortest walk, and of those the first in the
	// order of its nodes. A chain begins with the zone that ends the path, hence one node where there
	// is no chain. At most eight zones around a zone count (graph.MaxNesting).
	strongest = `
	OPTIONAL MATCH (asset)-[:RESIDES_IN]->(z:Zone {tenant_id: $tenant})
	CALL { WITH z
		OPTIONAL MATCH p = (z)-[:RESIDES_IN*0..8]->(o:Zone {tenant_id: $tenant})
		RETURN nodes(p) AS chain, coalesce(o.class_rank, 0) AS stated
		ORDER BY stated DESC, length(p) LIMIT 1
	}
	WITH s, first, model, asset, z, chain, stated,
		CASE WHEN asset IS NULL THEN -1 WHEN stated = 0 AND asset.ot THEN 3 ELSE stated END AS class,
		CASE WHEN first IS NULL OR first = s THEN [] ELSE ['asset' + first.id] END +
		CASE WHEN model IS NULL OR model = s THEN [] ELSE ['model' + model.id] END +
		CASE WHEN model IS NULL OR asset IS NULL THEN [] ELSE ['asset' + asset.id] END +
		CASE WHEN z IS NULL THEN [] ELSE ['zone' + z.id] END AS path
	RETURN first, model, asset, chain, stated, class, path
	ORDER BY class DESC, size(path) + size(coalesce(chain, [null])), path LIMIT 1
}
RETURN s.id AS id, coalesce(s.name, s.title) AS name, first {.id, .name, .owner} AS first, asset {.id, .name, .owner} AS asset,
	CASE WHEN asset IS NULL THEN null ELSE model {.id, .name} END AS model,
	[n IN coalesce(chain, []) | n {.id, .name, .owner}] AS chain, stated, class`
)

// Consequences implements graph.Graph.
func (g *Graph) Consequences(ctx context.Context, tenant string, of []graph.Ref) (map[graph.Ref]graph.Consequence, error) {
	if err := errors.Join(graph.CheckTenant(tenant), graph.CheckRefs(of)); err != nil {
		return nil, err
	}
	ids := map[graph.Kind][]string{}
	for _, r := range of {
		ids[r.Kind] = append(ids[r.Kind], r.ID)
	}
	var out map[graph.Ref]graph.Consequence
	err := g.read(ctx, func(ctx context.Context, tx neo4j.ManagedTransaction) error {
		out = make(map[graph.Ref]graph.Consequence, len(of)) // the driver may run this again
		for kind, text := range map[graph.Kind]string{graph.KindAsset: fromAsset, graph.KindModel: fromModel, graph.KindFinding: fromFinding} {
			if len(ids[kind]) == 0 {
				continue
			}
			params := map[string]any{"tenant": tenant, "ids": ids[kind]}
			err := query(ctx, tx, text, params, func(r *record) error {
				w := walk(kind, r)
				out[w.Start] = w.Consequence()
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func walk(kind graph.Kind, r *record) *graph.Walk {
	class, stated := r.number("class"), r.number("stated")
	w := &graph.Walk{
		Start: graph.Ref{Kind: kind, ID: r.text("id")}, StartName: r.text("name"),
		First: r.named("first"), Model: r.named("model"), Asset: r.named("asset"),
		Class: graph.ClassOf(class), Assumed: class > stated,
	}
	for _, z := range value[[]any](r, "chain") {
		m, _ := z.(map[string]any)
		n := named(m)
		w.Chain = append(w.Chain, graph.Zone{ID: n.ID, Name: n.Name, Owner: n.Owner})
	}
	return w
}
