// Package sqlgraph is the asset graph in the relational store: two tables and recursive queries,
// on every engine that package store has. It is the embedded graph, and what answers in production
// where no graph database is configured.
package sqlgraph

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// deployedOn is the twin of graph.DeploysTo that leads from the asset to the model.
const deployedOn graph.Relation = "DEPLOYED_ON"

// Graph implements graph.Graph in a database that has the migrations of store/schema. It owns
// nothing: whoever opened the database closes it.
type Graph struct{ db store.DB }

// New returns the graph of a database.
func New(db store.DB) *Graph { return &Graph{db: db} }

var _ graph.Graph = (*Graph)(nil)

// Health implements graph.Graph.
func (g *Graph) Health(ctx context.Context) error {
	var n int64
	return g.view(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM (SELECT 1 FROM graph_node LIMIT 1) x`).Scan(&n)
	})
}

// Close implements graph.Graph; the database stays open.
func (*Graph) Close() error { return nil }

// view runs a question. PostgreSQL is told to join in the order in which the queries are written:
// with statistics from before an import it walks from all edges to the few nodes asked about.
func (g *Graph) view(ctx context.Context, fn func(tx store.Tx) error) error {
	return typed(ctx, g.db.View(ctx, func(tx store.Tx) error {
		if g.db.Dialect() == store.Postgres {
			if _, err := tx.Exec(`SET LOCAL join_collapse_limit = 1`); err != nil {
				return err
			}
		}
		return fn(tx)
	}))
}

// update runs a change. On PostgreSQL writers of one tenant wait for each other, so that they
// cannot deadlock over the same nodes in different orders; SQLite has one writer anyway.
func (g *Graph) update(ctx context.Context, tenant string, fn func(tx store.Tx) error) error {
	return typed(ctx, g.db.Update(ctx, func(tx store.Tx) error {
		if g.db.Dialect() == store.Postgres {
			if _, err := tx.Exec(`SELECT pg_advisory_xact_lock(hashtextextended('aluskort graph ' || CAST($1 AS TEXT), 0))`, tenant); err != nil {
				return err
			}
		}
		return fn(tx)
	}))
}

// typed puts errors of the store into the terms of the graph.
func typed(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, graph.ErrNotFound), errors.Is(err, graph.ErrTooLarge), errors.Is(err, graph.ErrInvalid):
		return err
	case errors.Is(err, store.ErrUnavailable), ctx.Err() != nil:
		return fmt.Errorf("%w: %w", graph.ErrUnavailable, err)
	case errors.Is(err, store.ErrConstraint):
		return fmt.Errorf("%w: %w", graph.ErrInvalid, err)
	}
	return err
}

// maxValues is how many nodes one query names; lists are padded to powers of two, so that few
// distinct texts are prepared.
const maxValues = 64

// named writes the rows of a VALUES list of n (kind, id) pairs whose parameters begin at $first.
func named(n, first int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("(CAST($" + strconv.Itoa(first+2*i) + " AS TEXT),CAST($" + strconv.Itoa(first+2*i+1) + " AS TEXT))")
	}
	return b.String()
}

// chunks calls each with lists of at most maxValues nodes and their arguments, padded with the last.
func chunks(refs []graph.Ref, each func(n int, args []any) error) error {
	for len(refs) > 0 {
		part := refs[:min(maxValues, len(refs))]
		refs = refs[len(part):]
		n := 1
		for n < len(part) {
			n *= 2
		}
		args := make([]any, 0, 2*n)
		for i := range n {
			r := part[min(i, len(part)-1)]
			args = append(args, string(r.Kind), r.ID)
		}
		if err := each(n, args); err != nil {
			return err
		}
	}
	return nil
}

// numbers looks nodes up; those that are not there are left out.
func numbers(tx store.Tx, tenant string, refs []graph.Ref) (map[graph.Ref]int64, error) {
	out := make(map[graph.Ref]int64, len(refs))
	err := chunks(refs, func(n int, args []any) error {
		rows, err := tx.Query(`WITH r(kind, id) AS (VALUES `+named(n, 2)+`)
SELECT n.kind, n.id, n.node FROM r CROSS JOIN graph_node n WHERE n.tenant = $1 AND n.kind = r.kind AND n.id = r.id`,
			append([]any{tenant}, args...)...)
		if err != nil {
			return err
		}
		return each(rows, func() error {
			var kind, id string
			var node int64
			if err := rows.Scan(&kind, &id, &node); err != nil {
				return err
			}
			out[graph.Ref{Kind: graph.Kind(kind), ID: id}] = node
			return nil
		})
	})
	return out, err
}

// each goes through rows and closes them.
func each(rows store.Rows, fn func() error) error {
	for rows.Next() {
		if err := fn(); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

func micros(t time.Time) int64 { return t.UnixMicro() }
