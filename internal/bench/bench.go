package bench

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// Report is what a run measured: contract/bench.schema.json, and more.
type Report struct {
	Alerts          int               `json:"alerts"`
	Engines         map[string]string `json:"engines"`
	Intake          string            `json:"intake"`
	Rate            *float64          `json:"rate"`
	Seconds         float64           `json:"seconds"`
	AlertsPerSecond float64           `json:"alerts_per_second"`
	Latency         Percentiles       `json:"latency_ms"`
	AuditLatency    Percentiles       `json:"audit_latency_ms"`
	Investigations  int64             `json:"investigations"`
	AuditRecords    int64             `json:"audit_records"`
	ChainVerified   bool              `json:"chain_verified"`
	MaxRSS          int64             `json:"max_rss_bytes"`
	// IdleRSS is the resident memory of the open node before the first alert; 0 where the system
	// does not say.
	IdleRSS        int64   `json:"idle_rss_bytes"`
	Revisions      int     `json:"revisions"`
	SettledSeconds float64 `json:"settled_seconds"`
	// ModelCalls are answered and failed calls of models; ModelCallsPerSecond is over
	// SettledSeconds.
	ModelCalls          int64   `json:"model_calls,omitzero"`
	ModelCallsPerSecond float64 `json:"model_calls_per_second,omitzero"`
	OpenSeconds         float64 `json:"open_seconds"`
	CPUs                int     `json:"cpus"`
	Rules               int     `json:"rules"`
}

// Percentiles are in milliseconds.
type Percentiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// Target is the product under measurement.
type Target struct {
	// Normalise makes an alert of native bytes.
	Normalise func(raw []byte) (alert.Alert, error)
	// Offer hands alerts over; nil means acknowledged.
	Offer func(ctx context.Context, alerts []alert.Alert) error
	// Settled waits until everything offered is durable.
	Settled func(ctx context.Context) error
}

// Clock records when each alert was offered and when its verdict and audit records were
// durable. It is safe for concurrent use.
type Clock struct {
	mu       sync.Mutex
	start    map[string]time.Time
	verdicts []float64
	audits   []float64
	waiting  []waiting
	last     time.Time // when the last first verdict's audit records were durable
}

func (c *Clock) lastAudit() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

type waiting struct {
	seq    int64
	starts []time.Time
}

// NewClock returns an empty clock.
func NewClock() *Clock { return &Clock{start: map[string]time.Time{}} }

func (c *Clock) offered(id string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.start[id] = at
}

// Decided says that the verdicts of these alerts are durable, and up to which number their
// audit events were emitted.
func (c *Clock) Decided(ids []string, seq int64) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	w := waiting{seq: seq}
	for _, id := range ids {
		at, ok := c.start[id]
		if !ok {
			continue
		}
		delete(c.start, id)
		c.verdicts = append(c.verdicts, now.Sub(at).Seconds()*1000)
		w.starts = append(w.starts, at)
	}
	c.waiting = append(c.waiting, w)
}

// Appended says up to which number audit events are durable.
func (c *Clock) Appended(seq int64) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	done := 0
	for _, w := range c.waiting {
		if w.seq > seq {
			break
		}
		done++
		for _, at := range w.starts {
			c.audits = append(c.audits, now.Sub(at).Seconds()*1000)
			c.last = now
		}
	}
	c.waiting = c.waiting[done:]
}

func (c *Clock) pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.start)
}

func percentiles(list []float64) Percentiles {
	if len(list) == 0 {
		return Percentiles{}
	}
	slices.SortFunc(list, cmp.Compare)
	at := func(p float64) float64 { return list[min(len(list)-1, int(p*float64(len(list))))] }
	return Percentiles{P50: at(0.50), P95: at(0.95), P99: at(0.99)}
}

// Options say how a run goes.
type Options struct {
	Alerts int
	// Rate is the number of alerts offered per second; 0 means as fast as they are taken.
	Rate float64
	Seed uint64
	// Progress hears how many alerts were offered; it may be nil.
	Progress func(n int)
}

// Closed loop: at most this many alerts are on the way at once, offered in portions.
const (
	inFlight = 4000
	portion  = 250
)

// Run offers the alerts and measures until all is durable.
func Run(ctx context.Context, o Options, t Target, c *Clock) (*Report, error) {
	g := NewGenerator(o.Seed, time.Now().Add(-time.Hour))
	r := &Report{Alerts: o.Alerts, Intake: "direct", CPUs: runtime.GOMAXPROCS(0)}
	begin := time.Now()
	var err error
	if o.Rate > 0 {
		r.Rate = &o.Rate
		err = paced(ctx, o, g, t, c)
	} else {
		err = closedLoop(ctx, o, g, t, c)
	}
	if err != nil {
		return nil, err
	}
	if err := t.Settled(ctx); err != nil {
		return nil, err
	}
	r.SettledSeconds = time.Since(begin).Seconds()
	r.Seconds = c.lastAudit().Sub(begin).Seconds()
	r.AlertsPerSecond = float64(o.Alerts) / r.Seconds
	c.mu.Lock()
	defer c.mu.Unlock()
	r.Latency, r.AuditLatency = percentiles(c.verdicts), percentiles(c.audits)
	r.MaxRSS = maxRSS()
	return r, nil
}

func closedLoop(ctx context.Context, o Options, g *Generator, t Target, c *Clock) error {
	for sent := 0; sent < o.Alerts; {
		for c.pending() > inFlight {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
		n := min(portion, o.Alerts-sent)
		if err := offer(ctx, g, n, t, c, func(int) time.Time { return time.Now() }); err != nil {
			return err
		}
		sent += n
		o.progress(sent)
	}
	return nil
}

// paced offers each alert at its time and counts latency from that time, late or not, so that
// a slow product cannot hide behind a slow generator.
func paced(ctx context.Context, o Options, g *Generator, t Target, c *Clock) error {
	begin := time.Now()
	due := func(i int) time.Time { return begin.Add(time.Duration(float64(i) / o.Rate * float64(time.Second))) }
	for sent := 0; sent < o.Alerts; {
		if wait := time.Until(due(sent)); wait > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(wait):
			}
		}
		n := 1
		for now := time.Now(); sent+n < o.Alerts && !due(sent+n).After(now); {
			n++
		}
		first := sent
		if err := offer(ctx, g, n, t, c, func(i int) time.Time { return due(first + i) }); err != nil {
			return err
		}
		sent += n
		o.progress(sent)
	}
	return nil
}

func (o *Options) progress(n int) {
	if o.Progress != nil {
		o.Progress(n)
	}
}

func offer(ctx context.Context, g *Generator, n int, t Target, c *Clock, at func(i int) time.Time) error {
	alerts := make([]alert.Alert, 0, n)
	for i := range n {
		a, err := t.Normalise(g.Next())
		if err != nil {
			return fmt.Errorf("generated alert: %w", err)
		}
		c.offered(a.ID, at(i))
		alerts = append(alerts, a)
	}
	return t.Offer(ctx, alerts)
}

// maxRSS is the largest resident memory of this process so far, in bytes; 0 where the system
// does not say.
func maxRSS() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err == nil {
				return kb << 10
			}
		}
	}
	return 0
}
