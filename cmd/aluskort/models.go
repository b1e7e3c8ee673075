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
		m.Slots = 64
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
