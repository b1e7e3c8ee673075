package route

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
)

var today = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func table(t testing.TB, profile, override string) *registry.Table {
	t.Helper()
	out, err := registry.Load(profile, []byte(override))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func normal() State {
	return State{At: today, Level: Full, Providers: map[string]Health{"anthropic": Healthy, "openai": Healthy}, Escalations: 10}
}

func models(d Decision) string {
	var out []string
	for _, c := range d.Candidates {
		out = append(out, c.Model)
	}
	return strings.Join(out, " ")
}

func rules(d Decision) []Rule {
	var out []Rule
	for _, r := range d.Reasons {
		out = append(out, r.Rule)
	}
	return out
}

const (
	t0 = "claude-haiku-5-5 gpt-4o-mini"
	t1 = "claude-sonnet-5-5 gpt-4o"
	tp = "claude-opus-5-5 gpt-4o"
)

func TestOverrideOrder(t *testing.T) {
	low, high := 0.59, 0.60
	for _, c := range []struct {
		name   string
		ask    Ask
		change func(s *State)
		tier   registry.Tier
		models string
		rule   Rule // must be among the reasons; empty: only the base tier and the price
	}{
		{"tier 0 task", asking(llm.IOCExtraction, alert.Medium), nil, registry.T0, t0, ""},
		{"tier 1 task", asking(llm.Investigation, alert.Medium), nil, registry.T1, t1, ""},
		{"tier 2 task", asking(llm.PlaybookGeneration, alert.Medium), nil, registry.T2, "claude-sonnet-5-5", ""},
		{"unknown task", asking("brew_coffee", alert.Medium), nil, registry.T1, t1, ""},

		{"short budget", Ask{Task: llm.Investigation, BudgetMS: 2999}, nil, registry.T0, t0, RuleTimeBudget},
		{"budget that is not short", Ask{Task: llm.Investigation, BudgetMS: 3000}, nil, registry.T1, t1, ""},
		{"critical reasoning", asking(llm.SeverityAssessment, alert.Critical), nil, registry.T1, t1, RuleCritical},
		{"high reasoning", asking(llm.SeverityAssessment, alert.High), nil, registry.T0, t0, ""},
		{"critical, but no reasoning", asking(llm.IOCExtraction, alert.Critical), nil, registry.T0, t0, ""},
		{"short budget wins over critical", Ask{Task: llm.SeverityAssessment, Severity: alert.Critical, BudgetMS: 1000}, nil, registry.T0, t0, ""},

		{"long context", Ask{Task: llm.LogSummarisation, PromptTokens: 100_001}, nil, registry.T1, "claude-sonnet-5-5 gpt-4o", RuleLongContext},
		{"context that is not long", Ask{Task: llm.LogSummarisation, PromptTokens: 100_000}, nil, registry.T0, t0, ""},
		{"long context wins over a short budget", Ask{Task: llm.LogSummarisation, PromptTokens: 100_001, BudgetMS: 1000}, nil, registry.T1, t1, RuleLongContext},
		{"long context is no matter at tier 1", Ask{Task: llm.Investigation, PromptTokens: 110_000}, nil, registry.T1, t1, ""},

		{"low confidence, high", Ask{Task: llm.Investigation, Severity: alert.High, Confidence: &low}, nil, registry.T1Plus, tp, RuleConfidence},
		{"low confidence, medium", Ask{Task: llm.Investigation, Severity: alert.Medium, Confidence: &low}, nil, registry.T1, t1, ""},
		{"confidence that is not low", Ask{Task: llm.Investigation, Severity: alert.Critical, Confidence: &high}, nil, registry.T1, t1, ""},
		{"low confidence, escalations used up", Ask{Task: llm.Investigation, Severity: alert.High, Confidence: &low},
			func(s *State) { s.Escalations = 0 }, registry.T1, t1, RuleConfidence},

		{"prompt beyond the window of the fallback", Ask{Task: llm.Investigation, PromptTokens: 125_000}, nil, registry.T1, "claude-sonnet-5-5", RuleCapability},
		{"only the second provider is configured", asking(llm.Investigation, alert.Low),
			func(s *State) { delete(s.Providers, "anthropic") }, registry.T1, "gpt-4o", RuleCapability},
		{"first provider cannot be reached", asking(llm.Investigation, alert.Low),
			func(s *State) { s.Providers["anthropic"] = Unreachable }, registry.T1, "gpt-4o claude-sonnet-5-5", RuleHealth},
		{"first provider is shaky", asking(llm.Investigation, alert.Low),
			func(s *State) { s.Providers["anthropic"] = Degraded }, registry.T1, t1, ""},
		{"first provider may be probed", asking(llm.Investigation, alert.Low),
			func(s *State) { s.Providers["anthropic"] = ProbeDue }, registry.T1, t1, ""},
		{"secondary caps at tier 1", Ask{Task: llm.Investigation, Severity: alert.High, Confidence: &low},
			func(s *State) { s.Level = Secondary; s.Providers["anthropic"] = Unreachable }, registry.T1, "gpt-4o claude-sonnet-5-5", RuleDegradation},
		{"probe while nothing can be reached", asking(llm.Investigation, alert.Low),
			func(s *State) {
				s.Level = Deterministic
				s.Providers["anthropic"], s.Providers["openai"] = Unreachable, ProbeDue
			}, registry.T1, "gpt-4o", RuleHealth},
	} {
		s := normal()
		if c.change != nil {
			c.change(&s)
		}
		d := Plan(table(t, "", ""), c.ask, s)
		if d.Tier != c.tier || models(d) != c.models || d.Refused != "" {
			t.Errorf("%s: tier %s, %s, refused %q; want %s, %s\n%v", c.name, d.Tier, models(d), d.Refused, c.tier, c.models, d.Reasons)
		}
		if c.rule != "" && !slices.Contains(rules(d), c.rule) {
			t.Errorf("%s: no reason of rule %s: %v", c.name, c.rule, d.Reasons)
		}
		if c.rule == "" && slices.ContainsFunc(rules(d), func(r Rule) bool { return r != RuleBaseTier && r != RuleCapability }) {
			t.Errorf("%s: more reasons than there are: %v", c.name, d.Reasons)
		}
		if d.Escalated != (d.Tier == registry.T1Plus) {
			t.Errorf("%s: escalated %v at tier %s", c.name, d.Escalated, d.Tier)
		}
	}
}

func TestRefusedDecisions(t *testing.T) {
	tooSure, odd := 1.7, math.NaN()
	for name, c := range map[string]struct {
		ask    Ask
		change func(s *State)
		want   string
	}{
		"nothing configured":     {asking(llm.Investigation, alert.High), func(s *State) { s.Providers = nil }, RefusedNoModel},
		"longer than any window": {Ask{Task: llm.Investigation, PromptTokens: 2_000_000}, nil, RefusedNoModel},
		"before any price":       {asking(llm.PlaybookGeneration, alert.High), func(s *State) { s.At = time.Unix(0, 0) }, RefusedNoModel},
		"deterministic":          {asking(llm.Investigation, alert.High), func(s *State) { s.Level = Deterministic }, RefusedDegraded},
		"pass-through":           {asking(llm.IOCExtraction, alert.High), func(s *State) { s.Level = Passthrough }, RefusedDegraded},
		"pass-through, no probe": {asking(llm.IOCExtraction, alert.High), func(s *State) { s.Level = Passthrough; s.Providers["openai"] = ProbeDue }, RefusedDegraded},
		"no task":                {Ask{}, nil, RefusedInvalid},
		"confidence of 1.7":      {Ask{Task: llm.Investigation, Severity: alert.High, Confidence: &tooSure}, nil, RefusedInvalid},
		"confidence of NaN":      {Ask{Task: llm.Investigation, Severity: alert.High, Confidence: &odd}, nil, RefusedInvalid},
		"negative budget":        {Ask{Task: llm.Investigation, BudgetMS: -1}, nil, RefusedInvalid},
	} {
		s := normal()
		if c.change != nil {
			c.change(&s)
		}
		d := Plan(table(t, "", ""), c.ask, s)
		if d.Refused != c.want || len(d.Candidates) != 0 || d.Escalated || len(d.Reasons) == 0 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestUnpricedModelsJoinWhenTheOperatorPricesThem(t *testing.T) {
	d := Plan(table(t, "", ""), asking(llm.Investigation, alert.Low), normal())
	if !slices.ContainsFunc(d.Reasons, func(r Reason) bool {
		return r.Rule == RuleCapability && strings.Contains(r.Detail, "gpt-6.1-terra: its price is not known")
	}) {
		t.Errorf("%v", d.Reasons)
	}
	priced := table(t, "", `models: [{provider: openai, name: gpt-6.1-terra, context: 400000, max_output: 100000, prices: [{input: 1, output: 8}]}]`)
	if d := Plan(priced, asking(llm.Investigation, alert.Low), normal()); models(d) != "claude-sonnet-5-5 gpt-6.1-terra gpt-4o" {
		t.Errorf("%s", models(d))
	}
}

func TestWeakModelsAreLeftOutAndTheNextTierTried(t *testing.T) {
	weak := table(t, "local", `
models:
  - {provider: anthropic, name: weak, context: 8192, max_output: 2048, json: low, prices: [{input: 0, output: 0}]}
  - {provider: anthropic, name: plain, context: 200000, max_output: 8192, json: high, prices: [{input: 0, output: 0}]}
  - {provider: anthropic, name: able, context: 200000, max_output: 8192, json: high, tools: true, prices: [{input: 0, output: 0}]}
tiers:
  T0: {models: [anthropic/weak]}
  T1: {models: [anthropic/plain]}
  T1+: {models: [anthropic/able]}
`)
	low := 0.1
	for _, c := range []struct {
		ask  Ask
		tier registry.Tier
		want string
	}{
		{Ask{Task: llm.Probe}, registry.T0, "weak"},
		{Ask{Task: llm.IOCExtraction}, registry.T1, "plain"},
		{Ask{Task: llm.IOCExtraction, Tools: true}, registry.T1Plus, "able"},
		{Ask{Task: llm.Investigation}, registry.T1Plus, "able"},
		{Ask{Task: llm.IncidentReport}, registry.T1, "plain"},
		{Ask{Task: llm.IncidentReport, Severity: alert.High, Confidence: &low}, registry.T1Plus, "able"},
	} {
		d := Plan(weak, c.ask, normal())
		if d.Tier != c.tier || models(d) != c.want || d.Candidates[0].ThinkingTokens != 0 {
			t.Errorf("%+v: %s %s, %v", c.ask, d.Tier, models(d), d.Reasons)
		}
	}
	// An escalation that no model can follow is none.
	lone := table(t, "", `tiers: {"T1+": {models: [openai/gpt-6.1-sol]}}`)
	d := Plan(lone, Ask{Task: llm.Investigation, Severity: alert.High, Confidence: &low}, normal())
	if d.Tier != registry.T1 || d.Escalated || models(d) != t1 {
		t.Errorf("%s %v %s: %v", d.Tier, d.Escalated, models(d), d.Reasons)
	}
}

func TestBoundsOfTheRequest(t *testing.T) {
	low := 0.1
	for _, c := range []struct {
		ask              Ask
		level            Level
		tokens, thinking int
		timeout, latency int64
	}{
		{asking(llm.IOCExtraction, alert.Low), Full, 2048, 0, 15_000, 3000},
		{asking(llm.InjectionJudge, alert.Low), Full, 512, 0, 15_000, 3000},
		{asking(llm.Investigation, alert.Low), Full, 8192, 4096, 120_000, 30_000},
		{asking(llm.AttackPathAnalysis, alert.Low), Full, 8192, 6144, 120_000, 30_000},
		{asking(llm.PlaybookSelection, alert.Low), Full, 4096, 0, 120_000, 30_000},
		{Ask{Task: llm.Investigation, BudgetMS: 1000}, Full, 2048, 0, 15_000, 3000},
		{Ask{Task: llm.Investigation, Severity: alert.Critical, Confidence: &low}, Full, 16384, 8192, 240_000, 60_000},
		{asking(llm.Investigation, alert.Low), Secondary, 8192, 0, 120_000, 30_000},
	} {
		s := normal()
		s.Level = c.level
		d := Plan(table(t, "", ""), c.ask, s)
		got := d.Candidates[0]
		if got.MaxTokens != c.tokens || got.ThinkingTokens != c.thinking || got.TimeoutMS != c.timeout || d.LatencyMS != c.latency {
			t.Errorf("%+v at %s: %+v, latency %d", c.ask, c.level, got, d.LatencyMS)
		}
		if d.Candidates[len(d.Candidates)-1].Provider == "openai" && d.Candidates[len(d.Candidates)-1].ThinkingTokens != 0 {
			t.Errorf("%+v: a model that cannot think has a budget for it", c.ask)
		}
	}
}

func TestEndOfLifeIsSaid(t *testing.T) {
	s := normal()
	s.At = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	d := Plan(table(t, "seed", ""), asking(llm.Investigation, alert.Low), s)
	if d.Refused != "" || !slices.Contains(rules(d), RuleEndOfLife) {
		t.Errorf("%+v", d)
	}
	s.At = s.At.Add(-1)
	if d := Plan(table(t, "seed", ""), asking(llm.Investigation, alert.Low), s); slices.Contains(rules(d), RuleEndOfLife) {
		t.Errorf("%+v", d)
	}
}

func TestDecisionIsJSON(t *testing.T) {
	var a Ask
	if err := json.Unmarshal([]byte(`{"task":"investigation","tenant":"acme","severity":"critical","previous_confidence":0.4,"time_budget_ms":60000}`), &a); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(Plan(table(t, "", ""), a, normal()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"tier":"T1+"`, `"queue":"critical"`, `"escalated":true`, `"provider":"anthropic","model":"claude-opus-5-5"`,
		`"rule":"low_confidence"`, `"degradation_level":"full_capability"`, `"latency_target_ms":60000`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
}

func FuzzPlan(f *testing.F) {
	f.Add([]byte(`{"task":"investigation","severity":"critical","previous_confidence":0.4,"time_budget_ms":100,"prompt_tokens":5}`), uint8(0))
	f.Add([]byte(`{"task":"x","severity":"low","tools":true,"prompt_tokens":99999999}`), uint8(7))
	tables := []*registry.Table{table(f, "", ""), table(f, "seed", ""), table(f, "local", "")}
	levels := []Level{Full, Secondary, Deterministic, Passthrough}
	healths := []Health{Healthy, Degraded, Unreachable, ProbeDue}
	f.Fuzz(func(t *testing.T, text []byte, n uint8) {
		var a Ask
		if json.Unmarshal(text, &a) != nil {
			return
		}
		s := normal()
		s.Level, s.Providers["anthropic"], s.Providers["openai"] = levels[n%4], healths[n/4%4], healths[n/16%4]
		d := Plan(tables[int(n)%len(tables)], a, s)
		if (len(d.Candidates) == 0) == (d.Refused == "") || len(d.Reasons) == 0 {
			t.Fatalf("%+v", d)
		}
		if s.Level.Worse(Full) && d.Tier == registry.T1Plus && d.Refused == "" && s.Level == Secondary {
			t.Fatalf("tier 1+ in %s", s.Level)
		}
		for _, c := range d.Candidates {
			if c.MaxTokens < 1 || c.ThinkingTokens < 0 || c.ThinkingTokens >= c.MaxTokens || s.Level == Passthrough {
				t.Fatalf("%+v in %s", c, s.Level)
			}
		}
	})
}
