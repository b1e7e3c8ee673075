package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/fp"
)

// fpReach are the flags that the commands about patterns share.
type fpReach struct {
	Tenant    string `help:"Tenant; the configured one by default. A running server takes it from the token."`
	Actor     string `help:"Who decides ($ALUSKORT_ACTOR, else $USER). A running server takes the name from the token."`
	TokenFile string `help:"File with the token to use when a server runs; the local one by default, or $ALUSKORT_TOKEN." type:"path" placeholder:"FILE"`
}

// fpDesk is the API as these commands use it.
type fpDesk struct {
	*api.Client
	env    *env
	tenant string
}

// look runs fn on the server, or on the state directory itself, where whoever may read it may
// look.
func (r *fpReach) look(e *env, fn func(context.Context, *fpDesk) error) error {
	return r.with(e, cmp.Or(r.actor(e), osUser(e)), fn)
}

// change is look for what records something: that needs a name, and is over once it stands in
// the audit chain.
func (r *fpReach) change(e *env, fn func(context.Context, *fpDesk) error) error {
	return r.with(e, r.actor(e), fn)
}

func (r *fpReach) actor(e *env) string {
	return cmp.Or(r.Actor, e.getenv("ALUSKORT_ACTOR"), e.getenv("USER"))
}

func (r *fpReach) with(e *env, actor string, fn func(context.Context, *fpDesk) error) error {
	through := reach{TokenFile: r.TokenFile, Actor: r.Actor}
	owner := func() (token.Record, error) {
		me := through.owner(e)
		me.Actor, me.Tenant = actor, cmp.Or(r.Tenant, e.config.Tenant)
		if actor == "" {
			return me, &usageError{"name who decides: --actor, or $ALUSKORT_ACTOR"}
		}
		return me, nil
	}
	return through.withAPIAs(e, owner, func(ctx context.Context, conn connection) error {
		d := &fpDesk{Client: conn.client, env: e, tenant: cmp.Or(r.Tenant, e.config.Tenant)}
		if conn.node != nil {
			err := fpUsage(fn(ctx, d))
			return errors.Join(err, conn.node.Settled(ctx))
		}
		me, err := conn.client.WhoAmI(ctx)
		if err != nil {
			return err
		}
		if r.Tenant != "" && r.Tenant != me.Tenant {
			return &usageError{fmt.Sprintf("a server runs and takes the tenant from the token, which says %q; use a token of %q", me.Tenant, r.Tenant)}
		}
		d.tenant = me.Tenant
		return fpUsage(fn(ctx, d))
	})
}

// fpUsage makes a refusal of what the caller wrote a mistake in the call.
func fpUsage(err error) error {
	if errors.Is(err, fp.ErrInvalid) {
		return &usageError{err.Error()}
	}
	return usageOf(err)
}

// readDefinition reads a pattern file. A file without a tenant is for the one of the token.
func readDefinition(file, tenant string) (fp.Definition, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return fp.Definition{}, err
	}
	d, err := fp.ParseDefinition(file, text, tenant)
	if err != nil {
		return d, fpUsage(err)
	}
	whole := d
	whole.Tenant = cmp.Or(d.Tenant, "of the token")
	return d, fpUsage(whole.Check())
}

// report prints a backtest, also one that comes with a refusal.
func (d *fpDesk) report(r *fp.Report, err error) {
	var p *api.Problem
	if errors.As(err, &p) && p.Backtest != nil {
		r = p.Backtest
	}
	if r == nil {
		return
	}
	w := d.env.stdout
	if r.Alerts == 0 {
		fmt.Fprintln(w, "backtest: no stored alerts to hold it against")
		return
	}
	fmt.Fprintf(w, "backtest: would have hidden %d of %d alerts (%.1f %%) in %d investigations, on %d hosts and %d accounts\n",
		r.Hidden, r.Alerts, 100*r.Share(), r.Investigations, r.Hosts, r.Accounts)
	if r.Hidden > 0 {
		fmt.Fprintf(w, "  from %s to %s; for example %s\n", r.First.UTC().Format(time.RFC3339), r.Last.UTC().Format(time.RFC3339), strings.Join(r.Examples, ", "))
	}
	if r.Malicious > 0 {
		fmt.Fprintf(w, "  %d of them the product calls true_positive: evidence would have stopped the closing\n", r.Malicious)
	}
	for _, x := range r.Refusals {
		fmt.Fprintf(w, "  refused, %s: %s\n", x.Code, x.Reason)
	}
	if len(r.Against) > 0 {
		fmt.Fprintf(w, "  see %s\n", strings.Join(r.Against, ", "))
	}
}

func (d *fpDesk) standing(p *fp.Pattern) {
	w := d.env.stdout
	fmt.Fprintf(w, "%s %s: %s", p.ID, inert(p.Name, 120), p.Status)
	if !p.Expiry.IsZero() && (p.Status == fp.Active || p.Status == fp.Shadow) {
		fmt.Fprintf(w, " until %s", p.Expiry.UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(w, ", version %d\n", p.Version)
}
