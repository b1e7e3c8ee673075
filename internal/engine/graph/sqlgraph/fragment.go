package sqlgraph

import (
	"context"
	"errors"
	"fmt"

	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// walkable is what can be reached from node $2 of tenant $1 within $3 half hops. Rows repeat a
// node once for each length of a way to it, at most $3 + 1 times. CROSS JOIN keeps SQLite from
// looking through the edges first, which without statistics it does.
const walkable = `WITH RECURSIVE walk(node, cost) AS (
	SELECT node, 0 FROM graph_node WHERE tenant = $1 AND node = $2
	UNION
	SELECT e.target, w.cost + CASE e.relation WHEN 'CONNECTS_TO' THEN 2 ELSE 1 END
	FROM walk w CROSS JOIN graph_edge e
	WHERE e.tenant = $1 AND e.source = w.node AND e.relation IN ('CONNECTS_TO', 'DEPLOYS_TO', 'DEPLOYED_ON')
		AND w.cost + CASE e.relation WHEN 'CONNECTS_TO' THEN 2 ELSE 1 END <= $3
)
`

// maxArcs bounds the ways between the nodes of one answer.
const maxArcs = 500_000

// BlastRadius implements graph.Graph.
func (g *Graph) BlastRadius(ctx context.Context, tenant, asset string, b graph.Bounds) (graph.Radius, error) {
	start := graph.Ref{Kind: graph.KindAsset, ID: asset}
	b, err := b.Checked()
	if err := errors.Join(err, graph.CheckTenant(tenant), graph.CheckRef(start)); err != nil {
		return graph.Radius{}, err
	}
	var out graph.Radius
	err = g.view(ctx, func(tx store.Tx) error {
		f := &fetch{tx: tx, tenant: tenant, b: b}
		if err := f.around(start); err != nil {
			return err
		}
		out = f.out.Radius()
		return nil
	})
	return out, err
}

// Paths implements graph.Graph.
func (g *Graph) Paths(ctx context.Context, tenant, asset, zone string, k int, b graph.Bounds) ([]graph.Path, error) {
	start := graph.Ref{Kind: graph.KindAsset, ID: asset}
	b, err := b.Checked()
	if err := errors.Join(err, graph.CheckPaths(tenant, asset, zone, k)); err != nil {
		return nil, err
	}
	var out []graph.Path
	err = g.view(ctx, func(tx store.Tx) error {
		target := graph.Ref{Kind: graph.KindZone, ID: zone}
		if _, err := number(tx, tenant, target); err != nil {
			return err
		}
		f := &fetch{tx: tx, tenant: tenant, b: b}
		if err := f.around(start); err != nil {
			return err
		}
		if err := f.arcs(); err != nil {
			return err
		}
		out, err = f.out.Paths(zone, k, b)
		return err
	})
	return out, err
}

// number looks up a node that must be there.
func number(tx store.Tx, tenant string, r graph.Ref) (int64, error) {
	at, err := numbers(tx, tenant, []graph.Ref{r})
	if err != nil {
		return 0, err
	}
	n, ok := at[r]
	if !ok {
		return 0, fmt.Errorf("%w: %s", graph.ErrNotFound, r)
	}
	return n, nil
}

// fetch reads a fragment.
type fetch struct {
	tx     store.Tx
	tenant string
	b      graph.Bounds
	node   int64
	refs   map[int64]graph.Ref
	out    graph.Fragment
}

// around reads what can be reached, and in which zones it stands.
func (f *fetch) around(start graph.Ref) error {
	node, err := number(f.tx, f.tenant, start)
	if err != nil {
		return err
	}
	f.node = node
	f.refs = map[int64]graph.Ref{}
	f.out = graph.Fragment{Start: start, Nodes: map[graph.Ref]graph.Reached{}, Zones: map[string]graph.Zone{}}
	for _, step := range []func() error{f.nodes, f.stands, f.zones} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// nodes reads one row more than the bounds can need: engines stop a recursion whose rows nobody
// asks for.
func (f *fetch) nodes() error {
	limit := (f.b.Nodes+1)*(2*f.b.Hops+1) + 1
	rows, err := f.tx.Query(walkable+`SELECT w.node, w.cost, n.kind, n.id, n.name, n.ot
FROM (SELECT node, cost FROM walk LIMIT $4) w CROSS JOIN graph_node n WHERE n.node = w.node`, f.tenant, f.node, 2*f.b.Hops, limit)
	if err != nil {
		return err
	}
	err = each(rows, func() error {
		var node, ot int64
		var kind, id string
		var n graph.Reached
		if err := rows.Scan(&node, &n.Cost, &kind, &id, &n.Name, &ot); err != nil {
			return err
		}
		r := graph.Ref{Kind: graph.Kind(kind), ID: id}
		n.OT = ot == 1
		if old, ok := f.out.Nodes[r]; !ok || n.Cost < old.Cost {
			f.out.Nodes[r], f.refs[node] = n, r
		}
		return nil
	})
	if err == nil && len(f.out.Nodes) > f.b.Nodes {
		err = graph.TooMany(f.out.Start, f.b)
	}
	return err
}

func (f *fetch) stands() error {
	rows, err := f.tx.Query(walkable+`SELECT a.node, z.id FROM (SELECT DISTINCT node FROM walk) a CROSS JOIN graph_edge e CROSS JOIN graph_node z
WHERE e.tenant = $1 AND e.source = a.node AND e.relation = 'RESIDES_IN' AND z.node = e.target`, f.tenant, f.node, 2*f.b.Hops)
	if err != nil {
		return err
	}
	return each(rows, func() error {
		var node int64
		var zone string
		err := rows.Scan(&node, &zone)
		f.out.Stands = append(f.out.Stands, graph.Stand{Asset: f.refs[node].ID, Zone: zone})
		return err
	})
}

func (f *fetch) zones() error {
	rows, err := f.tx.Query(`SELECT id, name, owner, class, within FROM graph_node WHERE tenant = $1 AND kind = 'zone'`, f.tenant)
	if err != nil {
		return err
	}
	return each(rows, func() error {
		var z graph.Zone
		var class int
		err := rows.Scan(&z.ID, &z.Name, &z.Owner, &class, &z.Within)
		z.Class = graph.ClassOf(class)
		f.out.Zones[z.ID] = z
		return err
	})
}

func (f *fetch) arcs() error {
	rows, err := f.tx.Query(walkable+`SELECT e.source, e.relation, e.target FROM (SELECT DISTINCT node FROM walk) a CROSS JOIN graph_edge e
WHERE e.tenant = $1 AND e.source = a.node AND e.relation IN ('CONNECTS_TO', 'DEPLOYS_TO', 'DEPLOYED_ON')
LIMIT $4`, f.tenant, f.node, 2*f.b.Hops, maxArcs+1)
	if err != nil {
		return err
	}
	err = each(rows, func() error {
		var from, to int64
		var relation string
		if err := rows.Scan(&from, &relation, &to); err != nil {
			return err
		}
		target, inside := f.refs[to]
		if !inside {
			return nil
		}
		a := graph.Arc{From: f.refs[from], To: target, Relation: graph.Relation(relation)}
		if a.Relation == deployedOn {
			a.Relation, a.Back = graph.DeploysTo, true
		}
		f.out.Arcs = append(f.out.Arcs, a)
		return nil
	})
	if err == nil && len(f.out.Arcs) > maxArcs {
		err = fmt.Errorf("%w: more than %d edges around %s", graph.ErrTooLarge, maxArcs, f.out.Start)
	}
	return err
}
