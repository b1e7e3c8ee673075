package openai_test

import (
	"testing"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/llmtest"
	"github.com/aluskort/aluskort/internal/llm/openai"
	"github.com/aluskort/aluskort/internal/llm/simulated"
)

func open(a openai.Abilities) llmtest.Open {
	return func(s *simulated.Server, o llmtest.Options) llm.Provider {
		base, transport := o.Reach(s)
		return openai.New(openai.Config{BaseURL: base + "/v1", Transport: transport, Key: o.Key, Limits: o.Limits, Abilities: a})
	}
}

func TestVendor(t *testing.T) {
	llmtest.Run(t, llmtest.Subject{Open: open(openai.Vendor()), Model: "gpt-6-luna"})
}

func TestCompatible(t *testing.T) {
	llmtest.Run(t, llmtest.Subject{Open: open(openai.Abilities{}), Model: "local-model", Sample: true})
}
