package app

import (
	"context"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/reason/prior"
)

// refit learns the priors again and puts them into force between two batches. What is new is
// stored with its record in the trail, and other processes take it over. by is who asked; empty is
// the schedule.
func (n *Node) refit(ctx context.Context, by string) (*prior.Snapshot, error) {
	n.changing.Lock()
	defer n.changing.Unlock()
	next, err := n.judgements.Refit(ctx, n.opts.Clock.Now(), func(tx store.Tx, before string, next *prior.Snapshot) error {
		event, err := refitEvent(by, before, next)
		if err != nil {
			return err
		}
		return n.emit(tx, n.opts.Config.Tenant, []audit.Event{event})
	})
	if err != nil {
		return nil, err
	}
	n.steady.Lock()
	defer n.steady.Unlock()
	n.priors.Replace(next)
	return next, nil
}

func refitEvent(by, before string, next *prior.Snapshot) (audit.Event, error) {
	e := audit.Event{
		Type: audit.ConfigChanged, Timestamp: next.FittedAt().UnixMicro(), ActorType: audit.ActorHuman, ActorID: by, SourceService: "app",
	}
	if by == "" {
		e.ActorType, e.ActorID = audit.ActorScheduler, "priors"
	}
	var err error
	e.Decision, err = new(audit.Object).Int("analytics", int64(next.Len())).Strs("changed", []string{"priors"}).
		Str("priors_after", next.Version()).Str("priors_before", before).Finish()
	return e, err
}

// learnedPriors are the priors in force, as the API shows them.
type learnedPriors struct{ n *Node }

func (l learnedPriors) list(s *prior.Snapshot, tenant string) api.PriorList {
	out := api.PriorList{Version: s.Version(), Priors: s.Learned(tenant)}
	if s.FittedAt().Unix() > 0 {
		out.FittedAt = s.FittedAt()
	}
	return out
}

// Priors implements api.Priors.
func (l learnedPriors) Priors(tenant string) api.PriorList {
	return l.list(l.n.priors.Snapshot(), tenant)
}

// Refit implements api.Priors.
func (l learnedPriors) Refit(ctx context.Context, tenant, by string) (api.PriorList, error) {
	s, err := l.n.refit(context.WithoutCancel(ctx), by)
	return l.list(s, tenant), err
}
