package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/auditlog"
	"github.com/aluskort/aluskort/internal/bench"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ops"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

type benchFloodCmd struct {
	Watch      string  `default:"critical" enum:"critical,tenant" help:"Whose alerts are timed: critical ones beside a flood of others of the same tenant, or those of another tenant than the one that floods (${enum})."`
	Seconds    int     `default:"20" help:"How long each of the two phases is measured."`
	Rounds     int     `default:"1" help:"How often the two phases take turns; more show by how much the figures scatter."`
	Rate       float64 `default:"20" help:"Timed alerts per second."`
	Flood      float64 `default:"2000" help:"Alerts per second that the flood tries to get in."`
	Onset      int     `default:"10" help:"Seconds that each phase goes on before it is measured."`
	TenantRate int     `help:"Overrides intake.tenant_rate; 0 leaves the configured one." placeholder:"N"`
	Seed       uint64  `default:"1" help:"Seed of the generator."`
	JSON       bool    `name:"json" help:"Print the figures as JSON."`
	Profile    string  `help:"Write a CPU profile of the run (go tool pprof)." type:"path" placeholder:"FILE"`
}

// Whose alerts are timed.
const (
	watchCritical = "critical"
	watchTenant   = "tenant"
)

// criticalLevel is a level of Wazuh's rules that stands for critical.
const criticalLevel = 15

func (c *benchFloodCmd) check(e *env) error {
	switch {
	case !(c.Rate > 0) || !(c.Flood > 0) || c.Rate > 1e6 || c.Flood > 1e6:
		return &usageError{"--rate and --flood are alerts a second, above 0 and at most 1000000"}
	case c.Seconds < 1 || c.Onset < 0 || c.Rounds < 1:
		return &usageError{"--seconds and --rounds are at least 1, --onset at least 0"}
	case !e.config.Embedded():
		return &usageError{"a flood is made in a state directory of its own: use a configuration without bus.brokers"}
	}
	return nil
}

// Run measures in a state directory of its own, over the real intake on a loopback port. Nobody is
// asked or paid for what it sends.
func (c *benchFloodCmd) Run(e *env, flags *cli) error {
	if err := c.check(e); err != nil {
		return err
	}
	w, err := openWorkspace(flags.State, false)
	if err != nil {
		return err
	}
	if err := (&modelFlags{}).apply(e, w); err != nil {
		return err
	}
	w.unhurried = false
	e.config.State, e.config.Tokens = w.dir, ""
	if c.TenantRate > 0 {
		e.config.Intake.TenantRate = c.TenantRate
	}
	report := bench.NewFlood(c.Rounds)
	report.Watch = c.Watch
	w.verdicts = func(out []orchestrate.Outcome, emitted int64) { report.Decided(alertIDs(out), emitted) }
	if c.Watch == watchCritical {
		// Numbers of events are those of a tenant, and here there is one.
		w.appended = func(a auditlog.Appended) { report.Appended(a.Seq) }
	}
	stop, err := startProfile(c.Profile)
	if err != nil {
		return err
	}
	err = w.run(e, func(ctx context.Context, n *app.Node) error {
		for ok := false; !ok; {
			if ok, err = n.Consuming(ctx); err != nil {
				return err
			}
		}
		return c.measure(ctx, e, n, report)
	})
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	return c.print(e.stdout, report)
}

func (c *benchFloodCmd) measure(ctx context.Context, e *env, n *app.Node, report *bench.FloodReport) error {
	f := bench.Flood{
		Rate: c.Rate, LoudRate: c.Flood, Portion: 20, Connections: 4, Seed: c.Seed,
		Phase: time.Duration(c.Seconds) * time.Second, Onset: time.Duration(c.Onset) * time.Second,
	}
	watched := e.config.Tenant
	if c.Watch == watchCritical {
		f.Level = criticalLevel
	} else {
		watched += "-quiet"
	}
	var err error
	if f.Watched, err = tokens(e).Replace(token.Record{Name: "watched", Tenant: watched, Roles: []token.Role{token.Ingest}}); err != nil {
		return err
	}
	if f.Loud, err = tokens(e).Replace(token.Record{Name: "loud", Tenant: e.config.Tenant, Roles: []token.Role{token.Ingest}}); err != nil {
		return err
	}
	f.ID = func(raw []byte) (string, error) {
		a, err := n.Registry.Normalise(ingest.Record{Raw: raw}, "wazuh", watched, time.Now())
		return a.ID, err
	}
	health := ops.NewHealth()
	a, err := n.NewAPI(tokens(e), nil, health, ops.NewRegistry())
	if err != nil {
		return err
	}
	health.Open()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := a.Server()
	go func() { _ = srv.Serve(l) }()
	defer func() { _ = srv.Close() }()
	f.URL = "http://" + l.Addr().String() + "/v1/ingest/wazuh"
	p := newProgress(e.stderr, fmt.Sprintf("of about %d seconds", c.Rounds*2*(c.Seconds+c.Onset)))
	defer p.done()
	f.Progress = p.set
	return report.Run(ctx, f, n.Settled)
}

func alertIDs(out []orchestrate.Outcome) []string {
	ids := make([]string, len(out))
	for i := range out {
		ids[i] = out[i].Message.Alert.ID
	}
	return ids
}

func (c *benchFloodCmd) print(w io.Writer, r *bench.FloodReport) error {
	if c.JSON {
		return printLine(w, r)
	}
	what := "critical alerts"
	if c.Watch == watchTenant {
		what = "alerts of another tenant"
	}
	line := func(name string, p *bench.FloodPart) string {
		audit := ""
		if p.Audit.P99 > 0 {
			audit = fmt.Sprintf("; audit p99 %.0f ms", p.Audit.P99)
		}
		return fmt.Sprintf("  %-8s  %5d alerts, %d refused; verdict p50 %.0f ms, p95 %.0f ms, p99 %.0f ms%s; answer p99 %.0f ms\n",
			name, p.Alerts, p.Refused, p.Latency.P50, p.Latency.P95, p.Latency.P99, audit, p.Answer.P99)
	}
	scatter := ""
	if r.P99Range != nil {
		scatter = fmt.Sprintf(" (95 %% between %.2f and %.2f, over %d rounds)", r.P99Range[0], r.P99Range[1], r.Rounds)
	}
	_, err := fmt.Fprintf(w, "%s at %g a second, on %d CPUs\n%s%s  flood     %.0f alerts/s accepted, %.0f refused, for %.0f s; settled %.1f s after its end\n  p99 of the verdict in the flood: %.2f times that alone%s\n",
		what, c.Rate, r.CPUs, line("alone", &r.Alone), line("flooded", &r.Flooded),
		float64(r.Accepted)/r.Seconds, float64(r.Refused)/r.Seconds, r.Seconds, r.Drained, r.P99Ratio, scatter)
	return err
}
