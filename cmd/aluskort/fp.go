package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/fp"
)

type fpCmd struct {
	Propose  fpProposeCmd  `cmd:"" help:"Propose a false-positive pattern from a YAML file."`
	List     fpListCmd     `cmd:"" help:"List the patterns of a tenant."`
	Show     fpShowCmd     `cmd:"" help:"Show one pattern with its life."`
	Approve  fpApproveCmd  `cmd:"" help:"Approve a pattern; the second approval puts it into force."`
	Reject   fpRejectCmd   `cmd:"" help:"Reject a pattern that is not in force yet."`
	Revoke   fpRevokeCmd   `cmd:"" help:"Withdraw a pattern; what it closed is re-opened."`
	Reaffirm fpReaffirmCmd `cmd:"" help:"Let a pattern run for another 90 days; revives an expired one."`
	Promote  fpPromoteCmd  `cmd:"" help:"Take a pattern out of shadow once it has shown what it does."`
	Backtest fpBacktestCmd `cmd:"" help:"Say what a pattern would have hidden among the stored alerts."`
	Kill     fpKillCmd     `cmd:"" help:"Stop automatic closing by tenant, pattern, technique or datasource."`
}

type fpProposeCmd struct {
	File   string `arg:"" help:"Pattern in YAML." type:"existingfile"`
	Reason string `help:"Why; the pattern's justification by default."`
	fpReach
}

// Run proposes the pattern.
func (c *fpProposeCmd) Run(e *env) error {
	def, err := readDefinition(c.File, c.Tenant)
	if err != nil {
		return err
	}
	return c.change(e, func(ctx context.Context, d *fpDesk) error {
		r, err := d.Propose(ctx, api.PatternProposal{Definition: def, Reason: c.Reason})
		d.report(r.Backtest, err)
		if err != nil {
			return err
		}
		d.standing(r.Pattern)
		fmt.Fprintln(e.stdout, "two other people must approve it: aluskort fp approve", r.Pattern.ID)
		return nil
	})
}

type fpBacktestCmd struct {
	File string `arg:"" help:"Pattern in YAML." type:"existingfile"`
	JSON bool   `name:"json" help:"Print the report as JSON."`
	fpReach
}

// Run holds the pattern against the stored alerts and records nothing.
func (c *fpBacktestCmd) Run(e *env) error {
	def, err := readDefinition(c.File, c.Tenant)
	if err != nil {
		return err
	}
	refused := false
	err = c.look(e, func(ctx context.Context, d *fpDesk) error {
		r, err := d.Backtest(ctx, &def)
		if err != nil {
			return err
		}
		refused = len(r.Refusals) > 0
		if c.JSON {
			return json.NewEncoder(e.stdout).Encode(r)
		}
		d.report(r, nil)
		return nil
	})
	if err == nil && refused {
		return errFindings
	}
	return err
}

type fpListCmd struct {
	Status string `enum:",pending_review,approved,active,shadow,deprecated,expired,revoked" default:"" help:"Only patterns in this status."`
	JSON   bool   `name:"json" help:"Print one JSON object per pattern."`
	fpReach
}

// Run lists patterns and the kill switches that are on.
func (c *fpListCmd) Run(e *env) error {
	return c.look(e, func(ctx context.Context, d *fpDesk) error {
		page, err := d.Patterns(ctx, fp.Status(c.Status))
		if err != nil {
			return err
		}
		list := page.Patterns
		if c.JSON {
			enc := json.NewEncoder(e.stdout)
			for _, p := range list {
				if err := enc.Encode(p); err != nil {
					return err
				}
			}
			return nil
		}
		w := tabwriter.NewWriter(e.stdout, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tSTATUS\tNAME\tPROPOSER\tAPPROVERS\tUNTIL\tCLOSED\tLAST")
		for _, p := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", p.ID, p.Status, inert(p.Name, 60), inert(p.Proposer, 30),
				dash(strings.Trim(inert(p.ApprovedBy1, 30)+", "+inert(p.ApprovedBy2, 30), ", ")), day(p.Expiry), p.Occurrences, day(p.LastOccurrence))
		}
		if err := w.Flush(); err != nil {
			return err
		}
		return d.switches(ctx)
	})
}

func (d *fpDesk) switches(ctx context.Context) error {
	on, err := d.KillSwitches(ctx)
	for _, sw := range on.Switches {
		fmt.Fprintf(d.env.stdout, "kill switch on %s %s since %s by %s: %s\n", sw.Dimension, inert(sw.Value, 80),
			sw.ActivatedAt.UTC().Format(time.RFC3339), inert(sw.ActivatedBy, 30), inert(sw.Reason, 200))
	}
	return err
}

func dash(s string) string { return cmp.Or(s, "-") }

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

type fpShowCmd struct {
	ID string `arg:"" help:"Id of the pattern."`
	fpReach
}

// Run prints the pattern as JSON.
func (c *fpShowCmd) Run(e *env) error {
	return c.look(e, func(ctx context.Context, d *fpDesk) error {
		p, err := d.Pattern(ctx, c.ID)
		if err != nil {
			return err
		}
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(p)
	})
}

// fpDecision is what all decisions about one pattern take.
type fpDecision struct {
	ID      string `arg:"" help:"Id of the pattern."`
	Version int64  `help:"Version that you saw; another one is refused. That of now by default."`
	Reason  string `required:"" help:"Why."`
	fpReach
}

func (c *fpDecision) decide(e *env, action string) error {
	return c.change(e, func(ctx context.Context, d *fpDesk) error {
		req := api.PatternDecision{Reason: c.Reason, Version: c.Version}
		if req.Version == 0 {
			p, err := d.Pattern(ctx, c.ID)
			if err != nil {
				return err
			}
			req.Version = p.Version
		}
		r, err := d.DecidePattern(ctx, c.ID, action, req)
		d.report(r.Backtest, err)
		if err != nil {
			return err
		}
		d.standing(r.Pattern)
		if action != "revoke" {
			return nil
		}
		fmt.Fprintf(e.stdout, "%d investigations are to be re-opened\n", len(r.Reopening))
		for _, id := range r.Reopening {
			fmt.Fprintln(e.stdout, " ", id)
		}
		return nil
	})
}

type fpApproveCmd struct{ fpDecision }

// Run approves.
func (c *fpApproveCmd) Run(e *env) error { return c.decide(e, "approve") }

type fpReaffirmCmd struct{ fpDecision }

// Run reaffirms.
func (c *fpReaffirmCmd) Run(e *env) error { return c.decide(e, "reaffirm") }

type fpPromoteCmd struct{ fpDecision }

// Run promotes.
func (c *fpPromoteCmd) Run(e *env) error { return c.decide(e, "promote") }

type fpRejectCmd struct{ fpDecision }

// Run rejects.
func (c *fpRejectCmd) Run(e *env) error { return c.decide(e, "reject") }

type fpRevokeCmd struct{ fpDecision }

// Run revokes.
func (c *fpRevokeCmd) Run(e *env) error { return c.decide(e, "revoke") }

type fpKillCmd struct {
	On  fpKillOnCmd  `cmd:"" help:"Stop automatic closing."`
	Off fpKillOffCmd `cmd:"" help:"Allow automatic closing again."`
}

type fpKillArgs struct {
	Dimension string `arg:"" enum:"tenant,pattern,technique,datasource" help:"tenant, pattern, technique or datasource."`
	Value     string `arg:"" help:"Which; for tenants * is all of them."`
	Reason    string `required:"" help:"Why."`
	fpReach
}

func (c *fpKillArgs) turn(e *env, on bool) error {
	return c.change(e, func(ctx context.Context, d *fpDesk) error {
		sw, err := d.Kill(ctx, on, api.SwitchRequest{Dimension: fp.Dimension(c.Dimension), Value: c.Value, Reason: c.Reason})
		if err != nil {
			return err
		}
		if on {
			fmt.Fprintf(e.stdout, "kill switch on: no automatic closing for %s %s\n", sw.Dimension, inert(sw.Value, 120))
			return nil
		}
		fmt.Fprintf(e.stdout, "kill switch off for %s %s\n", sw.Dimension, inert(sw.Value, 120))
		return nil
	})
}

type fpKillOnCmd struct{ fpKillArgs }

// Run sets the switch.
func (c *fpKillOnCmd) Run(e *env) error { return c.turn(e, true) }

type fpKillOffCmd struct{ fpKillArgs }

// Run clears the switch.
func (c *fpKillOffCmd) Run(e *env) error { return c.turn(e, false) }
