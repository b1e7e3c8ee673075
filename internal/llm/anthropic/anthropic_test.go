package anthropic_test

import (
	"context"
	"testing"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/anthropic"
	"github.com/aluskort/aluskort/internal/llm/llmtest"
	"github.com/aluskort/aluskort/internal/llm/simulated"
)

func open(s *simulated.Server, o llmtest.Options) llm.Provider {
	base, transport := o.Reach(s)
	return anthropic.New(anthropic.Config{BaseURL: base, Transport: transport, Key: o.Key, Limits: o.Limits})
}

func TestProvider(t *testing.T) {
	llmtest.Run(t, llmtest.Subject{Open: open, Model: "claude-haiku-5-5", Thinks: true, WritesCache: true})
}

func TestProviderWithBudgets(t *testing.T) {
	llmtest.Run(t, llmtest.Subject{Open: open, Model: "claude-haiku-4-5", Sample: true, Thinks: true, WritesCache: true})
}

func options() llmtest.Options {
	return llmtest.Options{Key: func(context.Context) (string, error) { return "k", nil }}
}
