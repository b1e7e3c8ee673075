package sqlgraph

import (
	"context"
	"errors"

	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// strongest finds, for each node of a VALUES list, the walk of the worst class. $1 is the tenant
// and $2 a text that sorts before every character of an id: paths joined with it sort as lists.
//
//	up      each zone with those around it
//	strong  of these the worst, the nearest first
//	hit     the asset or model that a start is, or that a finding affects
//	carrier the models on the way
//	reached the assets at which a walk ends
//	placed  their zones, with class, length and path
//
// CROSS JOIN keeps SQLite from looking through the edges first, which without statistics it does,
// and MATERIALIZED from computing a part again for each row of the next.
const strongest = `,
up(zone, top, depth, class) AS (
	SELECT node, node, 0, class FROM graph_node WHERE tenant = $1 AND kind = 'zone'
	UNION ALL
	SELECT u.zone, p.node, u.depth + 1, p.class
	FROM up u CROSS JOIN graph_node z CROSS JOIN graph_node p
	WHERE u.depth < 8 AND z.node = u.top AND p.tenant = $1 AND p.kind = 'zone' AND p.id = z.within
),
strong AS MATERIALIZED (
	SELECT zone, depth, class FROM (
		SELECT zone, depth, class, ROW_NUMBER() OVER (PARTITION BY zone ORDER BY class DESC, depth) AS place FROM up
	) x WHERE place = 1
),
origin AS MATERIALIZED (
	SELECT DISTINCT n.node, n.kind FROM r CROSS JOIN graph_node n WHERE n.tenant = $1 AND n.kind = r.kind AND n.id = r.id
),
hit AS MATERIALIZED (
	SELECT node AS origin, kind, node, '' AS path, 0 AS length FROM origin WHERE kind <> 'finding'
	UNION ALL
	SELECT o.node, t.kind, t.node, $2 || t.kind || t.id, 1
	FROM origin o CROSS JOIN graph_edge e CROSS JOIN graph_node t
	WHERE o.kind = 'finding' AND e.tenant = $1 AND e.source = o.node AND e.relation = 'AFFECTS' AND t.node = e.target
),
carrier AS MATERIALIZED (
	SELECT origin, 0 AS first, node AS model, path, length FROM hit WHERE kind = 'model'
	UNION ALL
	SELECT h.origin, h.node, m.node, h.path || $2 || m.kind || m.id, h.length + 1
	FROM hit h CROSS JOIN graph_edge e CROSS JOIN graph_node m
	WHERE h.kind = 'asset' AND e.tenant = $1 AND e.source = h.node AND e.relation = 'DEPLOYED_ON' AND m.node = e.target
),
reached AS MATERIALIZED (
	SELECT origin, node AS first, 0 AS model, node AS asset, path, length FROM hit WHERE kind = 'asset'
	UNION ALL
	SELECT c.origin, c.first, c.model, a.node, c.path || $2 || a.kind || a.id, c.length + 1
	FROM carrier c CROSS JOIN graph_edge e CROSS JOIN graph_node a
	WHERE e.tenant = $1 AND e.source = c.model AND e.relation = 'DEPLOYS_TO' AND a.node = e.target AND a.node <> c.first
),
placed AS (
	SELECT w.origin, w.first, w.model, w.asset, z.node AS zone, COALESCE(s.depth, 0) AS depth,
		COALESCE(s.class, 0) AS stated,
		CASE WHEN a.ot = 1 AND COALESCE(s.class, 0) = 0 THEN 3 ELSE COALESCE(s.class, 0) END AS class,
		w.length + CASE WHEN z.node IS NULL THEN 0 ELSE 1 + COALESCE(s.depth, 0) END AS length,
		w.path || CASE WHEN z.node IS NULL THEN '' ELSE $2 || z.kind || z.id END AS path
	FROM reached w
	CROSS JOIN graph_node a
	LEFT JOIN graph_edge e ON e.tenant = $1 AND e.source = w.asset AND e.relation = 'RESIDES_IN'
	LEFT JOIN graph_node z ON z.node = e.target
	LEFT JOIN strong s ON s.zone = e.target
	WHERE a.node = w.asset
),
best AS (
	SELECT * FROM (
		SELECT p.*, ROW_NUMBER() OVER (PARTITION BY origin ORDER BY class DESC, length, path) AS place FROM placed p
	) x WHERE place = 1
)
SELECT o.kind, o.id, o.name, COALESCE(f.id, ''), COALESCE(f.name, ''), COALESCE(m.id, ''), COALESCE(m.name, ''),
	COALESCE(a.id, ''), COALESCE(a.name, ''), COALESCE(a.owner, ''), COALESCE(z.id, ''), COALESCE(b.depth, 0),
	COALESCE(b.stated, 0), COALESCE(b.class, 0)
FROM origin s
JOIN graph_node o ON o.node = s.node
LEFT JOIN best b ON b.origin = s.node
LEFT JOIN graph_node f ON f.node = b.first
LEFT JOIN graph_node m ON m.node = b.model
LEFT JOIN graph_node a ON a.node = b.asset
LEFT JOIN graph_node z ON z.node = b.zone`

// separator sorts before every character that an id may have.
const separator = "\x01"

// Consequences implements graph.Graph.
func (g *Graph) Consequences(ctx context.Context, tenant string, of []graph.Ref) (map[graph.Ref]graph.Consequence, error) {
	if err := errors.Join(graph.CheckTenant(tenant), graph.CheckRefs(of)); err != nil {
		return nil, err
	}
	var out map[graph.Ref]graph.Consequence
	err := g.view(ctx, func(tx store.Tx) error {
		out = make(map[graph.Ref]graph.Consequence, len(of))
		zones := &zones{tx: tx, tenant: tenant, known: map[string]graph.Zone{}}
		return chunks(of, func(n int, args []any) error {
			found, err := walks(tx, tenant, n, args)
			if err != nil {
				return err
			}
			for i := range found {
				w := &found[i]
				if w.Chain, err = zones.chain(w.zone, w.depth); err != nil {
					return err
				}
				out[w.Start] = w.Consequence()
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// walk is a row of strongest.
type walk struct {
	graph.Walk
	zone  string
	depth int
}

func walks(tx store.Tx, tenant string, n int, args []any) ([]walk, error) {
	rows, err := tx.Query(`WITH RECURSIVE r(kind, id) AS (VALUES `+named(n, 3)+`)`+strongest, append([]any{tenant, separator}, args...)...)
	if err != nil {
		return nil, err
	}
	var out []walk
	err = each(rows, func() error {
		var w walk
		var kind string
		var stated, class int
		err := rows.Scan(&kind, &w.Start.ID, &w.StartName, &w.First.ID, &w.First.Name, &w.Model.ID, &w.Model.Name,
			&w.Asset.ID, &w.Asset.Name, &w.Asset.Owner, &w.zone, &w.depth, &stated, &class)
		w.Start.Kind = graph.Kind(kind)
		w.Class, w.Assumed = graph.ClassOf(class), class != stated
		out = append(out, w)
		return err
	})
	return out, err
}

// zones reads zones one by one, each once.
type zones struct {
	tx     store.Tx
	tenant string
	known  map[string]graph.Zone
}

func (z *zones) get(id string) (graph.Zone, error) {
	if v, ok := z.known[id]; ok {
		return v, nil
	}
	v := graph.Zone{ID: id}
	var class int
	err := z.tx.QueryRow(`SELECT name, owner, class, within FROM graph_node WHERE tenant = $1 AND kind = 'zone' AND id = $2`, z.tenant, id).
		Scan(&v.Name, &v.Owner, &class, &v.Within)
	if err != nil {
		return v, err
	}
	v.Class = graph.ClassOf(class)
	z.known[id] = v
	return v, nil
}

// chain is a zone and depth zones around it.
func (z *zones) chain(id string, depth int) ([]graph.Zone, error) {
	var out []graph.Zone
	for ; id != "" && len(out) <= depth; id = out[len(out)-1].Within {
		v, err := z.get(id)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
