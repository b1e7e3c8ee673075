package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/statedir"
)

type topicsCmd struct {
	Apply topicsApplyCmd `cmd:"" help:"Create the topics that are missing and correct their settings."`
	List  topicsListCmd  `cmd:"" help:"Show every topic, what it holds and how it differs from the table."`
}

// withBus opens the bus of the configuration: that of a cluster, or the embedded one of the state
// directory, which must not be in use.
func withBus(e *env, fn func(context.Context, *bus.Bus) error) (err error) {
	if e.config.Embedded() {
		dir, err := statedir.Open(e.config.State)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, dir.Close()) }()
	}
	b, err := bus.Open(e.ctx, app.BusConfig(&e.config, clock.System{}, e.log))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	return fn(e.ctx, b)
}

type topicsApplyCmd struct{}

// Run applies the topic table.
func (topicsApplyCmd) Run(e *env) error {
	return withBus(e, func(ctx context.Context, b *bus.Bus) error {
		changes, err := b.Apply(ctx)
		if err != nil {
			return err
		}
		for _, c := range changes {
			fmt.Fprintf(e.stdout, "%s: %s\n", c.Topic, c.What)
		}
		fmt.Fprintf(e.stdout, "%d topics, %d changes\n", len(bus.Topics()), len(changes))
		return nil
	})
}

type topicsListCmd struct{}

// Run lists the topics.
func (topicsListCmd) Run(e *env) error {
	return withBus(e, func(ctx context.Context, b *bus.Bus) error {
		list, err := b.List(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "TOPIC\tFAMILY\tPARTITIONS\tRETENTION\tRECORDS\tDIFFERENCES")
		for _, t := range list {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%s\n", t.Topic.Name, t.Topic.Family, t.Partitions, days(t.Retention), t.Records, strings.Join(t.Differences, "; "))
		}
		return w.Flush()
	})
}

func days(d time.Duration) string {
	switch {
	case d < 0:
		return "for ever"
	case d == 0:
		return "-"
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return d.String()
}
