package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/api"
)

type reviewPlansCmd struct{ query }

// Run shows the plans.
func (c *reviewPlansCmd) Run(e *env) error {
	return ask(&c.query, e, func(ctx context.Context, conn connection) (api.PlanList, error) {
		return conn.client.Plans(ctx)
	}, func(w io.Writer, list *api.PlanList) error {
		var b strings.Builder
		for i := range list.Plans {
			writeWaitingPlan(&b, &list.Plans[i])
		}
		fmt.Fprintf(&b, "%d plans as of %s\n", len(list.Plans), list.AsOf.UTC().Format(time.RFC3339Nano))
		if list.Truncated {
			b.WriteString("more wait than are shown; decide about these first\n")
		}
		_, err := io.WriteString(w, b.String())
		return err
	})
}

func writeWaitingPlan(b *strings.Builder, p *api.Plan) {
	fmt.Fprintf(b, "%s  %d investigations, %d alerts, severity up to %s\n", p.Key, len(p.Members), p.Alerts, p.Severity)
	fmt.Fprintf(b, "  %s to %s\n", p.FirstSeen.UTC().Format(time.RFC3339), p.LastSeen.UTC().Format(time.RFC3339))
	for _, a := range p.Actions {
		fmt.Fprintf(b, "  %s %s\n", strings.ReplaceAll(a.Action, "_", " "), inert(a.Target, 100))
	}
	for _, m := range p.Members {
		fmt.Fprintf(b, "    %s  %s\n", m.ID, inert(m.Title, 100))
	}
	b.WriteByte('\n')
}

type reviewAcceptCmd struct {
	Key    string   `arg:"" help:"Key of the plan (review plans)."`
	Reason string   `required:"" help:"Why; it stands in the audit trail."`
	Except []string `help:"Investigations that do not fit and keep waiting." placeholder:"ID"`
	AsOf   string   `required:"" help:"Time of the list that you looked at, as it printed it; what changed since keeps waiting." placeholder:"TIME"`
	query
}

// Run approves a plan. What is approved is named one by one, with version and plan: what came or
// changed since the list was printed keeps waiting.
func (c *reviewAcceptCmd) Run(e *env) error {
	at, err := time.Parse(time.RFC3339Nano, c.AsOf)
	if err != nil {
		return &usageError{fmt.Sprintf("--as-of %q is no time such as 2026-03-03T07:00:00Z", c.AsOf)}
	}
	return ask(&c.query, e, func(ctx context.Context, conn connection) (got api.Approved, err error) {
		list, err := conn.client.Plans(ctx)
		if err != nil {
			return got, err
		}
		i := slices.IndexFunc(list.Plans, func(p api.Plan) bool { return p.Key == c.Key })
		if i < 0 {
			return got, &usageError{fmt.Sprintf("no plan that waits has the key %q; review plans lists them", inert(c.Key, 40))}
		}
		req, left, err := c.request(&list.Plans[i], at)
		if err != nil {
			return got, err
		}
		got, err = conn.client.ApprovePlan(ctx, c.Key, req)
		got.Left = append(got.Left, left...)
		return got, err
	}, func(w io.Writer, got *api.Approved) error {
		fmt.Fprintf(w, "%d approved, %d left\n", len(got.Approved), len(got.Left))
		return writeLeft(w, got.Left)
	})
}

// request names the members that were seen and are meant, and those that are left.
func (c *reviewAcceptCmd) request(p *api.Plan, seen time.Time) (req api.PlanRequest, left []api.Left, err error) {
	for _, id := range c.Except {
		if !slices.ContainsFunc(p.Members, func(m api.PlanMember) bool { return m.ID == id }) {
			return req, nil, &usageError{fmt.Sprintf("--except %q is no member of the plan; nothing was approved", inert(id, 60))}
		}
	}
	req.Reason = c.Reason
	for _, m := range p.Members {
		switch {
		case slices.Contains(c.Except, m.ID):
			left = append(left, api.Left{ID: m.ID, Why: "left out on request"})
		case m.UpdatedAt.After(seen):
			left = append(left, api.Left{ID: m.ID, Why: "changed since it was looked at"})
		default:
			req.Members = append(req.Members, api.SeenPlan{ID: m.ID, Version: m.Version, PlanHash: m.PlanHash})
		}
	}
	if len(req.Members) == 0 {
		return req, nil, &usageError{"no investigation of the plan is as it was at that time; look at it again"}
	}
	return req, left, nil
}
