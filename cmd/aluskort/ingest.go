package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/ingest"
)

type ingestCmd struct {
	Files  []string `arg:"" name:"file" help:"Files of alerts: JSON, JSON lines, arrays, envelopes, CSV, also gzipped. \"-\" reads standard input."`
	Source string   `default:"auto" help:"Which product the alerts are from; auto detects it per record."`
	JSON   bool     `name:"json" help:"Print one JSON object per file."`
	reach
}

// ingested is what became of one file.
type ingested struct {
	File string `json:"file"`
	api.Receipt
}

// Run offers the files to the intake of the state directory.
func (c *ingestCmd) Run(e *env) error {
	registry, err := app.Registry(&e.config)
	if err != nil {
		return err
	}
	if _, ok := registry.Adapter(c.Source); !ok && c.Source != ingest.Auto {
		return &usageError{fmt.Sprintf("there is no source %q; use one of %v, or %s", c.Source, registry.Names(), ingest.Auto)}
	}
	findings := false
	err = c.withAPI(e, func(ctx context.Context, conn connection) error {
		p := newProgress(e.stderr, "records")
		defer p.done()
		s := &api.Sender{Client: conn.client, Reader: registry.Reader(), Source: c.Source, Clock: clock.System{}, Progress: p.set}
		for _, f := range c.Files {
			got, err := sendFile(ctx, e, s, f)
			if err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
			p.done()
			if err := c.print(e.stdout, ingested{f, got}); err != nil {
				return err
			}
			findings = findings || len(got.Rejected) > 0
		}
		if conn.node == nil {
			return nil
		}
		if err := conn.node.Settled(ctx); err != nil {
			return err
		}
		return c.counts(ctx, e, conn.node)
	})
	if err == nil && findings {
		return errFindings
	}
	return err
}

func sendFile(ctx context.Context, e *env, s *api.Sender, path string) (got api.Receipt, err error) {
	if path == "-" {
		return s.Send(ctx, e.stdin, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return got, err
	}
	got, err = s.Send(ctx, f, path)
	return got, errors.Join(err, f.Close())
}

// maxPrinted bounds the rejections and refusals that are printed for people.
const maxPrinted = 20

func (c *ingestCmd) print(w io.Writer, r ingested) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(r)
	}
	if _, err := fmt.Fprintf(w, "%s: %d accepted, %d dropped, %d rejected\n", r.File, r.Accepted, r.Dropped, len(r.Rejected)); err != nil {
		return err
	}
	for i, x := range r.Rejected {
		if i == maxPrinted {
			_, err := fmt.Fprintf(w, "  … and %d more; `aluskort dlq list alerts.raw` has them all\n", len(r.Rejected)-i)
			return err
		}
		if _, err := fmt.Fprintf(w, "  record %d (%s): %s\n", x.Index, cmp.Or(x.Source, "source unknown"), inert(x.Reason, 300)); err != nil {
			return err
		}
	}
	return nil
}

func (c *ingestCmd) counts(ctx context.Context, e *env, n *app.Node) error {
	if c.JSON {
		return nil
	}
	counts, err := n.Engine.Counts(ctx, e.config.Tenant)
	if err != nil {
		return err
	}
	for _, x := range counts {
		state := x.State
		if x.WaitReason != "" {
			state += ", waiting for " + x.WaitReason
		}
		if _, err := fmt.Fprintf(e.stdout, "%6d investigations, %d alerts: %s, %s\n", x.Investigations, x.Alerts, x.Classification, state); err != nil {
			return err
		}
	}
	return nil
}
