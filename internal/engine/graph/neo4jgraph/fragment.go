package neo4jgraph

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"github.com/aluskort/aluskort/internal/engine/graph"
)

// The queries of a walk by rounds. A pattern of variable length would list every way through the
// graph, of which a dense one has more than anyone can wait for; rounds look at each node once.
const (
	startAsset = `MATCH (a:Asset {tenant_id: $tenant, id: $id}) RETURN a.name AS name, a.ot AS ot`
	connected  = `UNWIND $ids AS id
MATCH (a:Asset {tenant_id: $tenant, id: id})-[:CONNECTS_TO]->(b:Asset {tenant_id: $tenant})
RETURN a.id AS from, b.id AS to, b.name AS name, b.ot AS ot LIMIT $limit`
	deployedOn = `UNWIND $ids AS id
MATCH (a:Asset {tenant_id: $tenant, id: id})<-[:DEPLOYS_TO]-(b:Model {tenant_id: $tenant})
RETURN a.id AS from, b.id AS to, b.name AS name, false AS ot LIMIT $limit`
	deploysTo = `UNWIND $ids AS id
MATCH (a:Model {tenant_id: $tenant, id: id})-[:DEPLOYS_TO]->(b:Asset {tenant_id: $tenant})
RETURN a.id AS from, b.id AS to, b.name AS name, b.ot AS ot LIMIT $limit`
	standing = `UNWIND $ids AS id
MATCH (a:Asset {tenant_id: $tenant, id: id})-[:RESIDES_IN]->(z:Zone {tenant_id: $tenant})
RETURN a.id AS asset, z.id AS zone`
	allZones = `MATCH (z:Zone {tenant_id: $tenant})
OPTIONAL MATCH (z)-[:RESIDES_IN]->(o:Zone {tenant_id: $tenant})
RETURN z.id AS id, z.name AS name, z.owner AS owner, z.class_rank AS rank, coalesce(o.id, '') AS within`
)

// maxArcs bounds the ways between the nodes of one answer.
const maxArcs = 500_000

// BlastRadius implements graph.Graph.
func (g *Graph) BlastRadius(ctx context.Context, tenant, asset string, b graph.Bounds) (graph.Radius, error) {
	b, err := b.Checked()
	if err := errors.Join(err, graph.CheckTenant(tenant), graph.CheckRef(graph.Ref{Kind: graph.KindAsset, ID: asset})); err != nil {
		return graph.Radius{}, err
	}
	var out graph.Radius
	err = g.read(ctx, func(ctx context.Context, tx neo4j.ManagedTransaction) error {
		f := &fetch{ctx: ctx, tx: tx, tenant: tenant, b: b}
		if err := f.around(asset); err != nil {
			return err
		}
		out = f.out.Radius()
		return nil
	})
	return out, err
}

// Paths implements graph.Graph.
func (g *Graph) Paths(ctx context.Context, tenant, asset, zone string, k int, b graph.Bounds) ([]graph.Path, error) {
	b, err := b.Checked()
	if err := errors.Join(err, graph.CheckPaths(tenant, asset, zone, k)); err != nil {
		return nil, err
	}
	var out []graph.Path
	err = g.read(ctx, func(ctx context.Context, tx neo4j.ManagedTransaction) error {
		f := &fetch{ctx: ctx, tx: tx, tenant: tenant, b: b}
		if err := f.around(asset); err != nil {
			return err
		}
		if _, ok := f.out.Zones[zone]; !ok {
			return fmt.Errorf("%w: %s", graph.ErrNotFound, graph.Ref{Kind: graph.KindZone, ID: zone})
		}
		out, err = f.out.Paths(zone, k, b)
		return err
	})
	return out, err
}

// fetch reads a fragment.
type fetch struct {
	ctx    context.Context
	tx     neo4j.ManagedTransaction
	tenant string
	b      graph.Bounds
	out    graph.Fragment
}

func (f *fetch) params(key string, v any) map[string]any {
	return map[string]any{"tenant": f.tenant, key: v, "limit": maxArcs + 1}
}

func (f *fetch) around(asset string) error {
	start := graph.Ref{Kind: graph.KindAsset, ID: asset}
	f.out = graph.Fragment{Start: start, Nodes: map[graph.Ref]graph.Reached{}, Zones: map[string]graph.Zone{}}
	err := query(f.ctx, f.tx, startAsset, f.params("id", asset), func(r *record) error {
		f.out.Nodes[start] = graph.Reached{Name: r.text("name"), OT: r.flag("ot")}
		return nil
	})
	if err == nil && len(f.out.Nodes) == 0 {
		err = fmt.Errorf("%w: %s", graph.ErrNotFound, start)
	}
	if err == nil {
		err = f.rounds(start)
	}
	if err == nil {
		err = f.places()
	}
	return err
}

// rounds reads one hop after the other.
func (f *fetch) rounds(start graph.Ref) error {
	front := []graph.Ref{start}
	for hop := 0; hop < f.b.Hops && len(front) > 0; hop++ {
		assets, err := f.round(connected, front, graph.Arc{Relation: graph.ConnectsTo}, graph.KindAsset)
		if err != nil {
			return err
		}
		models, err := f.round(deployedOn, front, graph.Arc{Relation: graph.DeploysTo, Back: true}, graph.KindModel)
		if err != nil {
			return err
		}
		over, err := f.round(deploysTo, models, graph.Arc{Relation: graph.DeploysTo}, graph.KindAsset)
		if err != nil {
			return err
		}
		front = slices.Concat(assets, over)
	}
	return nil
}

// round reads the arcs of one kind that begin at the front and returns the nodes that are new.
func (f *fetch) round(text string, front []graph.Ref, like graph.Arc, to graph.Kind) ([]graph.Ref, error) {
	if len(front) == 0 {
		return nil, nil
	}
	var arcs []graph.Arc
	names := map[graph.Ref]graph.Reached{}
	err := query(f.ctx, f.tx, text, f.params("ids", ids(front)), func(r *record) error {
		a := like
		a.From, a.To = graph.Ref{Kind: front[0].Kind, ID: r.text("from")}, graph.Ref{Kind: to, ID: r.text("to")}
		names[a.To] = graph.Reached{Name: r.text("name"), OT: r.flag("ot")}
		arcs = append(arcs, a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if f.out.Arcs = append(f.out.Arcs, arcs...); len(f.out.Arcs) > maxArcs {
		return nil, fmt.Errorf("%w: more than %d edges around %s", graph.ErrTooLarge, maxArcs, f.out.Start)
	}
	return f.out.Grow(arcs, names, f.b)
}

func ids(refs []graph.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = r.ID
	}
	return out
}

// places reads where the assets stand.
func (f *fetch) places() error {
	var assets []string
	for r := range f.out.Nodes {
		if r.Kind == graph.KindAsset {
			assets = append(assets, r.ID)
		}
	}
	err := query(f.ctx, f.tx, standing, f.params("ids", assets), func(r *record) error {
		f.out.Stands = append(f.out.Stands, graph.Stand{Asset: r.text("asset"), Zone: r.text("zone")})
		return nil
	})
	if err != nil {
		return err
	}
	return query(f.ctx, f.tx, allZones, f.params("ids", nil), func(r *record) error {
		z := graph.Zone{ID: r.text("id"), Name: r.text("name"), Owner: r.text("owner"), Class: graph.ClassOf(r.number("rank")), Within: r.text("within")}
		f.out.Zones[z.ID] = z
		return nil
	})
}
