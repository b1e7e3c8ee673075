package models

import (
	"context"
	"fmt"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/anthropic"
	"github.com/aluskort/aluskort/internal/llm/openai"
)

func provider(e *Endpoint, clk clock.Clock) (llm.Provider, error) {
	key := e.Key
	if key == nil {
		key = func(context.Context) (string, error) { return "", nil }
	}
	switch e.Kind {
	case "anthropic":
		return anthropic.New(anthropic.Config{BaseURL: e.BaseURL, Key: key, Clock: clk}), nil
	case "openai":
		return openai.New(openai.Config{BaseURL: e.BaseURL, Key: key, Clock: clk}), nil
	}
	return nil, fmt.Errorf("models: provider %q; use anthropic or openai", e.Kind)
}
