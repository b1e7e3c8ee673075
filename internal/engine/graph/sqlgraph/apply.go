package sqlgraph

import (
	"context"
	"fmt"
	"time"

	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// Apply implements graph.Graph.
func (g *Graph) Apply(ctx context.Context, tenant string, c *graph.Change) error {
	if err := graph.CheckTenant(tenant); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	w := &write{tenant: tenant, c: c.Compact(), at: micros(c.At)}
	return g.update(ctx, tenant, w.run)
}

// write is one Apply.
type write struct {
	tenant string
	c      *graph.Change
	at     int64
}

func (w *write) run(tx store.Tx) error {
	for _, step := range []func(store.Tx) error{w.detach, w.remove, w.nodes, w.mentions, w.around, w.edges} {
		if err := step(tx); err != nil {
			return err
		}
	}
	return nil
}

func (w *write) detach(tx store.Tx) error {
	at, err := numbers(tx, w.tenant, ends(w.c.Detach))
	if err != nil {
		return err
	}
	for _, e := range w.c.Detach {
		from, to := at[e.From], at[e.To]
		if err := w.unlink(tx, from, e.Relation, to); err != nil {
			return err
		}
		if e.Relation == graph.DeploysTo {
			if err := w.unlink(tx, to, deployedOn, from); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *write) unlink(tx store.Tx, from int64, r graph.Relation, to int64) error {
	_, err := tx.Exec(`DELETE FROM graph_edge WHERE tenant = $1 AND source = $2 AND relation = $3 AND target = $4`,
		w.tenant, from, string(r), to)
	return err
}

func (w *write) remove(tx store.Tx) error {
	at, err := numbers(tx, w.tenant, w.c.Remove)
	if err != nil {
		return err
	}
	for r, node := range at {
		if err := forget(tx, w.tenant, r, node); err != nil {
			return err
		}
	}
	return nil
}

// forget takes one node away with its edges.
func forget(tx store.Tx, tenant string, r graph.Ref, node int64) error {
	for _, q := range []string{
		`DELETE FROM graph_edge WHERE tenant = $1 AND source = $2`,
		`DELETE FROM graph_edge WHERE tenant = $1 AND target = $2`,
		`DELETE FROM graph_node WHERE tenant = $1 AND node = $2`,
	} {
		if _, err := tx.Exec(q, tenant, node); err != nil {
			return err
		}
	}
	if r.Kind != graph.KindZone {
		return nil
	}
	_, err := tx.Exec(`UPDATE graph_node SET within = '' WHERE tenant = $1 AND within = $2`, tenant, r.ID)
	return err
}

// row is a node as the table has it.
type row struct {
	kind                                      graph.Kind
	id, name, typ, criticality, owner, within string
	class, ot                                 int
}

func (w *write) nodes(tx store.Tx) error {
	var rows []row
	for i := range w.c.Assets {
		rows = append(rows, assetRow(&w.c.Assets[i]))
	}
	for i := range w.c.Zones {
		z := &w.c.Zones[i]
		rows = append(rows, row{kind: graph.KindZone, id: z.ID, name: z.Name, owner: z.Owner, within: z.Within, class: z.Class.Rank()})
	}
	for _, m := range w.c.Models {
		rows = append(rows, row{kind: graph.KindModel, id: m.ID, name: m.Name, typ: m.Version, criticality: m.Hash})
	}
	for _, f := range w.c.Findings {
		rows = append(rows, row{kind: graph.KindFinding, id: f.ID, name: f.Title, typ: f.Tool, criticality: f.Severity})
	}
	return w.insert(tx, rows, `ON CONFLICT (tenant, kind, id) DO UPDATE SET name = excluded.name, type = excluded.type,
	criticality = excluded.criticality, owner = excluded.owner, class = excluded.class, within = excluded.within,
	ot = CASE WHEN excluded.ot > graph_node.ot THEN excluded.ot ELSE graph_node.ot END,
	origin = excluded.origin, written_at = excluded.written_at`)
}

func assetRow(a *graph.Asset) row {
	r := row{kind: graph.KindAsset, id: a.ID, name: a.Name, typ: a.Type, criticality: a.Criticality, owner: a.Owner}
	if a.OT {
		r.ot = 1
	}
	return r
}

func (w *write) mentions(tx store.Tx) error {
	rows := make([]row, len(w.c.Mentions))
	for i := range w.c.Mentions {
		rows[i] = assetRow(&w.c.Mentions[i])
	}
	return w.insert(tx, rows, `ON CONFLICT (tenant, kind, id) DO UPDATE SET ot = excluded.ot WHERE excluded.ot > graph_node.ot`)
}

func (w *write) insert(tx store.Tx, rows []row, conflict string) error {
	return store.BulkInsert(tx, `INSERT INTO graph_node
	(tenant, kind, id, name, type, criticality, owner, class, ot, within, origin, written_at)`, 12, len(rows), func(i, col int) any {
		r := &rows[i]
		return [...]any{
			w.tenant, string(r.kind), r.id, r.name, r.typ, r.criticality, r.owner, r.class, r.ot, r.within, w.c.Origin, w.at,
		}[col]
	}, conflict)
}

// around checks that the zones around the zones of the change are there.
func (w *write) around(tx store.Tx) error {
	var want []graph.Ref
	for i := range w.c.Zones {
		if z := w.c.Zones[i].Within; z != "" {
			want = append(want, graph.Ref{Kind: graph.KindZone, ID: z})
		}
	}
	at, err := numbers(tx, w.tenant, want)
	if err != nil {
		return err
	}
	for _, r := range want {
		if _, ok := at[r]; !ok {
			return fmt.Errorf("%w: %s, named as the zone around another", graph.ErrNotFound, r)
		}
	}
	return nil
}

// link is an edge by the numbers of its nodes.
type link struct {
	from, to int64
	relation graph.Relation
}

func (w *write) edges(tx store.Tx) error {
	at, err := numbers(tx, w.tenant, ends(w.c.Edges))
	if err != nil {
		return err
	}
	links := make([]link, 0, len(w.c.Edges))
	for _, e := range w.c.Edges {
		for _, r := range []graph.Ref{e.From, e.To} {
			if _, ok := at[r]; !ok {
				return fmt.Errorf("%w: %s, end of an edge %s", graph.ErrNotFound, r, e.Relation)
			}
		}
		links = append(links, link{at[e.From], at[e.To], e.Relation})
		if e.Relation == graph.DeploysTo {
			links = append(links, link{at[e.To], at[e.From], deployedOn})
		}
	}
	return store.BulkInsert(tx, `INSERT INTO graph_edge (tenant, source, relation, target, origin, written_at)`, 6, len(links), func(i, col int) any {
		l := &links[i]
		return [...]any{w.tenant, l.from, string(l.relation), l.to, w.c.Origin, w.at}[col]
	}, `ON CONFLICT (source, relation, target) DO UPDATE SET origin = excluded.origin, written_at = excluded.written_at`)
}

// ends lists the nodes that edges name, each once.
func ends(edges []graph.Edge) []graph.Ref {
	seen := make(map[graph.Ref]bool, 2*len(edges))
	var out []graph.Ref
	for _, e := range edges {
		for _, r := range []graph.Ref{e.From, e.To} {
			if !seen[r] {
				seen[r] = true
				out = append(out, r)
			}
		}
	}
	return out
}

// Sweep implements graph.Graph.
func (g *Graph) Sweep(ctx context.Context, tenant, origin string, before time.Time) (int, error) {
	if err := graph.CheckTenant(tenant); err != nil {
		return 0, err
	}
	var n int
	err := g.update(ctx, tenant, func(tx store.Tx) (err error) {
		n, err = sweep(tx, tenant, origin, micros(before))
		return err
	})
	return n, err
}

func sweep(tx store.Tx, tenant, origin string, before int64) (int, error) {
	var edges int64
	for _, twin := range []bool{false, true} {
		op := "<>"
		if twin {
			op = "="
		}
		k, err := tx.Exec(`DELETE FROM graph_edge WHERE tenant = $1 AND origin = $2 AND written_at < $3 AND relation `+op+` $4`,
			tenant, origin, before, string(deployedOn))
		if err != nil {
			return 0, err
		}
		if !twin {
			edges = k
		}
	}
	gone := map[graph.Ref]int64{}
	rows, err := tx.Query(`SELECT kind, id, node FROM graph_node WHERE tenant = $1 AND origin = $2 AND written_at < $3`, tenant, origin, before)
	if err != nil {
		return 0, err
	}
	err = each(rows, func() error {
		var kind, id string
		var node int64
		if err := rows.Scan(&kind, &id, &node); err != nil {
			return err
		}
		gone[graph.Ref{Kind: graph.Kind(kind), ID: id}] = node
		return nil
	})
	if err != nil {
		return 0, err
	}
	for r, node := range gone {
		if err := forget(tx, tenant, r, node); err != nil {
			return 0, err
		}
	}
	return int(edges) + len(gone), nil
}
