package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/evidence"
)

type reviewCmd struct {
	List     reviewListCmd     `cmd:"" help:"List investigations, newest first."`
	Show     reviewShowCmd     `cmd:"" help:"Show one investigation: verdict, evidence, plan, alerts."`
	Approve  reviewApproveCmd  `cmd:"" help:"Approve the plan of an investigation; its actions become tasks."`
	Reject   reviewRejectCmd   `cmd:"" help:"Refuse the plan of an investigation."`
	Conclude reviewConcludeCmd `cmd:"" help:"Give your verdict and close an investigation."`
	Groups   reviewGroupsCmd   `cmd:"" help:"Show what is proposed as benign, grouped by what your organisation says, or by analytic, explanation and kind of entity."`
	Plans    reviewPlansCmd    `cmd:"" help:"Show what waits for approval, one plan for all investigations of an attack that it covers."`
	Accept   reviewAcceptCmd   `cmd:"" help:"Approve a plan for all investigations that it covers."`
	Confirm  reviewConfirmCmd  `cmd:"" help:"Confirm a group of proposed-benign investigations at once."`
}

type reviewListCmd struct {
	StateIs string `name:"in" help:"Only investigations in this state: awaiting_human, responding, closed, …" placeholder:"STATE"`
	Wait    string `help:"Only those that wait for: verdict, approval, shadow, degraded."`
	Class   string `help:"Only those with this classification."`
	Limit   int    `default:"50" help:"At most this many."`
	Cursor  string `help:"Go on behind a page: the cursor that it printed."`
	query
}

// Run lists investigations.
func (c *reviewListCmd) Run(e *env) error {
	q := url.Values{}
	for name, v := range map[string]string{"state": c.StateIs, "wait_reason": c.Wait, "classification": c.Class, "cursor": c.Cursor} {
		if v != "" {
			q.Set(name, v)
		}
	}
	q.Set("limit", strconv.Itoa(c.Limit))
	return ask(&c.query, e, func(ctx context.Context, conn connection) (api.Page, error) {
		return conn.client.List(ctx, q)
	}, func(out io.Writer, page *api.Page) error {
		w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tSTATE\tCLASSIFICATION\tSEVERITY\tMALICIOUS\tALERTS\tUPDATED")
		for _, i := range page.Investigations {
			state := i.State
			if i.WaitReason != "" {
				state += "/" + i.WaitReason
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.0f %%\t%d\t%s\n", i.ID, state, i.Classification, i.Severity, 100*i.Probability, i.Alerts, i.UpdatedAt.UTC().Format(time.RFC3339))
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if page.Next != "" {
			fmt.Fprintf(out, "more: --cursor %s\n", page.Next)
		}
		return nil
	})
}

type reviewShowCmd struct {
	ID string `arg:"" help:"Id of the investigation."`
	query
}

// Run shows one investigation.
func (c *reviewShowCmd) Run(e *env) error {
	return ask(&c.query, e, func(ctx context.Context, conn connection) (api.Detail, error) {
		return conn.client.Get(ctx, c.ID)
	}, writeDetail)
}

// writeDetail prints an investigation for people.
func writeDetail(w io.Writer, d *api.Detail) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s, %s\n\n", d.ID, d.Source, inert(d.Title, 200))
	state := string(d.State)
	if d.WaitReason != "" {
		state += ", waits for " + waitName(d.WaitReason)
	}
	fmt.Fprintf(&b, "%s: %.0f %% malicious, confidence %.2f, severity %s, by %s, revision %d\n%s, version %d\n", strings.ReplaceAll(string(d.Classification), "_", " "),
		100*d.Probability, d.Confidence, d.Severity, inert(d.By, 100), d.Revision, state, d.Version)
	for _, why := range d.WaitWhy {
		fmt.Fprintf(&b, "  %s\n", inert(why, 200))
	}
	fmt.Fprintf(&b, "\n%+6.2f bits  prior: %s\n", d.Prior, d.PriorSource)
	for i := range d.Evidence {
		fmt.Fprintf(&b, "%+6.2f bits  %s  [%s]\n", d.Evidence[i].Weight, inert(d.Evidence[i].Statement, 200), inert(d.Evidence[i].ID, 80))
	}
	for _, u := range d.Unknowns {
		fmt.Fprintf(&b, "     unknown  %s\n", inert(u, 200))
	}
	writePlan(&b, d)
	for _, x := range d.Decisions {
		fmt.Fprintf(&b, "%s  %s by %s: %s\n", x.At.UTC().Format(time.RFC3339), x.Action, inert(x.Actor, 100), inert(x.Reason, 300))
	}
	fmt.Fprintf(&b, "\n%d alerts from %s to %s\n", d.Alerts, d.FirstSeen.UTC().Format(time.RFC3339), d.LastSeen.UTC().Format(time.RFC3339))
	for i := range d.Members {
		fmt.Fprintf(&b, "  %s  %s  %s\n", d.Members[i].Timestamp.UTC().Format(time.RFC3339), inert(d.Members[i].Title, 100), entityLine(d.Members[i].Entities))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writePlan(b *strings.Builder, d *api.Detail) {
	if len(d.Actions) > 0 {
		fmt.Fprintf(b, "\nplan %s\n", cmp.Or(d.PlanHash, "(nothing to approve)"))
		for _, a := range d.Actions {
			note := ""
			if a.NeedsApproval {
				note = ", needs approval"
			}
			fmt.Fprintf(b, "  %s %s (tier %d%s)\n", a.Action, inert(a.Target, 100), a.Tier, note)
		}
	}
	for _, t := range d.Tasks {
		fmt.Fprintf(b, "task: %s %s, approved by %s\n", t.Action.Action, inert(t.Target, 100), inert(t.ApprovedBy, 100))
	}
	b.WriteByte('\n')
}

// decide are the flags of a decision.
type decide struct {
	ID      string `arg:"" help:"Id of the investigation."`
	Reason  string `required:"" help:"Why; it stands in the audit trail."`
	Version int64  `help:"Version that you looked at; the decision is refused when it is another one by now."`
	query
}

func (c *decide) run(e *env, action string, fill func(*api.Detail, *api.DecisionRequest)) error {
	return ask(&c.query, e, func(ctx context.Context, conn connection) (api.Detail, error) {
		req := api.DecisionRequest{Reason: c.Reason}
		if fill != nil {
			d, err := conn.client.Get(ctx, c.ID)
			if err != nil {
				return d, err
			}
			fill(&d, &req)
		}
		return conn.client.Decide(ctx, c.ID, action, c.Version, req)
	}, func(w io.Writer, d *api.Detail) error {
		var b strings.Builder
		last := d.Decisions[len(d.Decisions)-1]
		fmt.Fprintf(&b, "%s: %s by %s; it is %s now\n", d.ID, last.Action, inert(last.Actor, 100), d.State)
		writePlan(&b, d)
		_, err := io.WriteString(w, b.String())
		return err
	})
}

type reviewApproveCmd struct {
	decide
	PlanHash string `help:"Plan that you looked at (review show); by default the one there is now."`
}

// Run approves.
func (c *reviewApproveCmd) Run(e *env) error {
	return c.run(e, "approve", func(d *api.Detail, req *api.DecisionRequest) { req.PlanHash = cmp.Or(c.PlanHash, d.PlanHash, "none") })
}

type reviewRejectCmd struct{ decide }

// Run rejects.
func (c *reviewRejectCmd) Run(e *env) error { return c.run(e, "reject", nil) }

type reviewConcludeCmd struct {
	decide
	Class string `required:"" enum:"true_positive,benign_true_positive,false_positive" help:"Your verdict: ${enum}."`
}

// Run concludes.
func (c *reviewConcludeCmd) Run(e *env) error {
	return c.run(e, "feedback", func(_ *api.Detail, req *api.DecisionRequest) { req.Classification = evidence.Classification(c.Class) })
}

type reviewGroupsCmd struct{ query }

// Run shows the groups.
func (c *reviewGroupsCmd) Run(e *env) error {
	return ask(&c.query, e, func(ctx context.Context, conn connection) (api.GroupList, error) {
		return conn.client.Groups(ctx)
	}, func(w io.Writer, list *api.GroupList) error {
		var b strings.Builder
		for i := range list.Groups {
			writeGroup(&b, &list.Groups[i])
		}
		fmt.Fprintf(&b, "%d groups as of %s\n", len(list.Groups), list.AsOf.UTC().Format(time.RFC3339Nano))
		if list.Truncated {
			b.WriteString("more wait than are shown; confirm these first\n")
		}
		_, err := io.WriteString(w, b.String())
		return err
	})
}

func writeGroup(b *strings.Builder, g *api.Group) {
	fmt.Fprintf(b, "%s  %d investigations, %d alerts: %s, %s (%s)\n", g.Key, g.Count, g.Alerts, strings.ReplaceAll(string(g.Classification), "_", " "), inert(g.Analytic, 100), g.Source)
	fmt.Fprintf(b, "  %s to %s, severity up to %s, about %s\n", g.FirstSeen.UTC().Format(time.RFC3339), g.LastSeen.UTC().Format(time.RFC3339), g.Severity, g.EntityClass)
	for _, x := range g.Citations {
		fmt.Fprintf(b, "  your organisation says: %s\n", inert(x, 200))
	}
	for _, x := range g.Explanation {
		fmt.Fprintf(b, "  because: %s\n", inert(x.Statement, 200))
	}
	fmt.Fprintf(b, "  hosts: %s\n  users: %s\n", values(g.Hosts), values(g.Users))
	for _, d := range g.Differs {
		if d.What == "host" || d.What == "account" {
			continue
		}
		fmt.Fprintf(b, "  differs: %s, %d values\n", d.What, len(d.Values)+d.More)
	}
	for _, m := range g.Members[:min(len(g.Members), maxPrinted)] {
		fmt.Fprintf(b, "    %s  %s\n", m.ID, inert(m.Title, 100))
	}
	if n := len(g.Members) - maxPrinted; n > 0 {
		fmt.Fprintf(b, "    and %d more\n", n)
	}
	b.WriteByte('\n')
}

func values(v api.Values) string {
	if len(v.Values) == 0 {
		return "-"
	}
	s := inert(strings.Join(v.Values[:min(len(v.Values), 8)], ", "), 300)
	if n := len(v.Values) - 8 + v.More; n > 0 {
		s += fmt.Sprintf(" and %d more", n)
	}
	return s
}

type reviewConfirmCmd struct {
	Key    string   `arg:"" help:"Key of the group (review groups)."`
	Reason string   `required:"" help:"Why; it stands in the audit trail."`
	Except []string `help:"Members that do not fit and stay open." placeholder:"ID"`
	AsOf   string   `help:"Time of the list that you looked at, as it printed it; what changed since stays open. Now by default." placeholder:"TIME"`
	query
}

// Run confirms a group.
func (c *reviewConfirmCmd) Run(e *env) error {
	req := api.ConfirmRequest{Reason: c.Reason, Except: c.Except}
	if c.AsOf != "" {
		at, err := time.Parse(time.RFC3339Nano, c.AsOf)
		if err != nil {
			return &usageError{fmt.Sprintf("--as-of %q is no time such as 2026-03-03T07:00:00Z", c.AsOf)}
		}
		req.AsOf = at
	}
	return ask(&c.query, e, func(ctx context.Context, conn connection) (got api.Confirmed, err error) {
		if req.AsOf.IsZero() {
			list, err := conn.client.Groups(ctx)
			if err != nil {
				return got, err
			}
			req.AsOf = list.AsOf
		}
		return conn.client.Confirm(ctx, c.Key, req)
	}, func(w io.Writer, got *api.Confirmed) error {
		fmt.Fprintf(w, "%d concluded as %s, %d left\n", len(got.Concluded), strings.ReplaceAll(string(got.Classification), "_", " "), len(got.Left))
		return writeLeft(w, got.Left)
	})
}

// writeLeft says which members a decision about several left out, and why.
func writeLeft(w io.Writer, left []api.Left) error {
	for _, l := range left {
		if _, err := fmt.Fprintf(w, "  %s: %s\n", l.ID, l.Why); err != nil {
			return err
		}
	}
	return nil
}
