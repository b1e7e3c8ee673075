package app

import (
	"context"
	"time"

	"github.com/aluskort/aluskort/internal/knowledge/taxonomy"
)

// followEvery is how soon a process uses what another one imported.
const followEvery = 5 * time.Second

// follow puts into use what other processes imported, until ctx ends: indicators and techniques.
// Whoever imports records it; those who follow do not.
func (n *Node) follow(ctx context.Context) error {
	var imported, replaced int64
	first := true
	return n.every(ctx, "imports of other processes", followEvery, func(ctx context.Context) error {
		last, err := n.Intel.LastImport(ctx)
		if err != nil {
			return err
		}
		if last != imported || first {
			if err := n.Intel.Refresh(ctx, n.liveIntel, n.opts.Clock.Now()); err != nil {
				return err
			}
			imported = last
		}
		stamp, err := taxonomy.NewStore(n.State).Changed(ctx)
		if err != nil {
			return err
		}
		if stamp != replaced || first {
			if err := n.followTaxonomy(ctx); err != nil {
				return err
			}
			replaced = stamp
		}
		first = false
		return nil
	})
}

func (n *Node) followTaxonomy(ctx context.Context) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	next, err := n.withStoredTaxonomy(ctx)
	if err != nil {
		return err
	}
	n.steady.Lock()
	defer n.steady.Unlock()
	n.know.Store(next)
	return nil
}
