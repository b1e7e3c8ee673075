package openai_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/llmtest"
	"github.com/aluskort/aluskort/internal/llm/openai"
	"github.com/aluskort/aluskort/internal/llm/simulated"
)

func request() *llm.Request {
	return &llm.Request{
		Model: "local", System: "You assess alerts.", MaxTokens: 900,
		Messages: []llm.Message{{Role: llm.User, Text: `{"id":"ev-1","weight":4}`}},
		Answer:   &llm.Schema{JSON: json.RawMessage(llmtest.Verdict)},
	}
}

func serve(t *testing.T, c simulated.Config) *simulated.Server {
	s := simulated.NewServer(c)
	t.Cleanup(s.Close)
	return s
}

func TestSchemaModes(t *testing.T) {
	for _, c := range []struct {
		mode        openai.SchemaMode
		has, hasNot string
	}{
		{"", `"type":"json_schema"`, "Answer with one JSON object"},
		{openai.SchemaObject, `"type":"json_object"`, "json_schema"},
		{openai.SchemaPrompt, "Answer with one JSON object", "response_format"},
	} {
		s := serve(t, simulated.Config{})
		p := open(openai.Abilities{Schema: c.mode})(s, llmtest.Options{})
		res, err := p.Complete(t.Context(), request())
		if err != nil || res.Stop != llm.StopEnd {
			t.Fatalf("%s: %+v, %v", c.mode, res, err)
		}
		body := string(s.Received()[0].Body)
		if !strings.Contains(body, c.has) || strings.Contains(body, c.hasNot) || !strings.Contains(body, "investigation_required") {
			t.Errorf("%s: %s", c.mode, body)
		}
		if c.mode != openai.SchemaPrompt && !strings.Contains(res.Text, `"classification":"true_positive"`) {
			t.Errorf("%s: %s", c.mode, res.Text)
		}
	}
	s := serve(t, simulated.Config{NoSchema: true})
	if _, err := open(openai.Abilities{})(s, llmtest.Options{}).Complete(t.Context(), request()); llm.KindOf(err) != llm.KindRequest {
		t.Errorf("a server that does not know schemas: %v", err)
	}
}

func TestAbilities(t *testing.T) {
	s := serve(t, simulated.Config{})
	r := request()
	r.Answer = nil
	r.ThinkingTokens = 5000
	if _, err := open(openai.Vendor())(s, llmtest.Options{}).Complete(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if body := string(s.Received()[0].Body); !strings.Contains(body, `"max_completion_tokens":900`) || !strings.Contains(body, `"reasoning_effort":"high"`) {
		t.Errorf("vendor: %s", body)
	}
	res, err := open(openai.Abilities{NoStreamUsage: true})(s, llmtest.Options{}).Stream(t.Context(), r, func(string) {})
	if err != nil || res.Usage.Known {
		t.Errorf("without stream_options: %+v, %v", res, err)
	}
	if body := string(s.Received()[1].Body); !strings.Contains(body, `"max_tokens":900`) || strings.Contains(body, "reasoning_effort") || strings.Contains(body, "stream_options") {
		t.Errorf("compatible: %s", body)
	}
}

func TestKeyIsOptionalExceptAtTheVendor(t *testing.T) {
	s := serve(t, simulated.Config{})
	if _, err := open(openai.Abilities{})(s, llmtest.Options{}).Complete(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	if got := s.Received()[0].Header.Get("Authorization"); got != "" {
		t.Errorf("a key was sent: %q", got)
	}
	vendor := openai.New(openai.Config{Transport: s.Transport()})
	if _, err := vendor.Complete(t.Context(), request()); llm.KindOf(err) != llm.KindAuth || len(s.Received()) != 1 {
		t.Errorf("the vendor without a key: %v", err)
	}
}

// TestC5_RewrittenStopReason: servers are known to call a call cut by the limit a finished one.
func TestC5_RewrittenStopReason(t *testing.T) {
	for _, finish := range []string{"stop", "tool_calls"} {
		step := simulated.Step{RawStop: finish, Response: func(r *llm.Response) { r.Usage = llm.Usage{Input: 50, Output: 900, Known: true} }}
		s := serve(t, simulated.Config{Script: simulated.Always(step)})
		p := open(openai.Abilities{})(s, llmtest.Options{})
		r := request()
		r.Answer = nil
		r.Tools = []llm.Tool{{Name: "look_up", Input: json.RawMessage(`{"type":"object","properties":{},"required":[],"additionalProperties":false}`)}}
		for name, call := range map[string]func() (*llm.Response, error){
			"complete": func() (*llm.Response, error) { return p.Complete(t.Context(), r) },
			"stream":   func() (*llm.Response, error) { return p.Stream(t.Context(), r, func(string) {}) },
		} {
			if res, err := call(); err != nil || res.Stop != llm.StopLength || len(res.Calls) != 0 {
				t.Errorf("%s %s: %+v, %v", finish, name, res, err)
			}
		}
	}
	// "stop" with a whole call, below the limit, is how others call a tool.
	s := serve(t, simulated.Config{Script: simulated.Always(simulated.Step{RawStop: "stop"})})
	r := request()
	r.Answer = nil
	r.Tools = []llm.Tool{{Name: "look_up", Input: json.RawMessage(`{"type":"object","properties":{},"required":[],"additionalProperties":false}`)}}
	if res, err := open(openai.Abilities{})(s, llmtest.Options{}).Complete(t.Context(), r); err != nil || res.Stop != llm.StopTools || len(res.Calls) != 1 {
		t.Errorf("got %+v, %v", res, err)
	}
}

func TestContentFilter(t *testing.T) {
	s := serve(t, simulated.Config{Script: simulated.Always(simulated.Step{RawStop: "content_filter"})})
	if res, err := open(openai.Abilities{})(s, llmtest.Options{}).Complete(t.Context(), request()); err != nil || res.Stop != llm.StopRefusal {
		t.Errorf("got %+v, %v", res, err)
	}
}

func TestLoopback(t *testing.T) {
	s := serve(t, simulated.Config{})
	url, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	p := openai.New(openai.Config{BaseURL: url + "/v1"})
	if res, err := p.Complete(t.Context(), request()); err != nil || res.Stop != llm.StopEnd {
		t.Errorf("got %+v, %v", res, err)
	}
}
