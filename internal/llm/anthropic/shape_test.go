package anthropic_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/anthropic"
	"github.com/aluskort/aluskort/internal/llm/simulated"
)

func request(model string) *llm.Request {
	return &llm.Request{Model: model, System: "You assess alerts.", MaxTokens: 2000, Messages: []llm.Message{{Role: llm.User, Text: "Assess [ev-1]."}}}
}

// sent makes one call and returns its body.
func sent(t *testing.T, change func(*anthropic.Config), r *llm.Request) string {
	t.Helper()
	s := simulated.NewServer(simulated.Config{})
	t.Cleanup(s.Close)
	c := anthropic.Config{BaseURL: simulated.BaseURL, Transport: s.Transport(), Key: func(context.Context) (string, error) { return "k", nil }}
	if change != nil {
		change(&c)
	}
	if _, err := anthropic.New(c).Complete(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	all := s.Received()
	return string(all[len(all)-1].Body)
}

func TestCacheMark(t *testing.T) {
	long := request("claude-sonnet-5-5")
	long.System = strings.Repeat("Weigh the evidence. ", 400)
	for _, c := range []struct {
		name   string
		change func(*anthropic.Config)
		r      *llm.Request
		want   string // "" for no mark
	}{
		{"short", nil, request("claude-sonnet-5-5"), ""},
		{"long", nil, long, `"cache_control":{"type":"ephemeral"}`},
		{"an hour", func(c *anthropic.Config) { c.CacheHour = true }, long, `"ttl":"1h"`},
		{"switched off", func(c *anthropic.Config) { c.CacheFrom = -1 }, long, ""},
		{"from little", func(c *anthropic.Config) { c.CacheFrom = 1 }, request("claude-sonnet-5-5"), "cache_control"},
	} {
		body := sent(t, c.change, c.r)
		if got := strings.Contains(body, "cache_control"); got != (c.want != "") || !strings.Contains(body, c.want) {
			t.Errorf("%s: %.300s", c.name, body)
		}
	}
}

func TestThinkingIsAskedForAsTheModelKnows(t *testing.T) {
	for _, c := range []struct {
		model  string
		tokens int
		want   []string
	}{
		{"claude-opus-5-5", 2000, []string{`"type":"adaptive"`, `"effort":"low"`}},
		{"claude-opus-5-5", 4096, []string{`"effort":"medium"`}},
		{"claude-opus-5-5", 8192, []string{`"effort":"high"`}},
		{"claude-haiku-4-5-20251001", 1500, []string{`"budget_tokens":1500`, `"type":"enabled"`}},
		{"claude-haiku-4-5-20251001", 100, []string{`"budget_tokens":1024`}},
		{"claude-haiku-4-5-20251001", 90_000, []string{`"budget_tokens":1999`}},
	} {
		r := request(c.model)
		r.ThinkingTokens = c.tokens
		body := sent(t, nil, r)
		for _, w := range c.want {
			if !strings.Contains(body, w) {
				t.Errorf("%s, %d: %s lacks %s", c.model, c.tokens, body, w)
			}
		}
	}
	if body := sent(t, nil, request("claude-opus-5-5")); strings.Contains(body, "thinking") || strings.Contains(body, "effort") || strings.Contains(body, "temperature") {
		t.Errorf("more was asked for than wanted: %s", body)
	}
}

func TestOpaqueTurns(t *testing.T) {
	s := simulated.NewServer(simulated.Config{})
	t.Cleanup(s.Close)
	p := open(s, options())
	r := request("claude-opus-5-5")
	r.ThinkingTokens = 2000
	res, err := p.Complete(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	follow := func(opaque string) error {
		m := res.Message()
		m.Opaque = json.RawMessage(opaque)
		next := request("claude-opus-5-5")
		next.ThinkingTokens = 2000
		next.Messages = append(next.Messages, m, llm.Message{Role: llm.User, Text: "Go on."})
		_, err := p.Complete(t.Context(), next)
		return err
	}
	if err := follow(string(res.Opaque)); err != nil {
		t.Errorf("as it came: %v", err)
	}
	if err := follow(strings.Replace(string(res.Opaque), "I have", "I had", 1)); llm.KindOf(err) != llm.KindRequest {
		t.Errorf("a changed block passed: %v", err)
	}
	for _, other := range []string{`{"openai":[]}`, `[]`, `{`, `{"anthropic":[]}`} {
		if err := follow(other); err != nil {
			t.Errorf("the turn of another provider, %s: %v", other, err)
		}
	}
}

func TestCountTokens(t *testing.T) {
	s := simulated.NewServer(simulated.Config{})
	t.Cleanup(s.Close)
	p := open(s, options()).(llm.Counter)
	short, err := p.CountTokens(t.Context(), request("m"))
	if err != nil || short < 5 {
		t.Fatalf("got %d, %v", short, err)
	}
	r := request("m")
	r.Messages[0].Text = strings.Repeat("evidence ", 1000)
	if long, err := p.CountTokens(t.Context(), r); err != nil || long < short+2000 {
		t.Errorf("got %d, %v", long, err)
	}
}

func TestRequestsThatCannotBePut(t *testing.T) {
	s := simulated.NewServer(simulated.Config{})
	t.Cleanup(s.Close)
	p := open(s, options())
	for name, change := range map[string]func(*llm.Request){
		"schema": func(r *llm.Request) { r.Answer = &llm.Schema{JSON: json.RawMessage(`{"type":`)} },
		"tool":   func(r *llm.Request) { r.Tools = []llm.Tool{{Name: "x", Input: json.RawMessage(`7`)}} },
		"call": func(r *llm.Request) {
			r.Messages = append(r.Messages, llm.Message{Role: llm.Assistant, Calls: []llm.ToolCall{{ID: "a", Name: "x", Input: json.RawMessage(`{"half`)}}})
		},
	} {
		r := request("m")
		change(r)
		if _, err := p.Complete(t.Context(), r); llm.KindOf(err) != llm.KindRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(s.Received()); n != 0 {
		t.Errorf("%d of them were sent", n)
	}
}
