package main

import (
	"fmt"

	"github.com/aluskort/aluskort/internal/eval"
)

type evalModelCmd struct {
	File   string `arg:"" help:"File of alerts in their native format."`
	Labels string `required:"" type:"path" placeholder:"FILE" help:"CSV with the columns id (or alert_id) and label."`
	Source string `default:"auto" help:"Which product the alerts are from; auto detects it per record."`
	Model  string `default:"configured" help:"configured (models.provider, or the environment as for investigate) or simulated."`
	Runs   int    `default:"5" help:"How often each alert is judged with the model, to count flips."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// Run judges the alerts without a model and then with it, and prints what it is worth.
func (c *evalModelCmd) Run(e *env, flags *cli) error {
	if c.Runs < 1 || c.Runs > 50 {
		return &usageError{fmt.Sprintf("--runs %d: use 1 to 50", c.Runs)}
	}
	records, labels, err := readLabelled(flags, c.File, c.Labels)
	if err != nil {
		return err
	}
	asking := *e
	if c.Model == "configured" {
		if note := modelOfEnvironment(&asking); note != "" {
			fmt.Fprintln(e.stderr, "aluskort:", note)
		}
	}
	w := &workspace{}
	if err := (&modelFlags{Model: c.Model}).apply(&asking, w); err != nil {
		return err
	}
	p := newProgress(e.stderr, "")
	defer p.done()
	rep, err := eval.Worth(e.ctx, judge(e, c.Source), judgeWith(&asking, c.Source), records, labels, c.Runs, p.say)
	p.done()
	if err != nil {
		return err
	}
	if c.JSON {
		return printIndented(e.stdout, rep)
	}
	return rep.WriteText(e.stdout)
}
