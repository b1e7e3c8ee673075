//go:build !lean

package models

import (
	"context"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/openai"
)

const hasOpenAI = true

func openaiProvider(e *Endpoint, key func(context.Context) (string, error), clk clock.Clock) (llm.Provider, error) {
	c := openai.Config{BaseURL: e.BaseURL, Key: key, Clock: clk, Transport: e.Transport}
	if e.BaseURL == "" {
		c.Abilities = openai.Vendor()
	}
	return openai.New(c), nil
}
