package app

import (
	"context"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// Backtest holds a pattern against the stored alerts of its tenant.
func (n *Node) Backtest(ctx context.Context, d *fp.Definition) (*fp.Report, error) {
	return fp.Backtest(ctx, d, n.history, fp.Limits{}, n.opts.Clock.Now())
}

// historyPage is how many investigations are listed at once.
const historyPage = 500

// history reads the stored alerts, newest investigation first.
func (n *Node) history(ctx context.Context, tenant string, fn func(*fp.Sample) bool) error {
	for before, more := int64(0), true; more; {
		page, next, err := n.Engine.List(ctx, tenant, orchestrate.Filter{Before: before, Limit: historyPage})
		if err != nil {
			return err
		}
		for i := range page {
			if on, err := n.samples(ctx, tenant, page[i].ID, fn); err != nil || !on {
				return err
			}
		}
		before, more = next, next != 0
	}
	return nil
}

// samples gives the alerts of one investigation; on is false when fn wants no more.
func (n *Node) samples(ctx context.Context, tenant, id string, fn func(*fp.Sample) bool) (on bool, err error) {
	inv, err := n.Engine.Get(ctx, tenant, id)
	if err != nil {
		return false, err
	}
	s := fp.Sample{Investigation: id, Severity: inv.Verdict.Severity, Classification: inv.Verdict.Classification, Confirmed: confirmed(inv)}
	on = true
	err = n.Engine.Alerts(ctx, tenant, id, func(m *alert.Message) bool {
		s.Alert, s.Entities = &m.Alert, &m.Entities
		fields, unread := n.Registry.Fields(m.Alert.Source, m.Alert.RawPayload)
		s.Alert.Fields, s.Unread = fields, unread != nil || m.RawRef != ""
		at, _ := investigate.FoldTime(&m.Alert)
		s.AssetClasses = organisation{n}.Classes(tenant, m.Entities.List, at)
		on = fn(&s)
		return on
	})
	return on, err
}

// confirmed reports whether a person stands behind the verdict: by giving it, or by approving
// the plan that followed from it.
func confirmed(inv *investigate.Investigation) bool {
	if inv.DecidedByPerson() {
		return true
	}
	for _, d := range inv.Decisions {
		if d.Action == "approve" && inv.Verdict.Classification == evidence.TruePositive {
			return true
		}
	}
	return false
}
