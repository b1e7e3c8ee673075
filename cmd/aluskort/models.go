package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/gateway/models"
)

// modelFlags let a command that works by itself ask a model.
type modelFlags struct {
	Model    string        `name:"model" placeholder:"NAME" help:"Ask a model: simulated (inside this program, no network, no key), or configured (models.provider of the configuration). Without it none is asked."`
	Latency  time.Duration `default:"0s" help:"How long a simulated model takes to answer."`
	Inflight int           `default:"0" help:"How many questions may be under way at once; 0 takes the configured number."`
}

// apply changes the configuration of the command and says how its node asks.
func (f *modelFlags) apply(e *env, w *workspace) error {
	switch f.Model {
	case "":
		e.config.Models.Provider = ""
	case "configured":
		if e.config.Models.Provider == "" {
			return &usageError{"--model configured: the configuration names no models.provider"}
		}
	case "simulated":
		m := config.Default().Models
		m.Provider, m.Profile, m.Ask = "simulated", e.config.Models.Profile, e.config.Models.Ask
		m.Budget = config.Budget{Soft: 1e6, Hard: 1e6, Hour: 1e6, Investigation: 1e6}
		m.Slots, m.Tier = 64, "unlimited"
		e.config.Models = m
	default:
		return &usageError{fmt.Sprintf("--model %s: use simulated or configured", f.Model)}
	}
	if f.Latency < 0 || f.Inflight < 0 || f.Inflight > 4096 {
		return &usageError{"--latency must not be negative, --inflight is 0 to 4096"}
	}
	if f.Inflight > 0 {
		e.config.Models.Slots = f.Inflight
	}
	w.unhurried, w.latency = true, f.Latency
	return nil
}

// Environment variables that make `investigate` ask a model without further configuration.
const (
	envAnthropic = "ANTHROPIC_API_KEY"
	envOpenAI    = "OPENAI_API_KEY"
	envBaseURL   = "ALUSKORT_LLM_BASE_URL"
	envModel     = "ALUSKORT_LLM_MODEL"
)

// modelOfEnvironment completes the configuration by what the environment holds, where it names
// no provider itself, and says in a line what that means.
func modelOfEnvironment(e *env) (note string) {
	m := &e.config.Models
	if m.Provider != "" {
		return ""
	}
	base, anthropic, openai := e.getenv(envBaseURL), e.getenv(envAnthropic), e.getenv(envOpenAI)
	switch {
	case base != "":
		m.Provider, m.BaseURL, m.Key, m.Model = "openai", base, config.Secret(openai), e.getenv(envModel)
		return "models at " + base + " are asked (" + envBaseURL + ")"
	case anthropic != "":
		m.Provider, m.Key = "anthropic", config.Secret(anthropic)
		if openai != "" {
			m.Fallback = config.Fallback{Provider: "openai", Key: config.Secret(openai)}
		}
		return "models of Anthropic are asked (" + envAnthropic + "); unset it to stay without"
	case openai != "":
		m.Provider, m.Key = "openai", config.Secret(openai)
		return "models of OpenAI are asked (" + envOpenAI + "); unset it to stay without"
	}
	return ""
}

// writeSpending prints what models took, by tier and provider. Nothing is printed when none was
// asked.
func writeSpending(ctx context.Context, w io.Writer, n *app.Node, alerts int) error {
	list, err := n.ModelSpending(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	type key struct{ tier, provider, model string }
	sums, order := map[key][4]int64{}, []key{}
	var total [4]int64
	for _, s := range list {
		k := key{s.Tier, s.Provider, s.Model}
		if _, known := sums[k]; !known {
			order = append(order, k)
		}
		sum := sums[k]
		for i, v := range [4]int64{s.Calls, s.Input + s.Cached, s.Output, s.MicroUSD} {
			sum[i] += v
			total[i] += v
		}
		sums[k] = sum
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nModels\n  %-5s %-10s %-22s %7s %12s %12s %12s\n", "tier", "provider", "model", "calls", "tokens in", "tokens out", "USD")
	for _, k := range order {
		s := sums[k]
		fmt.Fprintf(&b, "  %-5s %-10s %-22s %7d %12d %12d %12.6f\n", k.tier, k.provider, k.model, s[0], s[1], s[2], float64(s[3])/1e6)
	}
	fmt.Fprintf(&b, "  %-39s %7d %12d %12d %12.6f\n", "all", total[0], total[1], total[2], float64(total[3])/1e6)
	if alerts > 0 {
		fmt.Fprintf(&b, "  per alert %.6f USD, over %d alerts\n", float64(total[3])/1e6/float64(alerts), alerts)
	}
	_, err = io.WriteString(w, b.String())
	return err
}

var errNoModels = errors.New("no model is configured: set models.provider (docs/models.md)")

type modelsCmd struct {
	Status modelsStatusCmd `cmd:"" default:"1" help:"Show providers, degradation level and what was spent this month."`
	Probe  modelsProbeCmd  `cmd:"" help:"Test whether the configured models are fit: strict JSON, tools, citations, injections, latency, usage."`
}

type modelsStatusCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run opens the state itself; a running server shows the same at /api/v1/models.
func (c *modelsStatusCmd) Run(e *env) error {
	return withModels(e, false, func(ctx context.Context, n *app.Node) error {
		r, ok, err := n.ModelStatus(ctx)
		switch {
		case err != nil:
			return err
		case !ok:
			return errNoModels
		case c.JSON:
			return printIndented(e.stdout, r)
		}
		w := e.stdout
		fmt.Fprintf(w, "level %s, profile %s, %d escalations left this hour\n", r.Level, r.Profile, r.Escalations)
		for _, p := range r.Providers {
			fmt.Fprintf(w, "  %-12s %-12s breaker %s, %d of %d attempts worked in five minutes\n", p.Provider, p.Health, p.Breaker, p.Worked, p.Attempts)
		}
		fmt.Fprintf(w, "month %s: %.6f USD booked, %.6f in flight; soft cap %.2f, hard cap %.2f\n", r.Spend.Month,
			float64(r.Spend.Booked)/1e6, float64(r.Spend.InFlight)/1e6, float64(r.Spend.Soft)/1e6, float64(r.Spend.Hard)/1e6)
		for _, text := range r.Warnings {
			fmt.Fprintf(w, "  note: %s\n", text)
		}
		return writeSpending(ctx, w, n, 0)
	})
}

type modelsProbeCmd struct {
	JSON bool `name:"json" help:"Print JSON, one object a model."`
}

// Run ends with findings when a model is not fit.
func (c *modelsProbeCmd) Run(e *env) error {
	if note := modelOfEnvironment(e); note != "" {
		fmt.Fprintln(e.stderr, "aluskort:", note)
	}
	fit := true
	err := withModels(e, true, func(ctx context.Context, n *app.Node) error {
		var failed error
		configured := n.ProbeModels(ctx, func(r *models.Fitness) {
			fit = fit && r.Fit()
			if c.JSON {
				failed = errors.Join(failed, printIndented(e.stdout, r))
				return
			}
			verdict := "fit"
			if !r.Fit() {
				verdict = "NOT FIT"
			}
			fmt.Fprintf(e.stdout, "%s %s: %s\n", r.Provider, r.Model, verdict)
			for _, k := range r.Checks {
				fmt.Fprintf(e.stdout, "  %-8s %-14s %s\n", k.Outcome, k.Name, inert(k.Detail, 160))
				if k.Advice != "" {
					fmt.Fprintf(e.stdout, "           %-14s %s\n", "", inert(k.Advice, 200))
				}
			}
		})
		if !configured {
			return errNoModels
		}
		return failed
	})
	if err == nil && !fit {
		return errFindings
	}
	return err
}

// withModels opens a node: the configured state, or a temporary one for what leaves none.
func withModels(e *env, temporary bool, fn func(context.Context, *app.Node) error) (err error) {
	dir := e.config.State
	if temporary {
		w, err := openWorkspace("", false)
		if err != nil {
			return err
		}
		return w.run(e, fn)
	}
	n, err := app.Open(e.ctx, app.Options{Dir: dir, Config: e.config, Log: e.log})
	if err != nil {
		return err
	}
	return errors.Join(fn(e.ctx, n), n.Close())
}
