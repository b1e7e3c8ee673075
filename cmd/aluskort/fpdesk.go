package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/auditlog"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// fpDesk is the state directory as these commands use it.
type fpDesk struct {
	node   *app.Node
	store  *fp.Store
	tenant string
	env    *env
}

// fpEmitter adapts the audit emitter of the node's database.
type fpEmitter struct{ *auditlog.Emitter }

func (m fpEmitter) Emit(tx store.Tx, tenant string, events []audit.Event) ([]store.Message, error) {
	b := m.NewBatch()
	for i := range events {
		if err := b.Add(tenant, &events[i]); err != nil {
			return nil, err
		}
	}
	msgs, _, err := m.Emitter.Emit(tx, b)
	return msgs, err
}

// changeFP is withFP for what records something: it runs the services until all of that stands
// in the audit chain. The relay reads the outbox when it starts.
func changeFP(e *env, tenant string, fn func(context.Context, *fpDesk) error) error {
	return withFP(e, tenant, func(ctx context.Context, d *fpDesk) error {
		if err := fn(ctx, d); err != nil {
			return err
		}
		return settle(ctx, d.node)
	})
}

// withFP opens the state directory and lets fn work on it.
func withFP(e *env, tenant string, fn func(context.Context, *fpDesk) error) (err error) {
	n, err := app.Open(e.ctx, app.Options{Dir: e.config.State, Config: e.config, Log: e.log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	emitter, err := auditlog.NewEmitter(n.State.Origin())
	if err != nil {
		return err
	}
	s, err := fp.NewStore(fp.Config{
		DB: n.State, Outbox: store.NewOutbox(clock.System{}, 0), Audit: fpEmitter{emitter}, SystemTenant: e.config.Tenant,
	})
	if err != nil {
		return err
	}
	return fpUsage(fn(e.ctx, &fpDesk{node: n, store: s, tenant: cmp.Or(tenant, e.config.Tenant), env: e}))
}

// settle runs the node until its audit events are durable.
func settle(ctx context.Context, n *app.Node) error {
	ctx, stop := context.WithCancelCause(ctx)
	ended := make(chan error, 1)
	go func() {
		err := n.Run(ctx)
		stop(errors.Join(errors.New("services ended"), err))
		ended <- err
	}()
	err := n.Settled(ctx)
	stop(nil)
	return errors.Join(err, <-ended)
}

func fpUsage(err error) error {
	if errors.Is(err, fp.ErrInvalid) {
		return &usageError{err.Error()}
	}
	return err
}

func readDefinition(e *env, file, tenant string) (fp.Definition, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return fp.Definition{}, err
	}
	d, err := fp.ParseDefinition(file, text, cmp.Or(tenant, e.config.Tenant))
	if err == nil {
		err = d.Check()
	}
	return d, err
}

// historyPage is how many investigations are listed at once.
const historyPage = 500

// history reads the stored alerts, newest investigation first.
func (d *fpDesk) history(ctx context.Context, tenant string, fn func(*fp.Sample) bool) error {
	p := newProgress(d.env.stderr, "alerts tested")
	defer p.done()
	n := 0
	each := func(s *fp.Sample) bool {
		n++
		p.set(n)
		return fn(s)
	}
	for before, more := int64(0), true; more; {
		page, next, err := d.node.Engine.List(ctx, tenant, orchestrate.Filter{Before: before, Limit: historyPage})
		if err != nil {
			return err
		}
		for i := range page {
			if on, err := d.samples(ctx, tenant, page[i].ID, each); err != nil || !on {
				return err
			}
		}
		before, more = next, next != 0
	}
	return nil
}

// samples gives the alerts of one investigation; on is false when fn wants no more.
func (d *fpDesk) samples(ctx context.Context, tenant, id string, fn func(*fp.Sample) bool) (on bool, err error) {
	inv, err := d.node.Engine.Get(ctx, tenant, id)
	if err != nil {
		return false, err
	}
	s := fp.Sample{Investigation: id, Severity: inv.Verdict.Severity, Classification: inv.Verdict.Classification, Confirmed: confirmed(inv)}
	on = true
	err = d.node.Engine.Alerts(ctx, tenant, id, func(m *alert.Message) bool {
		s.Alert, s.Entities = &m.Alert, &m.Entities
		fields, unread := d.node.Registry.Fields(m.Alert.Source, m.Alert.RawPayload)
		s.Alert.Fields, s.Unread = fields, unread != nil || m.RawRef != ""
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

func (d *fpDesk) backtest(ctx context.Context, def *fp.Definition) (*fp.Report, error) {
	return fp.Backtest(ctx, def, d.history, fp.Limits{}, clock.System{}.Now())
}

// tested holds a stored pattern against the stored alerts.
func (d *fpDesk) tested(ctx context.Context, id string) (*fp.Report, error) {
	p, err := d.store.Get(ctx, d.tenant, id)
	if err != nil {
		return nil, err
	}
	return d.backtest(ctx, &p.Definition)
}

func (d *fpDesk) report(r *fp.Report) {
	w := d.env.stdout
	if r.Alerts == 0 {
		fmt.Fprintln(w, "backtest: no stored alerts to hold it against")
		return
	}
	fmt.Fprintf(w, "backtest: would have hidden %d of %d alerts (%.1f %%) in %d investigations, on %d hosts and %d accounts\n",
		r.Hidden, r.Alerts, 100*r.Share(), r.Investigations, r.Hosts, r.Accounts)
	if r.Hidden > 0 {
		fmt.Fprintf(w, "  from %s to %s; for example %s\n", r.First.UTC().Format(time.RFC3339), r.Last.UTC().Format(time.RFC3339), strings.Join(r.Examples, ", "))
	}
	if r.Malicious > 0 {
		fmt.Fprintf(w, "  %d of them the product calls true_positive: evidence would have stopped the closing\n", r.Malicious)
	}
	for _, x := range r.Refusals {
		fmt.Fprintf(w, "  refused, %s: %s\n", x.Code, x.Reason)
	}
	if len(r.Against) > 0 {
		fmt.Fprintf(w, "  see %s\n", strings.Join(r.Against, ", "))
	}
}

func (d *fpDesk) standing(p *fp.Pattern) {
	w := d.env.stdout
	fmt.Fprintf(w, "%s %s: %s", p.ID, inert(p.Name, 120), p.Status)
	if !p.Expiry.IsZero() && (p.Status == fp.Active || p.Status == fp.Shadow) {
		fmt.Fprintf(w, " until %s", p.Expiry.UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(w, ", version %d\n", p.Version)
}
