package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/auditlog"
	"github.com/aluskort/aluskort/internal/ops"
	"github.com/aluskort/aluskort/internal/orchestrate"
	"github.com/aluskort/aluskort/internal/result"
)

type investigateCmd struct {
	Files  []string `arg:"" name:"file" help:"Files of alerts: JSON, JSON lines, arrays, envelopes, CSV, also gzipped. \"-\" reads standard input."`
	Source string   `default:"auto" help:"Which product the alerts are from; auto detects it per record."`
	Tenant string   `help:"Tenant; the configured one by default."`
	JSON   bool     `name:"json" help:"Print one JSON object per record (contract/investigate.schema.json)."`
	Keep   bool     `help:"Keep the temporary state directory and print where it is."`
}

// Run investigates the files in a state directory of their own.
func (c *investigateCmd) Run(e *env, flags *cli) error {
	if c.Tenant == "" {
		c.Tenant = e.config.Tenant
	}
	if err := audit.CheckTenant(c.Tenant); err != nil {
		return &usageError{fmt.Sprintf("--tenant: %v", err)}
	}
	w, err := openWorkspace(flags.State, c.Keep)
	if err != nil {
		return err
	}
	if note := modelOfEnvironment(e); note != "" {
		fmt.Fprintln(e.stderr, "aluskort:", note)
	}
	w.unhurried = true
	findings := false
	times := app.NewTimes()
	w.verdicts = func(out []orchestrate.Outcome, _ int64) { times.Observe(out, time.Now()) }
	err = w.run(e, func(ctx context.Context, n *app.Node) error {
		s := app.NewSession(n, c.Source, c.Tenant, times)
		start := time.Now()
		if err := c.read(ctx, e, s); err != nil {
			return err
		}
		if err := n.Settled(ctx); err != nil {
			return err
		}
		findings, err = c.print(ctx, e, n, s, time.Since(start))
		return err
	})
	if c.Keep || flags.State != "" {
		fmt.Fprintln(e.stderr, "state directory:", w.dir)
	}
	if err == nil && findings {
		return errFindings
	}
	return err
}

func (c *investigateCmd) read(ctx context.Context, e *env, s *app.Session) error {
	p := newProgress(e.stderr, "alerts read")
	defer p.done()
	for _, f := range c.Files {
		if f == "-" {
			if err := s.Read(ctx, e.stdin, "-", p.set); err != nil {
				return err
			}
			continue
		}
		if err := s.ReadFile(ctx, f, p.set); err != nil {
			return err
		}
	}
	return nil
}

func (c *investigateCmd) print(ctx context.Context, e *env, n *app.Node, s *app.Session, took time.Duration) (findings bool, err error) {
	sum := newSummary()
	out := newTextReport(e.stdout)
	err = s.Results(ctx, func(l result.Line) error {
		sum.add(&l)
		if l.Rejection != nil && !l.Rejected.Dropped {
			findings = true
		}
		if !c.JSON {
			return out.line(&l)
		}
		return printLine(e.stdout, l)
	})
	if err != nil || c.JSON {
		return findings, err
	}
	rep, err := n.Audit.Verify(ctx, c.Tenant)
	if err != nil && !errors.Is(err, auditlog.ErrNoTenant) { // nothing was accepted, so nothing recorded
		return findings, err
	}
	if err := sum.write(e.stdout, took, &rep); err != nil {
		return findings, err
	}
	return findings, writeSpending(ctx, e.stdout, n, sum.alerts)
}

// workspace is the state directory of a command that does its work and ends.
type workspace struct {
	dir       string
	temporary bool
	// verdicts and appended hear what became durable; set them before run.
	verdicts func(out []orchestrate.Outcome, emitted int64)
	appended func(auditlog.Appended)
	// documentation lets documentation addresses count as indicators.
	documentation bool
	// unhurried and latency are how models are asked.
	unhurried bool
	latency   time.Duration
}

func openWorkspace(dir string, keep bool) (*workspace, error) {
	if dir != "" {
		return &workspace{dir: dir}, nil
	}
	tmp, err := os.MkdirTemp("", "aluskort-")
	if err != nil {
		return nil, err
	}
	return &workspace{dir: tmp, temporary: !keep}, nil
}

// run opens a node in the workspace, runs its services while fn works, and takes all down.
func (w *workspace) run(e *env, fn func(context.Context, *app.Node) error) (err error) {
	if w.temporary {
		defer func() { err = errors.Join(err, os.RemoveAll(w.dir)) }()
	}
	n, err := app.Open(e.ctx, app.Options{
		Dir: w.dir, Config: e.config, Log: e.log, OnVerdict: w.verdicts, OnAppended: w.appended,
		CountDocumentation: w.documentation, Unhurried: w.unhurried, ModelLatency: w.latency,
	})
	if err != nil {
		return err
	}
	var memory ops.MemoryLimit
	memory.Set(app.HeapBudget)
	defer memory.Lift()
	ctx, stop := context.WithCancelCause(e.ctx)
	ended := make(chan error, 1)
	go func() {
		err := n.Run(ctx)
		stop(errors.Join(errors.New("services ended"), err))
		ended <- err
	}()
	err = fn(ctx, n)
	stop(nil)
	return errors.Join(err, <-ended, n.Close())
}
