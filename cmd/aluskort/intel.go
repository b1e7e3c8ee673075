package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
)

type intelCmd struct {
	Import intelImportCmd `cmd:"" help:"Import indicators from CSV, plain lists, MISP, STIX 2.x or the KEV catalogue."`
	List   intelListCmd   `cmd:"" help:"Say how many indicators are in use and what was imported."`
}

type intelImportCmd struct {
	Files      []string `arg:"" name:"file" help:"Files, also gzipped; the format is recognised by content. \"-\" reads standard input."`
	Feed       string   `help:"Name under which the indicators are kept; that of the format by default."`
	Confidence int      `help:"Confidence from 1 to 100 of rows whose feed states none; 50 by default."`
	Tenant     string   `help:"Tenant, or * for all; the one of the token by default."`
	JSON       bool     `name:"json" help:"Print one JSON object per file."`
	reach
}

// Run imports the files; a running server uses them at once.
func (c *intelImportCmd) Run(e *env) error {
	if c.Confidence < 0 || c.Confidence > 100 {
		return &usageError{"--confidence is 1 to 100"}
	}
	findings := false
	err := c.withAPI(e, func(ctx context.Context, conn connection) error {
		for _, f := range c.Files {
			var rep intel.Report
			err := withFile(e, f, func(r io.Reader) error {
				return conn.client.ImportIntel(ctx, r, c.Feed, c.Tenant, c.Confidence, &rep)
			})
			if err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
			if err := c.print(e.stdout, f, &rep); err != nil {
				return err
			}
			findings = findings || rep.Refused > 0
		}
		return nil
	})
	if err == nil && findings {
		return errFindings
	}
	return err
}

// withFile opens a file, or standard input for "-".
func withFile(e *env, path string, fn func(io.Reader) error) error {
	if path == "-" {
		return fn(e.stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(fn(io.NopCloser(f)), f.Close())
}

func (c *intelImportCmd) print(w io.Writer, file string, rep *intel.Report) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(struct {
			File string `json:"file"`
			*intel.Report
		}{file, rep})
	}
	if _, err := fmt.Fprintf(w, "%s: %s, %d indicators, %d refused, %d skipped\n", file, rep.Format, rep.Accepted, rep.Refused, rep.Skipped); err != nil {
		return err
	}
	for i, r := range rep.Refusals {
		if i == maxPrinted {
			break
		}
		if _, err := fmt.Fprintf(w, "  %s: %s: %s\n", r.Place, inert(r.Value, 100), inert(r.Reason, 200)); err != nil {
			return err
		}
	}
	return nil
}

type intelListCmd struct{ query }

// Run lists the imports.
func (c *intelListCmd) Run(e *env) error {
	return ask(&c.query, e, func(ctx context.Context, conn connection) (api.IntelStatus, error) {
		return conn.client.Intel(ctx)
	}, func(out io.Writer, s *api.IntelStatus) error {
		fmt.Fprintf(out, "%d indicators in use\n", s.Indicators)
		if len(s.Imports) == 0 {
			_, err := fmt.Fprintln(out, "nothing was imported: alerts are not compared with any indicator")
			return err
		}
		w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "IMPORTED\tTENANT\tFEED\tFORMAT\tACCEPTED\tREFUSED\tSKIPPED")
		for _, i := range s.Imports {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\n", i.At.UTC().Format(time.RFC3339), i.Tenant, inert(i.Feed, 60), i.Format, i.Accepted, i.Refused, i.Skipped)
		}
		return w.Flush()
	})
}
