package neo4jgraph

import (
	"context"
	"fmt"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"github.com/aluskort/aluskort/internal/engine/graph"
)

// ownTenant comes first in every write: it makes writers of one tenant wait for each other, so
// that they cannot deadlock over the same nodes in different orders.
const ownTenant = `MERGE (t:Tenant {id: $tenant}) SET t.written_at = $at`

// labels are the labels of kinds.
var labels = map[graph.Kind]string{
	graph.KindAsset: "Asset", graph.KindZone: "Zone", graph.KindModel: "Model", graph.KindFinding: "Finding",
}

// shape is what an edge joins. Labels and relations cannot be parameters; they come from here.
type shape struct {
	relation graph.Relation
	from, to graph.Kind
}

var shapes = []shape{
	{graph.ResidesIn, graph.KindAsset, graph.KindZone},
	{graph.ConnectsTo, graph.KindAsset, graph.KindAsset},
	{graph.DeploysTo, graph.KindModel, graph.KindAsset},
	{graph.Affects, graph.KindFinding, graph.KindAsset},
	{graph.Affects, graph.KindFinding, graph.KindModel},
}

func (s *shape) merge() string {
	return fmt.Sprintf(`UNWIND $rows AS r
MATCH (a:%s {tenant_id: $tenant, id: r.from}) MATCH (b:%s {tenant_id: $tenant, id: r.to})
MERGE (a)-[e:%s]->(b) SET e.origin = $origin, e.written_at = $at
RETURN count(*) AS n`, labels[s.from], labels[s.to], s.relation)
}

func (s *shape) detach() string {
	return fmt.Sprintf(`UNWIND $rows AS r
MATCH (a:%s {tenant_id: $tenant, id: r.from})-[e:%s]->(b:%s {tenant_id: $tenant, id: r.to}) DELETE e`,
		labels[s.from], s.relation, labels[s.to])
}

// rows lists the edges of the shape, and what they are for a message.
func (s *shape) rows(edges []graph.Edge) []map[string]any {
	var out []map[string]any
	for _, e := range edges {
		if e.Relation == s.relation && e.From.Kind == s.from && e.To.Kind == s.to {
			out = append(out, map[string]any{"from": e.From.ID, "to": e.To.ID})
		}
	}
	return out
}

const (
	mergeAssets = `MATCH (t:Tenant {id: $tenant})
UNWIND $rows AS r
MERGE (n:Asset {tenant_id: $tenant, id: r.id})
SET n.name = r.name, n.type = r.type, n.criticality = r.criticality, n.owner = r.owner,
	n.ot = coalesce(n.ot, false) OR r.ot, n.origin = $origin, n.written_at = $at
MERGE (n)-[:OWNED_BY]->(t)`
	mergeMentions = `MATCH (t:Tenant {id: $tenant})
UNWIND $rows AS r
MERGE (n:Asset {tenant_id: $tenant, id: r.id})
ON CREATE SET n.name = r.name, n.type = r.type, n.criticality = r.criticality, n.owner = r.owner,
	n.origin = $origin, n.written_at = $at
SET n.ot = coalesce(n.ot, false) OR r.ot
MERGE (n)-[:OWNED_BY]->(t)`
	mergeZones = `UNWIND $rows AS r
MERGE (n:Zone {tenant_id: $tenant, id: r.id})
SET n.name = r.name, n.owner = r.owner, n.consequence_class = r.class, n.class_rank = r.rank, n.origin = $origin, n.written_at = $at
WITH n
OPTIONAL MATCH (n)-[e:RESIDES_IN]->(:Zone {tenant_id: $tenant})
DELETE e`
	mergeAround = `UNWIND $rows AS r
MATCH (n:Zone {tenant_id: $tenant, id: r.id}) MATCH (o:Zone {tenant_id: $tenant, id: r.within})
MERGE (n)-[:RESIDES_IN]->(o)
RETURN count(*) AS n`
	mergeModels = `UNWIND $rows AS r
MERGE (n:Model {tenant_id: $tenant, id: r.id})
SET n.name = r.name, n.version = r.version, n.hash = r.hash, n.origin = $origin, n.written_at = $at`
	mergeFindings = `UNWIND $rows AS r
MERGE (n:Finding {tenant_id: $tenant, id: r.id})
SET n.title = r.title, n.source_tool = r.tool, n.severity = r.severity, n.origin = $origin, n.written_at = $at`
)

func remove(label string) string {
	return `UNWIND $ids AS id MATCH (n:` + label + ` {tenant_id: $tenant, id: id}) DETACH DELETE n`
}

// Apply implements graph.Graph.
func (g *Graph) Apply(ctx context.Context, tenant string, c *graph.Change) error {
	if err := graph.CheckTenant(tenant); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	return g.write(ctx, func(ctx context.Context, tx neo4j.ManagedTransaction) error {
		w := &writer{ctx: ctx, tx: tx, c: c.Compact(), tenant: tenant}
		for _, step := range []func() error{w.own, w.detach, w.remove, w.nodes, w.around, w.edges} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
}

// writer is one Apply within its transaction.
type writer struct {
	ctx    context.Context
	tx     neo4j.ManagedTransaction
	c      *graph.Change
	tenant string
}

// params are those of every write, with more.
func (w *writer) params(key string, v any) map[string]any {
	return map[string]any{"tenant": w.tenant, "origin": w.c.Origin, "at": w.c.At.UnixMicro(), key: v}
}

func (w *writer) own() error { return run(w.ctx, w.tx, ownTenant, w.params("rows", nil)) }

func (w *writer) detach() error {
	for i := range shapes {
		s := &shapes[i]
		if rows := s.rows(w.c.Detach); len(rows) > 0 {
			if err := run(w.ctx, w.tx, s.detach(), w.params("rows", rows)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) remove() error {
	for kind, label := range labels {
		var ids []string
		for _, r := range w.c.Remove {
			if r.Kind == kind {
				ids = append(ids, r.ID)
			}
		}
		if len(ids) > 0 {
			if err := run(w.ctx, w.tx, remove(label), w.params("ids", ids)); err != nil {
				return err
			}
		}
	}
	return nil
}

// rowsOf writes a list down as parameters.
func rowsOf[T any](list []T, row func(*T) map[string]any) []map[string]any {
	out := make([]map[string]any, len(list))
	for i := range list {
		out[i] = row(&list[i])
	}
	return out
}

func assetParams(a *graph.Asset) map[string]any {
	return map[string]any{"id": a.ID, "name": a.Name, "type": a.Type, "criticality": a.Criticality, "owner": a.Owner, "ot": a.OT}
}

func (w *writer) nodes() error {
	for _, part := range []struct {
		text string
		rows []map[string]any
	}{
		{mergeAssets, rowsOf(w.c.Assets, assetParams)},
		{mergeMentions, rowsOf(w.c.Mentions, assetParams)},
		{mergeZones, rowsOf(w.c.Zones, func(z *graph.Zone) map[string]any {
			return map[string]any{"id": z.ID, "name": z.Name, "owner": z.Owner, "class": string(z.Class), "rank": z.Class.Rank()}
		})},
		{mergeModels, rowsOf(w.c.Models, func(m *graph.Model) map[string]any {
			return map[string]any{"id": m.ID, "name": m.Name, "version": m.Version, "hash": m.Hash}
		})},
		{mergeFindings, rowsOf(w.c.Findings, func(f *graph.Finding) map[string]any {
			return map[string]any{"id": f.ID, "title": f.Title, "tool": f.Tool, "severity": f.Severity}
		})},
	} {
		if len(part.rows) == 0 {
			continue
		}
		if err := run(w.ctx, w.tx, part.text, w.params("rows", part.rows)); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) around() error {
	var rows []map[string]any
	for i := range w.c.Zones {
		if z := &w.c.Zones[i]; z.Within != "" {
			rows = append(rows, map[string]any{"id": z.ID, "within": z.Within})
		}
	}
	return w.all(mergeAround, rows, "a zone around another")
}

func (w *writer) edges() error {
	for i := range shapes {
		s := &shapes[i]
		what := fmt.Sprintf("an end of an edge %s from %s to %s", s.relation, s.from, s.to)
		if err := w.all(s.merge(), s.rows(w.c.Edges), what); err != nil {
			return err
		}
	}
	return nil
}

// all runs a query that counts the rows for which it found both ends.
func (w *writer) all(text string, rows []map[string]any, what string) error {
	if len(rows) == 0 {
		return nil
	}
	n := 0
	err := query(w.ctx, w.tx, text, w.params("rows", rows), func(r *record) error {
		n = r.number("n")
		return nil
	})
	if err == nil && n != len(rows) {
		err = fmt.Errorf("%w: %s: %d of %d are there", graph.ErrNotFound, what, n, len(rows))
	}
	return err
}

// sweepEdges and sweepNodes forget what an origin did not write again. The relations between zones
// belong to their zones and have no origin.
const sweepEdges = `MATCH (a:%s {tenant_id: $tenant})-[e]->(b {tenant_id: $tenant})
WHERE e.origin = $origin AND e.written_at < $at
DELETE e RETURN count(*) AS n`

const sweepNodes = `MATCH (n:%s {tenant_id: $tenant})
WHERE n.origin = $origin AND n.written_at < $at
DETACH DELETE n RETURN count(*) AS n`

// Sweep implements graph.Graph.
func (g *Graph) Sweep(ctx context.Context, tenant, origin string, before time.Time) (int, error) {
	if err := graph.CheckTenant(tenant); err != nil {
		return 0, err
	}
	total := 0
	err := g.write(ctx, func(ctx context.Context, tx neo4j.ManagedTransaction) error {
		total = 0 // the driver may run this again
		params := map[string]any{"tenant": tenant, "origin": origin, "at": before.UnixMicro()}
		if err := run(ctx, tx, ownTenant, params); err != nil {
			return err
		}
		for _, text := range []string{sweepEdges, sweepNodes} {
			for _, label := range labels {
				err := query(ctx, tx, fmt.Sprintf(text, label), params, func(r *record) error {
					total += r.number("n")
					return nil
				})
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	return total, err
}
