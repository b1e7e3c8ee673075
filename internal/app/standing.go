package app

import (
	"context"
	"sync/atomic"

	"github.com/aluskort/aluskort/internal/gateway/models"
	"github.com/aluskort/aluskort/internal/investigate"
)

// standing is what this process knows of the processes that ask models. Until it has read
// anything, nobody can be asked.
type standing struct{ last atomic.Value }

func (s *standing) level() investigate.Degradation {
	if l, ok := s.last.Load().(investigate.Degradation); ok {
		return l
	}
	return investigate.DeterministicOnly
}

// shareLevel reports the level of this process's models until ctx ends.
func (n *Node) shareLevel(ctx context.Context) error {
	shared := &models.Standing{DB: n.State, Clock: n.opts.Clock}
	return n.every(ctx, "level of the models", models.ReportEvery, func(ctx context.Context) error {
		return shared.Report(ctx, n.worker, n.models.Level())
	})
}

// followLevel reads the level of the processes that ask models until ctx ends.
func (n *Node) followLevel(ctx context.Context) error {
	shared := &models.Standing{DB: n.State, Clock: n.opts.Clock}
	return n.every(ctx, "level of the models", models.ReportEvery, func(ctx context.Context) error {
		level, err := shared.Level(ctx)
		if err == nil {
			n.standing.last.Store(investigate.Degradation(level))
		}
		return err
	})
}
