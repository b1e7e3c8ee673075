package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
)

// service signs the audit events of this package.
const service = "api"

// refusals writes audit records about refused records. While one is on its way to the disk,
// what other requests of the tenant refuse gathers for the next: a flood of requests makes few
// records. It is safe for concurrent use.
type refusals struct {
	record func(context.Context, string, []audit.Event) error
	clock  clock.Clock
	within time.Duration
	turn   sync.Mutex // one record is written at a time

	mu   sync.Mutex
	open map[string]*gathering // by tenant
}

type gathering struct {
	sum  audit.Rejections
	done chan struct{} // closed when err is set
	err  error
}

func newRefusals(record func(context.Context, string, []audit.Event) error, clk clock.Clock, within time.Duration) *refusals {
	return &refusals{record: record, clock: clk, within: within, open: map[string]*gathering{}}
}

// add returns once a record that counts the sum is durable. A client that goes away does not
// end it: others may wait for the same record.
func (f *refusals) add(ctx context.Context, tenant string, sum *audit.Rejections) error {
	f.mu.Lock()
	g, gathers := f.open[tenant]
	if !gathers {
		g = &gathering{done: make(chan struct{})}
		f.open[tenant] = g
	}
	g.sum.Merge(sum)
	f.mu.Unlock()
	if !gathers {
		f.write(ctx, tenant, g)
	}
	<-g.done
	return g.err
}

func (f *refusals) write(ctx context.Context, tenant string, g *gathering) {
	f.turn.Lock()
	defer f.turn.Unlock()
	f.mu.Lock()
	delete(f.open, tenant)
	f.mu.Unlock()
	defer close(g.done)
	g.err = errors.New("recording what was refused panicked") // stays when it does
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.within)
	defer cancel()
	event, err := g.sum.Event(service, f.clock.Now())
	if err == nil {
		err = f.record(ctx, tenant, []audit.Event{event})
	}
	g.err = err
}

// refusable are the refusals that say something about a decision: who may not, what changed,
// what is over. Requests that are malformed decide nothing.
func refusable(c Code) bool {
	return slices.Contains([]Code{CodeForbidden, CodeConflict, CodeChanged, CodePrecondition, CodePatternRefused}, c)
}

// noteRefusal records that a person's decision was refused. The decision stays refused when
// that fails.
func (a *API) noteRefusal(r *http.Request, what string, refusal error) {
	p := problemOf(refusal)
	c := caller(r.Context())
	if !refusable(p.Code) || c.Tenant == "" {
		return
	}
	a.cfg.Log.WarnContext(r.Context(), "decision refused", "decision", what, "path", r.URL.Path, "actor", c.Who(), "code", string(p.Code), "why", p.Detail)
	ctx := context.WithoutCancel(r.Context())
	event, err := a.refusalEvent(ctx, r, what, p)
	if err == nil {
		err = a.cfg.Record(ctx, c.Tenant, []audit.Event{event})
	}
	if err != nil {
		a.cfg.Log.ErrorContext(ctx, "a refused decision is not in the audit trail", "decision", what, "actor", c.Who(), "error", err)
	}
}

// refusalEvent says in the trail that the product denied what a person asked for. Actor is the
// product, so that nobody reads it as a person's denial.
func (a *API) refusalEvent(ctx context.Context, r *http.Request, what string, p *Problem) (audit.Event, error) {
	c := caller(ctx)
	roles := make([]string, len(c.Roles))
	for i, role := range c.Roles {
		roles[i] = string(role)
	}
	target := r.PathValue("id") + r.PathValue("key")
	var o audit.Object
	decision, err := o.Str("attempted", what).Str("by", audit.Bounded(c.Who())).Strs("roles", roles).Str("target", audit.Bounded(target)).Finish()
	o.Reset()
	outcome, err2 := o.Str("code", string(p.Code)).Str("comment", audit.Bounded(p.Detail)).Str("outcome_status", "refused").Finish()
	e := audit.Event{
		Type: audit.ApprovalDenied, Timestamp: a.cfg.Clock.Now().UnixMicro(), Severity: audit.SeverityWarning,
		ActorType: audit.ActorSystem, ActorID: service, SourceService: service, Decision: decision, Outcome: outcome,
	}
	if strings.HasPrefix(what, "investigation.") && a.cfg.Investigations != nil {
		if inv, err := a.cfg.Investigations.Get(ctx, c.Tenant, target); err == nil {
			e.InvestigationID = inv.ID
		}
	}
	if err := errors.Join(err, err2); err != nil {
		return e, fmt.Errorf("build audit event: %w", err)
	}
	return e, nil
}
