package main

import (
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/eval/pii"
	"github.com/aluskort/aluskort/internal/gateway/redact"
)

type evalPIICmd struct {
	File    string   `arg:"" help:"JSON lines of {\"text\", \"spans\": [{\"type\", \"start\", \"end\", \"value\"}]}; offsets count characters."`
	Policy  string   `enum:"everything,default" default:"everything" help:"Which detectors run: everything, or those of the gateway by default, which keep public addresses and domains and guess nothing from context."`
	Only    []string `placeholder:"TYPE" help:"Score only spans of these types, for example EMAIL_ADDRESS,IP_ADDRESS."`
	JSON    bool     `name:"json" help:"Print contract/eval-detection.schema.json."`
	Verbose bool     `help:"List what was missed and what was flagged for nothing."`
}

// Run finds personal data in every text by itself and prints the figures.
func (c *evalPIICmd) Run(e *env, flags *cli) error {
	if err := noState(flags); err != nil {
		return err
	}
	lines, err := readFile(c.File, pii.Read)
	if err != nil {
		return err
	}
	policy := redact.EverythingPolicy()
	if c.Policy == "default" {
		policy = redact.DefaultPolicy()
	}
	rep := pii.Score(redact.New(policy), lines, c.Only, clock.System{})
	if c.JSON {
		return printIndented(e.stdout, rep)
	}
	return rep.WriteText(e.stdout, c.Verbose)
}
