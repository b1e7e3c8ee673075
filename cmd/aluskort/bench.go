package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/auditlog"
	"github.com/aluskort/aluskort/internal/bench"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ops"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

type benchCmd struct {
	Pipeline benchPipelineCmd `cmd:"" help:"Measure the whole path: alert accepted, verdict durable, audit records durable."`
	Flood    benchFloodCmd    `cmd:"" help:"Measure what a flood does to critical alerts, or to another tenant."`
}

type benchPipelineCmd struct {
	Alerts int     `default:"10000" help:"How many generated alerts to offer."`
	Rate   float64 `help:"Alerts per second, offered at their times; 0 offers them as fast as they are taken."`
	Seed   uint64  `default:"1" help:"Seed of the generator."`
	JSON   bool    `name:"json" help:"Print contract/bench.schema.json."`
	modelFlags

	Profile string `help:"Write a CPU profile of the run (go tool pprof)." type:"path" placeholder:"FILE"`
	Memory  string `name:"profile-memory" help:"Write a profile of what the run allocated (go tool pprof -sample_index=alloc_space)." type:"path" placeholder:"FILE"`
}

// Run measures in a state directory of its own.
func (c *benchPipelineCmd) Run(e *env, flags *cli) error {
	w, err := openWorkspace(flags.State, false)
	if err != nil {
		return err
	}
	if err := c.apply(e, w); err != nil {
		return err
	}
	clock := bench.NewClock()
	w.verdicts = func(out []orchestrate.Outcome, emitted int64) {
		clock.Decided(alertIDs(out), emitted)
	}
	w.appended = func(a auditlog.Appended) { clock.Appended(a.Seq) }
	var report *bench.Report
	stop, err := startProfile(c.Profile)
	if err != nil {
		return err
	}
	opening := time.Now()
	err = w.run(e, func(ctx context.Context, n *app.Node) error {
		opened := time.Since(opening)
		debug.FreeOSMemory() // as serve does once it is ready
		idle, _ := ops.ResidentBytes()
		p := newProgress(e.stderr, "alerts offered")
		defer p.done()
		r, err := bench.Run(ctx, bench.Options{Alerts: c.Alerts, Rate: c.Rate, Seed: c.Seed, Progress: p.set}, bench.Target{
			Normalise: func(raw []byte) (alert.Alert, error) {
				return n.Registry.Normalise(ingest.Record{Raw: raw}, "wazuh", e.config.Tenant, time.Now())
			},
			Offer: n.Offer, Settled: n.Settled,
		}, clock)
		if err != nil {
			return err
		}
		report = r
		r.Revisions, r.IdleRSS = n.Revisions(), idle
		r.OpenSeconds, r.Rules = opened.Seconds(), n.Rules().Used
		r.Engines = map[string]string{"bus": "kfake, synced writes", "store": "sqlite", "audit": "sqlite"}
		if err := countCalls(ctx, n, r); err != nil {
			return err
		}
		return c.finish(ctx, e, n, r)
	})
	if err := errors.Join(err, stop(), writeAllocations(c.Memory)); err != nil {
		return err
	}
	return c.print(e.stdout, report)
}

// printLine prints a report as one line of JSON.
func printLine(w io.Writer, report any) error {
	b, err := json.Marshal(report)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// writeAllocations writes the profile of all that was allocated so far; without a file it does
// nothing.
func writeAllocations(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}

// startProfile begins a CPU profile; the returned function ends it. Without a file both do
// nothing.
func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, nil
}

// countCalls adds what models were asked.
func countCalls(ctx context.Context, n *app.Node, r *bench.Report) error {
	list, err := n.ModelSpending(ctx)
	for i := range list {
		r.ModelCalls += list[i].Calls
	}
	r.ModelCallsPerSecond = float64(r.ModelCalls) / r.SettledSeconds
	return err
}

// finish verifies the chain and counts what was made, outside the measured time.
func (c *benchPipelineCmd) finish(ctx context.Context, e *env, n *app.Node, r *bench.Report) error {
	rep, err := n.Audit.Verify(ctx, e.config.Tenant)
	if err != nil {
		return err
	}
	r.AuditRecords, r.ChainVerified = rep.Records, rep.OK()
	counts, err := n.Engine.Counts(ctx, e.config.Tenant)
	if err != nil {
		return err
	}
	alerts := int64(0)
	for _, x := range counts {
		r.Investigations += x.Investigations
		alerts += x.Alerts
	}
	if alerts != int64(c.Alerts) || !r.ChainVerified {
		return errors.Join(fmt.Errorf("offered %d alerts, found %d in investigations; chain verified: %v", c.Alerts, alerts, r.ChainVerified))
	}
	return nil
}

func (c *benchPipelineCmd) print(w io.Writer, r *bench.Report) error {
	if c.JSON {
		return printLine(w, r)
	}
	_, err := fmt.Fprintf(w, `%d alerts in %.2f s: %.0f alerts/s on %d CPUs, %d rules
  verdict durable    p50 %.0f ms, p95 %.0f ms, p99 %.0f ms
  audit durable      p50 %.0f ms, p95 %.0f ms, p99 %.0f ms
  investigations     %d
  audit records      %d, chain verified: %v
  revised by links   %d, settled after %.2f s
  memory             idle %d MB, largest %d MB
  open to ready      %.0f ms
`, r.Alerts, r.Seconds, r.AlertsPerSecond, r.CPUs, r.Rules, r.Latency.P50, r.Latency.P95, r.Latency.P99,
		r.AuditLatency.P50, r.AuditLatency.P95, r.AuditLatency.P99, r.Investigations, r.AuditRecords, r.ChainVerified, r.Revisions, r.SettledSeconds, r.IdleRSS>>20, r.MaxRSS>>20, 1000*r.OpenSeconds)
	if err == nil && r.ModelCalls > 0 {
		_, err = fmt.Fprintf(w, "  model calls        %d, %.0f/s\n", r.ModelCalls, r.ModelCallsPerSecond)
	}
	return err
}
