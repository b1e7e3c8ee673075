package main

import (
	"fmt"
	"time"

	"github.com/aluskort/aluskort/internal/eval/injection"
	"github.com/aluskort/aluskort/internal/gateway/detect"
	"github.com/aluskort/aluskort/internal/gateway/detect/labelled"
)

type evalInjectionCmd struct {
	File    string `arg:"" help:"JSON lines of {\"text\", \"label\": attack or benign, \"source\"}."`
	Folds   int    `placeholder:"N" help:"Train again N times without a part of the lines, and judge that part as well."`
	Sources bool   `help:"Train again without each family of sources, and judge that family as well."`
	JSON    bool   `name:"json" help:"Print contract/eval-detection.schema.json."`
	Verbose bool   `help:"List the lines that were judged wrongly."`
}

// Run judges every line with the weights that ship, and on request with weights that never
// saw it.
func (c *evalInjectionCmd) Run(e *env, flags *cli) error {
	if err := noState(flags); err != nil {
		return err
	}
	if c.Folds == 1 || c.Folds < 0 {
		return &usageError{"--folds takes at least 2"}
	}
	lines, err := readFile(c.File, labelled.Read)
	if err != nil {
		return err
	}
	d, err := detect.New()
	if err != nil {
		return err
	}
	p := newProgress(e.stderr, "")
	defer p.done()
	rep := injection.Evaluate(d, lines, time.Now)
	if c.Folds > 1 {
		if rep.Folds, err = injection.Folds(lines, c.Folds, p.say); err != nil {
			return fmt.Errorf("folds: %w", err)
		}
	}
	if c.Sources {
		if rep.Sources, err = injection.Sources(lines, p.say); err != nil {
			return fmt.Errorf("sources: %w", err)
		}
	}
	p.done()
	if c.JSON {
		return printIndented(e.stdout, rep)
	}
	return rep.WriteText(e.stdout, lines, c.Verbose)
}
