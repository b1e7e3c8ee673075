package models

import (
	"context"
	"fmt"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/anthropic"
	"github.com/aluskort/aluskort/internal/llm/simulated"
)

func provider(e *Endpoint, clk clock.Clock) (llm.Provider, error) {
	key := e.Key
	if key == nil {
		key = func(context.Context) (string, error) { return "", nil }
	}
	switch e.Kind {
	case "anthropic":
		return anthropic.New(anthropic.Config{BaseURL: e.BaseURL, Key: key, Clock: clk, Transport: e.Transport}), nil
	case "openai":
		return openaiProvider(e, key, clk)
	}
	return nil, fmt.Errorf("models: provider %q; use anthropic, openai or simulated", e.Kind)
}

// remembered is how many requests a simulated server keeps: nobody looks at them.
const remembered = 1

// simulate replaces a simulated endpoint by the vendors' protocols that this build has, spoken by a server inside
// this process that no network reaches.
func (m *Models) simulate(endpoints []Endpoint) []Endpoint {
	var out []Endpoint
	for _, e := range endpoints {
		if e.Kind != "simulated" {
			out = append(out, e)
			continue
		}
		s := simulated.NewServer(simulated.Config{
			Clock: m.cfg.Clock, Keep: remembered,
			Script: func(int, *llm.Request) simulated.Step { return simulated.Step{Latency: e.Latency} },
		})
		m.close = append(m.close, s.Close)
		key := func(context.Context) (string, error) { return "simulated", nil }
		out = append(out, Endpoint{Kind: "anthropic", BaseURL: simulated.BaseURL, Key: key, Transport: s.Transport()})
		if hasOpenAI {
			out = append(out, Endpoint{Kind: "openai", BaseURL: simulated.BaseURL + "/v1", Key: key, Transport: s.Transport()})
		}
	}
	return out
}
