package anthropic_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/anthropic"
	"github.com/aluskort/aluskort/internal/llm/simulated"
)

// question is as large as one about an alert, with its tools and the schema of its answer.
func question() *llm.Request {
	tool := func(name string) llm.Tool {
		return llm.Tool{Name: name, Description: strings.Repeat("Looks something up. ", 10), Input: []byte(`{"type":"object","properties":{"value":{"type":"string"}},"required":["value"],"additionalProperties":false}`)}
	}
	return &llm.Request{
		Model: "claude-haiku-5-5", System: strings.Repeat("Judge the alert by its evidence. ", 120), MaxTokens: 1024,
		Messages: []llm.Message{{Role: llm.User, Text: strings.Repeat(`{"process":{"command_line":"powershell.exe -File C:\\it\\inventory.ps1"},"host":"ws-07"}`+"\n", 70)}},
		Tools:    []llm.Tool{tool("indicator"), tool("entity_history"), tool("similar_incidents"), tool("asset_context")},
		Answer: &llm.Schema{Name: "verdict", JSON: []byte(`{"type":"object","properties":{"verdict":{"type":"string"},"reason":{"type":"string"}},` +
			`"required":["verdict","reason"],"additionalProperties":false}`)},
	}
}

// BenchmarkCallsAtOnce is 512 calls on the way that are answered after 200 ms, with nothing around
// the vendor's client and the server: no product on this machine makes more calls than this.
func BenchmarkCallsAtOnce(b *testing.B) {
	s := simulated.NewServer(simulated.Config{Keep: 1, Script: func(int, *llm.Request) simulated.Step { return simulated.Step{Latency: 200 * time.Millisecond} }})
	defer s.Close()
	p := anthropic.New(anthropic.Config{BaseURL: simulated.BaseURL, Transport: s.Transport(), Key: options().Key})
	calls := make(chan struct{})
	var callers sync.WaitGroup
	for range 512 {
		callers.Go(func() {
			r := question()
			for range calls {
				if _, err := p.Complete(b.Context(), r); err != nil {
					b.Error(err)
				}
			}
		})
	}
	begin := time.Now()
	for b.Loop() {
		calls <- struct{}{}
	}
	close(calls)
	callers.Wait()
	b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "calls/s")
	b.ReportMetric(0, "ns/op")
}
