package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/simulated"
)

// runWith runs the program with an environment of its own.
func runWith(t *testing.T, vars map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	vars["HOME"], vars["XDG_STATE_HOME"] = t.TempDir(), t.TempDir()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &errs, func(k string) string { return vars[k] })
	return code, out.String(), errs.String()
}

// serverOf starts a server that speaks the protocols of the providers on loopback.
func serverOf(t *testing.T, c simulated.Config) (s *simulated.Server, base string) {
	t.Helper()
	s = simulated.NewServer(c)
	t.Cleanup(s.Close)
	base, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	return s, base + "/v1"
}

func TestInvestigateAsksTheModelOfTheEnvironment(t *testing.T) {
	s, base := serverOf(t, simulated.Config{})
	code, out, errs := runWith(t, map[string]string{envBaseURL: base}, "investigate", "--json", "../../examples/wazuh-alerts.jsonl")
	if code != 0 && code != exitFindings {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if !strings.Contains(errs, base) {
		t.Errorf("it does not say whom it asks: %q", errs)
	}
	asked := 0
	for line := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
		var l struct {
			Investigation struct{ Opinion *struct{ Model string } }
			LLM           struct {
				Calls int      `json:"calls"`
				Cost  *float64 `json:"cost_usd"`
			}
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.LLM.Calls > 0 {
			asked++
			if l.LLM.Cost == nil || *l.LLM.Cost != 0 {
				t.Errorf("a server of the house costs %v", l.LLM.Cost)
			}
		}
	}
	if asked == 0 || len(s.Received()) == 0 {
		t.Error("no model was asked")
	}
}

func TestNoModelIsAskedWithoutBeingNamed(t *testing.T) {
	s, base := serverOf(t, simulated.Config{})
	for _, args := range [][]string{{"demo", "--once"}, {"bench", "pipeline", "--alerts", "50"}} {
		if code, _, errs := runWith(t, map[string]string{envBaseURL: base, envAnthropic: "key", envOpenAI: "key"}, args...); code != 0 {
			t.Fatalf("%v: exit %d: %s", args, code, errs)
		}
	}
	if n := len(s.Received()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func TestInvestigateFinishesWithoutItsModel(t *testing.T) {
	_, base := serverOf(t, simulated.Config{Script: simulated.Always(simulated.Step{Status: 503, Type: "overloaded_error", Message: "down"})})
	code, out, errs := runWith(t, map[string]string{envBaseURL: base, envModel: "any"}, "investigate", "../../examples/wazuh-alerts.jsonl")
	if code != 0 && code != exitFindings || !strings.Contains(out, "chain verified") {
		t.Fatalf("exit %d: %s\n%s", code, errs, out)
	}
}

func TestModelsProbeTellsFitFromUnfit(t *testing.T) {
	_, good := serverOf(t, simulated.Config{})
	if code, out, errs := runWith(t, map[string]string{envBaseURL: good}, "models", "probe"); code != 0 || !strings.Contains(out, ": fit") {
		t.Errorf("a good model: exit %d, %s%s", code, out, errs)
	}
	_, bad := serverOf(t, simulated.Config{Script: func(int, *llm.Request) simulated.Step {
		return simulated.Step{Edit: func(string) string { return "Sure! Here is your answer." }}
	}})
	if code, out, errs := runWith(t, map[string]string{envBaseURL: bad}, "models", "probe"); code != exitFindings || !strings.Contains(out, "NOT FIT") {
		t.Errorf("a bad model: exit %d, %s%s", code, out, errs)
	}
}

func TestDemoWithASimulatedModelSaysWhatItCost(t *testing.T) {
	code, out, errs := runWith(t, map[string]string{}, "demo", "--once", "--model", "simulated")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, want := range []string{"chain verified", "claude-sonnet-5-5", "per alert 0.00"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
}
