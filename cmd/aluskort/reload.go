package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
)

type reloadCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
	reach
}

// Run asks the server, or reads the files itself, which says what is wrong with them.
func (c *reloadCmd) Run(e *env) error {
	return c.withAPI(e, func(ctx context.Context, conn connection) error {
		got, err := conn.client.Reload(ctx)
		if err != nil {
			return err
		}
		if conn.node != nil {
			if err := conn.node.Settled(ctx); err != nil {
				return err
			}
		}
		if c.JSON {
			return json.NewEncoder(e.stdout).Encode(got)
		}
		for _, why := range got.Unusable {
			fmt.Fprintf(e.stdout, "not used: %s\n", inert(why, 400))
		}
		fmt.Fprintf(e.stdout, "%d rules, %d techniques; ", got.Rules, got.Techniques)
		switch {
		case conn.node != nil:
			fmt.Fprintln(e.stdout, "no server runs: the files are usable and count from its start")
		case len(got.Changed) == 0:
			fmt.Fprintln(e.stdout, "nothing changed")
		default:
			fmt.Fprintln(e.stdout, "changed:", strings.Join(got.Changed, ", "))
		}
		return nil
	})
}

type priorsCmd struct {
	List  priorsListCmd  `cmd:"" help:"List what was learned, by analytic."`
	Refit priorsRefitCmd `cmd:"" help:"Learn again from all verdicts of people; otherwise once a day."`
}

type priorsListCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
	reach
}

// Run lists the priors in force.
func (c *priorsListCmd) Run(e *env) error {
	return c.withAPI(e, func(ctx context.Context, conn connection) error {
		list, err := conn.client.Priors(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return json.NewEncoder(e.stdout).Encode(list)
		}
		w := tabwriter.NewWriter(e.stdout, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "SOURCE\tANALYTIC\tMALICIOUS\tBENIGN\tMOVED LOW\tMEDIUM\tHIGH\tCRITICAL")
		for _, p := range list.Priors {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%+.2f\t%+.2f\t%+.2f\t%+.2f\n", inert(p.Source, 60), inert(p.Analytic, 100), p.Malicious, p.Benign,
				p.Moved["low"], p.Moved["medium"], p.Moved["high"], p.Moved["critical"])
		}
		if err := w.Flush(); err != nil {
			return err
		}
		fitted := "never fitted"
		if !list.FittedAt.IsZero() {
			fitted = "fitted " + list.FittedAt.UTC().Format("2006-01-02T15:04:05Z")
		}
		_, err = fmt.Fprintf(e.stdout, "%d analytics, version %s, %s; moved is in bits against the prior of the severity\n", len(list.Priors), list.Version, fitted)
		return err
	})
}

type priorsRefitCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
	reach
}

// Run fits the priors again.
func (c *priorsRefitCmd) Run(e *env) error {
	return c.withAPI(e, func(ctx context.Context, conn connection) error {
		list, err := conn.client.Refit(ctx)
		if err != nil {
			return err
		}
		if conn.node != nil {
			if err := conn.node.Settled(ctx); err != nil {
				return err
			}
		}
		if c.JSON {
			return json.NewEncoder(e.stdout).Encode(list)
		}
		_, err = fmt.Fprintf(e.stdout, "%d analytics, version %s, in force for the verdicts that follow\n", len(list.Priors), list.Version)
		return err
	})
}
