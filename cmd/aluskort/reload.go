package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/aluskort/aluskort/internal/api"
)

type reloadCmd struct{ query }

// Run asks the server, or reads the files itself, which says what is wrong with them.
func (c *reloadCmd) Run(e *env) error {
	served := true
	return ask(&c.query, e, func(ctx context.Context, conn connection) (api.Reloaded, error) {
		served = conn.node == nil
		got, err := conn.client.Reload(ctx)
		if err == nil {
			err = conn.settled(ctx)
		}
		return got, err
	}, func(w io.Writer, got *api.Reloaded) error {
		for _, why := range got.Unusable {
			fmt.Fprintf(w, "not used: %s\n", inert(why, 400))
		}
		fmt.Fprintf(w, "%d rules, %d techniques; ", got.Rules, got.Techniques)
		switch {
		case !served:
			fmt.Fprintln(w, "no server runs: the files are usable and count from its start")
		case len(got.Changed) == 0:
			fmt.Fprintln(w, "nothing changed")
		default:
			fmt.Fprintln(w, "changed:", strings.Join(got.Changed, ", "))
		}
		return nil
	})
}

type priorsCmd struct {
	List  priorsListCmd  `cmd:"" help:"List what was learned, by analytic."`
	Refit priorsRefitCmd `cmd:"" help:"Learn again from all verdicts of people; otherwise once a day."`
}

type priorsListCmd struct{ query }

// Run lists the priors in force.
func (c *priorsListCmd) Run(e *env) error {
	return ask(&c.query, e, func(ctx context.Context, conn connection) (api.PriorList, error) {
		return conn.client.Priors(ctx)
	}, func(out io.Writer, list *api.PriorList) error {
		w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
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
		_, err := fmt.Fprintf(out, "%d analytics, version %s, %s; moved is in bits against the prior of the severity\n", len(list.Priors), list.Version, fitted)
		return err
	})
}

type priorsRefitCmd struct{ query }

// Run fits the priors again.
func (c *priorsRefitCmd) Run(e *env) error {
	return ask(&c.query, e, func(ctx context.Context, conn connection) (api.PriorList, error) {
		list, err := conn.client.Refit(ctx)
		if err == nil {
			err = conn.settled(ctx)
		}
		return list, err
	}, func(w io.Writer, list *api.PriorList) error {
		_, err := fmt.Fprintf(w, "%d analytics, version %s, in force for the verdicts that follow\n", len(list.Priors), list.Version)
		return err
	})
}
