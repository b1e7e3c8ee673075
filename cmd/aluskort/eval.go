package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/eval"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ingest/adapters"
	"github.com/aluskort/aluskort/internal/knowledge/taxonomy"
	"github.com/aluskort/aluskort/internal/reason"
	"github.com/aluskort/aluskort/internal/reason/weight"
	"github.com/aluskort/aluskort/internal/result"
)

type evalCmd struct {
	Triage     evalTriageCmd     `cmd:"" help:"Score verdicts against labels: missed attacks, false escalations, deferrals, with intervals and controls."`
	Model      evalModelCmd      `cmd:"" help:"Measure what a model is worth where it is asked: decisions, their price, flips."`
	Fit        evalFitCmd        `cmd:"" help:"Fit the weights of evidence rules to labelled alerts, bounded and checked on alerts that the fit has not seen."`
	Techniques evalTechniquesCmd `cmd:"" help:"Score the techniques that are named for Windows events."`
	PII        evalPIICmd        `cmd:"" name:"pii" help:"Score how well personal data is found in labelled text."`
	Injection  evalInjectionCmd  `cmd:"" help:"Score the sensor for injected instructions on labelled lines."`
}

type evalTriageCmd struct {
	File     string `arg:"" help:"File of alerts in their native format."`
	Labels   string `required:"" type:"path" placeholder:"FILE" help:"CSV with the columns id (or alert_id) and label (TP or FP, true or false, malicious or benign, 1 or 0)."`
	Source   string `default:"auto" help:"Which product the alerts are from; auto detects it per record."`
	Controls bool   `help:"Run again with names changed, neighbours mixed, order changed, alerts alone and neutral words."`
	Ablate   bool   `help:"Score again without each rule in turn."`
	Seed     uint64 `default:"1" help:"Seed of what the controls choose at random."`
	JSON     bool   `name:"json" help:"Print contract/eval-triage.schema.json."`
	Verbose  bool   `help:"List the positives that were deferred, and what each control changed."`
}

// Run judges the alerts in temporary state directories and prints the figures. It ends with
// findings when an attack was missed.
func (c *evalTriageCmd) Run(e *env, flags *cli) error {
	records, labels, err := readLabelled(flags, c.File, c.Labels)
	if err != nil {
		return err
	}
	p := newProgress(e.stderr, "")
	defer p.done()
	rep, err := eval.Triage(e.ctx, judge(e, c.Source), records, labels, eval.Options{
		Controls: c.Controls, Ablate: c.Ablate, Rescore: rescorer(e), Seed: c.Seed, Progress: p.say,
	})
	p.done()
	if err != nil {
		return err
	}
	if c.JSON {
		err = printIndented(e.stdout, rep)
	} else {
		err = rep.WriteText(e.stdout, c.Verbose)
	}
	if err == nil && rep.Missed.Count > 0 {
		return errFindings
	}
	return err
}

// readLabelled reads a set and what is true about it.
func readLabelled(flags *cli, file, labelFile string) ([][]byte, map[string]eval.Truth, error) {
	if err := noState(flags); err != nil {
		return nil, nil, err
	}
	labels, err := readFile(labelFile, eval.ReadLabels)
	if err != nil {
		return nil, nil, err
	}
	records, err := readFile(file, func(r io.Reader) ([][]byte, error) { return readRecords(r, file) })
	return records, labels, err
}

// rescorer decides by the thresholds of the configuration.
func rescorer(e *env) *eval.Rescorer {
	t, conf := reason.DefaultThresholds(), e.config.Reason
	t.Malicious, t.Suspicious, t.Benign, t.MinBits = conf.Malicious, conf.Suspicious, conf.Benign, conf.MinBits
	return &eval.Rescorer{Thresholds: t}
}

type evalFitCmd struct {
	File   string `arg:"" help:"File of alerts in their native format."`
	Labels string `required:"" type:"path" placeholder:"FILE" help:"CSV with the columns id (or alert_id) and label (TP or FP, true or false, malicious or benign, 1 or 0)."`
	Out    string `type:"path" placeholder:"FILE" help:"Write the fitted weights here, for reason.weights of the configuration. Nothing is written when they are refused."`
	Source string `default:"auto" help:"Which product the alerts are from; auto detects it per record."`
	Seed   uint64 `default:"1" help:"Seed of how the alerts are split for the check."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// Run fits weights and writes them. It ends with findings when the weights are refused. Weights
// that the configuration names are not used: a fit starts from those that ship.
func (c *evalFitCmd) Run(e *env, flags *cli) error {
	records, labels, err := readLabelled(flags, c.File, c.Labels)
	if err != nil {
		return err
	}
	p := newProgress(e.stderr, "")
	defer p.done()
	plain := *e
	plain.config.Reason.Weights = ""
	rep, err := eval.FitWeights(e.ctx, judge(&plain, c.Source), records, labels, eval.Options{Rescore: rescorer(e), Seed: c.Seed, Progress: p.say})
	p.done()
	if err != nil {
		return err
	}
	if c.JSON {
		err = printIndented(e.stdout, rep)
	} else {
		err = rep.WriteText(e.stdout)
	}
	switch {
	case err != nil:
		return err
	case rep.Table() == nil:
		return errFindings
	case c.Out == "":
		return nil
	}
	return writeWeights(c.Out, rep.Table())
}

func writeWeights(path string, t *weight.Table) error {
	var b bytes.Buffer
	if err := t.Write(&b); err != nil {
		return err
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write weights: %w", err)
	}
	return nil
}

type evalTechniquesCmd struct {
	File    string `arg:"" help:"JSON lines of {\"sigma_id\", \"attack\": [tags], \"events\": [{\"Event\": …}]}."`
	JSON    bool   `name:"json" help:"Print JSON."`
	Verbose bool   `help:"List every technique and case that was missed."`
}

// Run judges every event by itself. It ends with findings when an id is outside the taxonomy.
func (c *evalTechniquesCmd) Run(e *env, flags *cli) error {
	if err := noState(flags); err != nil {
		return err
	}
	tax, err := taxonomy.Shipped()
	if err != nil {
		return err
	}
	known := func(id string) bool {
		_, unknown := tax.Resolve([]string{id})
		return len(unknown) == 0
	}
	rep, err := readFile(c.File, func(r io.Reader) (*eval.TechniqueReport, error) {
		return eval.Techniques(e.ctx, judge(e, "wazuh"), r, known)
	})
	if err != nil {
		return err
	}
	if c.JSON {
		err = printIndented(e.stdout, rep)
	} else {
		err = rep.WriteText(e.stdout, c.Verbose)
	}
	if err == nil && len(rep.Unknown) > 0 {
		return errFindings
	}
	return err
}

func noState(flags *cli) error {
	if flags.State != "" {
		return &usageError{"eval judges every set in a fresh state directory of its own; leave --state out"}
	}
	return nil
}

func readFile[T any](path string, read func(io.Reader) (T, error)) (out T, err error) {
	f, err := os.Open(path)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if out, err = read(f); err != nil {
		return out, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// readRecords takes the records out of their envelopes. What cannot be read is an error here:
// figures over a part of a set would mislead.
func readRecords(r io.Reader, name string) ([][]byte, error) {
	var out [][]byte
	err := ingest.New(adapters.All()...).Reader().Read(r, name, func(rec ingest.Record) error {
		if rec.Err != nil {
			return fmt.Errorf("record %d: %w", rec.Index, rec.Err)
		}
		out = append(out, rec.Raw)
		return nil
	})
	if err == nil && len(out) == 0 {
		err = errors.New("no alerts found")
	}
	return out, err
}

func printIndented(w io.Writer, v any) error {
	b, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// say shows what is being done, on a terminal only.
func (p *progress) say(what string) {
	if p.live {
		fmt.Fprintf(p.w, "\r\033[K%s", what)
	}
}

// judge is the product as the evaluation sees it: a node in a fresh state directory per call.
// An alert judged alone gets a tenant of its own, which nothing crosses, so that one node does
// for all of them.
func judge(e *env, source string) eval.Judge {
	plain := *e
	plain.config.Models.Provider = "" // figures are the reasoner's own, and cost nothing
	return judgeWith(&plain, source)
}

// judgeWith asks a model where the configuration names one.
func judgeWith(e *env, source string) eval.Judge {
	return func(_ context.Context, records [][]byte, alone bool) (out []eval.Judged, err error) {
		w, err := openWorkspace("", false)
		if err != nil {
			return nil, err
		}
		w.unhurried = true
		err = w.run(e, func(ctx context.Context, n *app.Node) error {
			sets := [][][]byte{records}
			if alone {
				sets = sets[:0]
				for i := range records {
					sets = append(sets, records[i:i+1])
				}
			}
			var sessions []*app.Session
			for i, set := range sets {
				tenant := e.config.Tenant
				if alone {
					tenant = fmt.Sprintf("%s-%06d", tenant, i)
				}
				s := app.NewSession(n, source, tenant, app.NewTimes())
				if err := s.Read(ctx, bytes.NewReader(bytes.Join(set, []byte("\n"))), "records", nil); err != nil {
					return err
				}
				sessions = append(sessions, s)
			}
			if err := n.Settled(ctx); err != nil {
				return err
			}
			for _, s := range sessions {
				if err := s.Results(ctx, collect(ctx, n, &out)); err != nil {
					return err
				}
			}
			return nil
		})
		return out, err
	}
}

// collect takes the lines of a session together with their investigations.
func collect(ctx context.Context, n *app.Node, out *[]eval.Judged) func(result.Line) error {
	return func(l result.Line) error {
		j := eval.Judged{Line: l}
		if l.Result != nil {
			inv, err := n.Engine.Get(ctx, l.Alert.Tenant, l.Investigation.ID)
			if err != nil {
				return err
			}
			j.Investigation = inv
		}
		*out = append(*out, j)
		return nil
	}
}
