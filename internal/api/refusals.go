package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
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

// Bounds of one audit record about refused records.
const (
	maxReasons = 10
	maxDigests = 16
	maxRefused = 200 // bytes of one reason
)

// Rejections sums up records that did not become alerts, so that one audit record of bounded
// size stands for any number of them. The zero value is empty.
type Rejections struct {
	count   int
	other   int            // with a reason that has no room
	reasons map[string]int // by reason
	sources map[string]int
	digests []string // SHA-256 of the first records' bytes
}

// Add counts one record. raw is empty where its bytes could not be told apart.
func (t *Rejections) Add(source, reason string, raw []byte) {
	if len(raw) == 0 {
		t.add(bounded(reason), bounded(source), 1)
		return
	}
	sum := sha256.Sum256(raw)
	t.add(bounded(reason), bounded(source), 1, hex.EncodeToString(sum[:]))
}

func (t *Rejections) add(reason, source string, n int, digests ...string) {
	if t.reasons == nil {
		t.reasons, t.sources = map[string]int{}, map[string]int{}
	}
	t.count += n
	if _, known := t.reasons[reason]; known || len(t.reasons) < maxReasons {
		t.reasons[reason] += n
	} else {
		t.other += n
	}
	t.from(source, n)
	t.digests = append(t.digests, digests[:min(len(digests), maxDigests-len(t.digests))]...)
}

// Count is how many records were counted.
func (t *Rejections) Count() int { return t.count }

// merge adds what another sum holds.
func (t *Rejections) merge(o *Rejections) {
	if t.count == 0 {
		*t = *o
		return
	}
	digests := o.digests
	for _, reason := range slices.Sorted(maps.Keys(o.reasons)) {
		t.add(reason, "", o.reasons[reason], digests...)
		digests = nil
	}
	t.count += o.other
	t.other += o.other
	for _, source := range slices.Sorted(maps.Keys(o.sources)) {
		t.from(source, o.sources[source])
	}
}

func (t *Rejections) from(source string, n int) {
	if _, known := t.sources[source]; source != "" && (known || len(t.sources) < maxReasons) {
		t.sources[source] += n
	}
}

// Event is the audit event of the sum.
func (t *Rejections) Event(now time.Time) (audit.Event, error) {
	var o audit.Object
	o.Strs("sha256", t.digests).Strs("sources", slices.Sorted(maps.Keys(t.sources)))
	known, err := o.Finish()
	o.Reset()
	o.Int("count", int64(t.count)).OpenArray("reasons")
	for _, reason := range slices.Sorted(maps.Keys(t.reasons)) {
		o.OpenItem().Int("count", int64(t.reasons[reason])).Str("reason", reason).Close()
	}
	o.Close().Int("with_other_reasons", int64(t.other))
	outcome, err2 := o.Finish()
	return audit.Event{
		Type: audit.AlertRejected, Timestamp: now.UnixMicro(), Severity: audit.SeverityWarning,
		ActorType: audit.ActorSystem, ActorID: service, SourceService: service, Context: known, Outcome: outcome,
	}, errors.Join(err, err2)
}

// bounded is text that others wrote, fit for a record.
func bounded(s string) string {
	if len(s) > maxRefused {
		s = s[:maxRefused] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

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
	sum  Rejections
	done chan struct{} // closed when err is set
	err  error
}

func newRefusals(record func(context.Context, string, []audit.Event) error, clk clock.Clock, within time.Duration) *refusals {
	return &refusals{record: record, clock: clk, within: within, open: map[string]*gathering{}}
}

// add returns once a record that counts the sum is durable. A client that goes away does not
// end it: others may wait for the same record.
func (f *refusals) add(ctx context.Context, tenant string, sum *Rejections) error {
	f.mu.Lock()
	g, gathers := f.open[tenant]
	if !gathers {
		g = &gathering{done: make(chan struct{})}
		f.open[tenant] = g
	}
	g.sum.merge(sum)
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
	event, err := g.sum.Event(f.clock.Now())
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
	decision, err := o.Str("attempted", what).Str("by", bounded(c.Who())).Strs("roles", roles).Str("target", bounded(target)).Finish()
	o.Reset()
	outcome, err2 := o.Str("code", string(p.Code)).Str("comment", bounded(p.Detail)).Str("outcome_status", "refused").Finish()
	e := audit.Event{
		Type: audit.ApprovalDenied, Timestamp: a.cfg.Clock.Now().UnixMicro(), Severity: audit.SeverityWarning,
		ActorType: audit.ActorSystem, ActorID: service, SourceService: service, Decision: decision, Outcome: outcome,
	}
	if strings.HasPrefix(what, "investigation.") {
		if inv, err := a.cfg.Investigations.Get(ctx, c.Tenant, target); err == nil {
			e.InvestigationID = inv.ID
		}
	}
	if err := errors.Join(err, err2); err != nil {
		return e, fmt.Errorf("build audit event: %w", err)
	}
	return e, nil
}
