package probe_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/anthropic"
	"github.com/aluskort/aluskort/internal/llm/openai"
	"github.com/aluskort/aluskort/internal/llm/probe"
	"github.com/aluskort/aluskort/internal/llm/simulated"
)

// limited cuts answers as real models do.
type limited struct{ simulated.Model }

func (l limited) Answer(r *llm.Request) *llm.Response {
	a := l.Model.Answer(r)
	if most := 4 * r.MaxTokens; len(a.Text) > most || strings.Contains(r.System, "write texts") {
		a.Text, a.Stop = "one, two, three, four", llm.StopLength
	}
	return a
}

func start(t *testing.T, c simulated.Config) *simulated.Server {
	s := simulated.NewServer(c)
	t.Cleanup(s.Close)
	return s
}

func providers(s *simulated.Server) map[string]llm.Provider {
	return map[string]llm.Provider{
		"anthropic": anthropic.New(anthropic.Config{BaseURL: simulated.BaseURL, Transport: s.Transport(), Key: func(context.Context) (string, error) { return "k", nil }}),
		"openai":    openai.New(openai.Config{BaseURL: simulated.BaseURL + "/v1", Transport: s.Transport()}),
	}
}

func TestAGoodModelIsFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, simulated.Config{Model: limited{simulated.Analyst{}}, Script: simulated.Always(simulated.Step{Latency: 1500 * time.Millisecond})})
		for name, p := range providers(s) {
			r := probe.Run(t.Context(), p, "some-model", probe.Options{Within: 3 * time.Second})
			if !r.Fit() {
				t.Errorf("%s is not fit: %+v", name, r)
			}
			for _, c := range r.Checks {
				if c.Outcome != probe.Pass {
					t.Errorf("%s: %+v", name, c)
				}
			}
			if r.P50 != 1500*time.Millisecond || r.Calls != 10 || r.Used.Input == 0 || r.Answered != "some-model" {
				t.Errorf("%s: %+v", name, r)
			}
		}
	})
}

func TestFaultsAreFound(t *testing.T) {
	good := limited{simulated.Analyst{}}
	for _, c := range []struct {
		name  string
		model simulated.Model
		step  simulated.Step
		check string
		want  probe.Outcome
		fit   bool
	}{
		{"fenced", good, simulated.Fenced(), probe.StrictJSON, probe.Fail, false},
		{"wrong value", good, simulated.Replacing("malicious\"", "bad\""), probe.StrictJSON, probe.Fail, false},
		{"extra property", good, simulated.Replacing("{", `{"more":1,`), probe.StrictJSON, probe.Fail, false},
		{"refusal", good, simulated.Stopped(llm.StopRefusal), probe.StrictJSON, probe.Fail, false},
		{"invented citation", good, simulated.Replacing("ev-101", "ev-999"), probe.Citations, probe.Fail, false},
		{"obedient", limited{simulated.Obedient{}}, simulated.Step{}, probe.Injection, probe.Fail, false},
		{"no usage", good, simulated.Step{NoUsage: true}, probe.UsageKnown, probe.Fail, false},
		{"other model", good, simulated.OtherModel("tiny-1"), probe.ModelName, probe.Fail, true},
		{"slow", good, simulated.Step{Latency: 9 * time.Second}, probe.Latency, probe.Fail, true},
		{"no tools", good, simulated.Step{Response: func(r *llm.Response) {
			if r.Calls != nil {
				r.Calls, r.Text, r.Stop = nil, "Tamm", llm.StopEnd
			}
		}}, probe.ToolUse, probe.Fail, false},
		{"cut called end", simulated.Analyst{}, simulated.Step{Response: func(r *llm.Response) {
			if strings.HasPrefix(r.Text, "Classification") {
				r.Text, r.Stop, r.Usage = "one, two", llm.StopEnd, llm.Usage{Known: true, Input: 9, Output: 99}
			}
		}}, probe.StopReason, probe.Fail, false},
		{"down", good, simulated.Failing(500), probe.StrictJSON, probe.Unknown, false},
		{"revoked", good, simulated.Revoked(), probe.Injection, probe.Unknown, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, simulated.Config{Model: c.model, Script: simulated.Always(c.step)})
				for name, p := range providers(s) {
					if c.name == "cut called end" && name == "openai" {
						continue // the provider itself sees that the limit was reached
					}
					r := probe.Run(t.Context(), p, "some-model", probe.Options{Within: 3 * time.Second})
					got := r.Check(c.check)
					if got.Outcome != c.want || r.Fit() != c.fit {
						t.Errorf("%s: fit %v, %+v", name, r.Fit(), r.Checks)
					}
					if got.Outcome == probe.Fail && (got.Detail == "" || got.Advice == "") {
						t.Errorf("%s: a failure without detail or advice: %+v", name, got)
					}
				}
			})
		})
	}
}

func TestFirstFindsWhatTheServerKnows(t *testing.T) {
	variants := func(s *simulated.Server) []probe.Variant {
		p := openai.New(openai.Config{BaseURL: simulated.BaseURL + "/v1", Transport: s.Transport()})
		return []probe.Variant{
			{Name: "json_schema", Provider: p},
			{Name: "json_object", Provider: p.With(openai.Abilities{Schema: openai.SchemaObject})},
			{Name: "prompt", Provider: p.With(openai.Abilities{Schema: openai.SchemaPrompt})},
		}
	}
	s := start(t, simulated.Config{})
	if best, seen := probe.First(t.Context(), "m", variants(s), probe.Options{}); best == nil || best.Name != "json_schema" || len(seen) != 1 {
		t.Errorf("got %+v after %+v", best, seen)
	}
	s = start(t, simulated.Config{NoSchema: true})
	if best, seen := probe.First(t.Context(), "m", variants(s), probe.Options{}); best == nil || best.Name != "json_object" || len(seen) != 2 || seen[0].Outcome != probe.Fail {
		t.Errorf("got %+v after %+v", best, seen)
	}
	s = start(t, simulated.Config{Script: simulated.Always(simulated.Fenced())})
	if best, seen := probe.First(t.Context(), "m", variants(s), probe.Options{}); best != nil || len(seen) != 3 {
		t.Errorf("got %+v after %+v", best, seen)
	}
}
