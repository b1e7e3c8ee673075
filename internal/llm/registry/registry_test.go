package registry

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/llm"
)

var today = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func load(t *testing.T, profile, override string) *Table {
	t.Helper()
	table, err := Load(profile, []byte(override))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func ref(t *testing.T, s string) Ref {
	t.Helper()
	r, err := ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryTaskHasItsNeeds(t *testing.T) {
	tasks := []llm.Task{
		llm.IOCExtraction, llm.LogSummarisation, llm.EntityNormalisation, llm.FPSuggestion, llm.AlertClassification, llm.SeverityAssessment,
		llm.Investigation, llm.CTEMCorrelation, llm.ATLASReasoning, llm.AttackPathAnalysis, llm.IncidentReport, llm.PlaybookSelection,
		llm.FPPatternTraining, llm.PlaybookGeneration, llm.AgentRedTeam, llm.DetectionRuleGeneration, llm.RetrospectiveAnalysis, llm.ThreatLandscapeSummary,
		llm.InjectionJudge, llm.Probe,
	}
	tiers := map[Tier]int{}
	for _, profile := range Profiles() {
		table := load(t, profile, "")
		for _, task := range tasks {
			spec, known := table.Task(task)
			if !known || spec.MaxOutput == 0 || spec.MinContext == 0 || spec.Latency == 0 || spec.JSON == Unstated {
				t.Errorf("%s: %s: %+v, known %v", profile, task, spec, known)
			}
			tiers[spec.Tier]++
		}
	}
	if tiers[T0] != 3*8 || tiers[T1] != 3*6 || tiers[T2] != 3*6 {
		t.Errorf("tasks by tier: %v", tiers)
	}
	if spec, known := load(t, "", "").Task("something_new"); known || spec.Tier != T1 {
		t.Errorf("an unknown task is %+v, known %v, want tier 1", spec, known)
	}
}

func TestCostIsExactAndRoundedUp(t *testing.T) {
	seed, now := load(t, "seed", ""), load(t, "", "")
	for _, c := range []struct {
		name  string
		table *Table
		model string
		u     llm.Usage
		terms Terms
		want  Micro
	}{
		{"nothing", now, "anthropic/claude-sonnet-5-5", llm.Usage{}, Terms{}, 0},
		{"one token of input", now, "anthropic/claude-sonnet-5-5", llm.Usage{Input: 1}, Terms{}, 2},
		{"rounded up once for the call", now, "anthropic/claude-haiku-5-5", llm.Usage{Input: 1, Output: 1}, Terms{}, 1},    // 0.1 + 0.5
		{"a fraction more", now, "anthropic/claude-haiku-5-5", llm.Usage{Input: 6, Output: 1}, Terms{}, 2},                 // 1.1
		{"lower band, at its end", now, "anthropic/claude-haiku-5-5", llm.Usage{Input: 100_000}, Terms{}, 10_000},          // 0.10
		{"upper band bills every token", now, "anthropic/claude-haiku-5-5", llm.Usage{Input: 100_001}, Terms{}, 50_001},    // 0.50: 50000.5
		{"the cache counts for the band", now, "anthropic/claude-haiku-5-5", llm.Usage{CacheRead: 100_001}, Terms{}, 5001}, // 0.05
		{"cache read", now, "anthropic/claude-sonnet-5-5", llm.Usage{CacheRead: 1_000_000}, Terms{}, 100_000},
		{"cache write, 5 minutes", now, "anthropic/claude-sonnet-5-5", llm.Usage{CacheWrite: 1_000_000}, Terms{}, 2_500_000},
		{"cache write, 1 hour", now, "anthropic/claude-sonnet-5-5", llm.Usage{CacheWrite: 1_000_000}, Terms{Hour: true}, 4_000_000},
		{"cache read of fable", now, "anthropic/claude-fable-5-1", llm.Usage{CacheRead: 1000}, Terms{}, 250},
		{"batch", now, "anthropic/claude-sonnet-5-5", llm.Usage{Input: 1000, Output: 1000}, Terms{Batch: true}, 6000},
		{"answered by a snapshot", now, "anthropic/claude-opus-5-5-20261001", llm.Usage{Input: 1000, Output: 1000}, Terms{}, 24_000},
		{"seed, tier 0", seed, "anthropic/claude-haiku-4-5-20251001", llm.Usage{Input: 1000, Output: 500}, Terms{}, 2800},
		{"seed, tier 1+", seed, "anthropic/claude-opus-4-6", llm.Usage{Input: 10_000, Output: 4000}, Terms{}, 450_000},
		{"seed, batch", seed, "anthropic/claude-sonnet-4-5-20250929", llm.Usage{Input: 1000, Output: 1000}, Terms{Batch: true}, 9000},
		{"fallback", seed, "openai/gpt-4o-mini", llm.Usage{Input: 1_000_000, Output: 1_000_000}, Terms{}, 750_000},
		{"as much as can be", now, "anthropic/claude-fable-5-1", llm.Usage{Input: MaxTokens, Output: MaxTokens}, Terms{}, 65_970_697_666_560},
	} {
		got, err := c.table.Cost(c.u, ref(t, c.model), today, c.terms)
		if err != nil || got != c.want {
			t.Errorf("%s: %d, %v; want %d", c.name, got, err, c.want)
		}
	}
}

func TestUnknownIsRefusedNeverZero(t *testing.T) {
	table := load(t, "", "")
	u := llm.Usage{Input: 10, Output: 10}
	for _, c := range []struct {
		name, model string
		at          time.Time
		u           llm.Usage
		want        error
	}{
		{"model that is not in the table", "anthropic/claude-nova-9", today, u, ErrNoModel},
		{"name that only begins the same", "anthropic/claude-sonnet-5-5-preview", today, u, ErrNoModel},
		{"other provider", "openai/claude-sonnet-5-5", today, u, ErrNoModel},
		{"model without a price", "openai/gpt-6.1-sol", today, u, ErrNoPrice},
		{"before the price began", "anthropic/claude-sonnet-5-5", time.Date(2026, 10, 6, 23, 59, 59, 0, time.UTC), u, ErrNoPrice},
		{"clock at 1970", "anthropic/claude-sonnet-5-5", time.Unix(0, 0), u, ErrNoPrice},
		{"negative tokens", "anthropic/claude-sonnet-5-5", today, llm.Usage{Input: -1}, ErrUsage},
		{"absurd tokens", "anthropic/claude-sonnet-5-5", today, llm.Usage{Output: 1 << 50}, ErrUsage},
	} {
		if got, err := table.Cost(c.u, ref(t, c.model), c.at, Terms{}); !errors.Is(err, c.want) || got != 0 {
			t.Errorf("%s: %d, %v; want %v", c.name, got, err, c.want)
		}
	}
	if _, err := table.Estimate(ref(t, "openai/gpt-6.1-sol"), 10, 10, today, Terms{}); !errors.Is(err, ErrNoPrice) {
		t.Errorf("estimate: %v", err)
	}
	// An answer under a dated name may be billed; a request must use a name of the table.
	if _, err := table.Estimate(ref(t, "anthropic/claude-opus-5-5-20261001"), 10, 10, today, Terms{}); !errors.Is(err, ErrNoModel) {
		t.Errorf("estimate of a snapshot: %v", err)
	}
}

func TestPricesChangeOnTheirDay(t *testing.T) {
	table := load(t, "", `
models:
  - provider: anthropic
    name: claude-sonnet-5-5
    prices:
      - {from: 2026-12-01, input: 4, output: 12}
      - {from: 2026-10-07, input: 2, output: 10}
`)
	sonnet := ref(t, "anthropic/claude-sonnet-5-5")
	first := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for at, want := range map[time.Time]Micro{
		first.Add(-time.Microsecond): 12, first: 16,
		first.In(time.FixedZone("", -10*3600)): 16, // still November there
	} {
		if got, err := table.Cost(llm.Usage{Input: 1, Output: 1}, sonnet, at, Terms{}); err != nil || got != want {
			t.Errorf("at %s: %d, %v; want %d", at, got, err, want)
		}
	}
	m, err := table.Model(sonnet)
	if err != nil || m.Context != 1_000_000 || !m.Thinking {
		t.Errorf("the override took more than the prices: %+v, %v", m, err)
	}
}

// TestEstimateIsNeverTooLow draws any usage within the bounds of an estimate.
func TestEstimateIsNeverTooLow(t *testing.T) {
	tables := []*Table{load(t, "", ""), load(t, "seed", "")}
	rapid.Check(t, func(t *rapid.T) {
		table := tables[rapid.IntRange(0, 1).Draw(t, "table")]
		models := table.Models()
		m := &models[rapid.IntRange(0, len(models)-1).Draw(t, "model")]
		if _, err := m.PriceAt(today); err != nil {
			return
		}
		terms := Terms{Batch: rapid.Bool().Draw(t, "batch"), Hour: rapid.Bool().Draw(t, "hour")}
		prompt := rapid.Int64Range(0, 300_000).Draw(t, "prompt")
		output := rapid.Int64Range(0, 20_000).Draw(t, "output")
		estimate, err := table.Estimate(m.Ref, prompt, output, today, terms)
		if err != nil {
			t.Fatal(err)
		}
		u := llm.Usage{Output: rapid.Int64Range(0, output).Draw(t, "out")}
		u.Input = rapid.Int64Range(0, prompt).Draw(t, "in")
		u.CacheRead = rapid.Int64Range(0, prompt-u.Input).Draw(t, "read")
		u.CacheWrite = rapid.Int64Range(0, prompt-u.Input-u.CacheRead).Draw(t, "write")
		if cost, err := table.Cost(u, m.Ref, today, terms); err != nil || cost > estimate {
			t.Fatalf("%s: %+v cost %d, %v, and was estimated at %d", m.Ref, u, cost, err, estimate)
		}
	})
}

func TestPromptBoundCountsEveryByte(t *testing.T) {
	r := &llm.Request{System: "fixed", Messages: []llm.Message{{Role: llm.User, Text: "hello"}}}
	base := PromptBound(r)
	if base < 10 || PromptGuess(r) > base {
		t.Errorf("bound %d, guess %d", base, PromptGuess(r))
	}
	for name, grow := range map[string]func(){
		"system": func() { r.System += "x" },
		"text":   func() { r.Messages[0].Text += "x" },
		"opaque": func() { r.Messages[0].Opaque = append(r.Messages[0].Opaque, '1') },
		"call":   func() { r.Messages[0].Calls = append(r.Messages[0].Calls, llm.ToolCall{Input: []byte("{}")}) },
		"result": func() { r.Messages[0].Results = append(r.Messages[0].Results, llm.ToolResult{Text: "x"}) },
		"tool":   func() { r.Tools = append(r.Tools, llm.Tool{Description: "x"}) },
		"answer": func() { r.Answer = &llm.Schema{JSON: []byte("{}")} },
	} {
		before := PromptBound(r)
		grow()
		if PromptBound(r) <= before {
			t.Errorf("%s is not counted", name)
		}
	}
}

func TestLocalModelsAreFreeOnlyWhenToldSo(t *testing.T) {
	const stated = `
models:
  - provider: local
    name: qwen/qwen3:32b
    context: 32768
    max_output: 8192
    json: high
    prices: [{input: 0, output: 0}]
`
	table := load(t, "local", stated)
	qwen := ref(t, "local/qwen/qwen3:32b")
	if got, err := table.Cost(llm.Usage{Input: 5, Output: 5}, qwen, today, Terms{}); err != nil || got != 0 {
		t.Errorf("%d, %v", got, err)
	}
	for _, tier := range Tiers() {
		if spec := table.Tier(tier); len(spec.Models) != 1 || spec.Models[0] != qwen {
			t.Errorf("%s: %v", tier, spec.Models)
		}
	}
	table = load(t, "local", strings.ReplaceAll(stated, "    prices: [{input: 0, output: 0}]\n", ""))
	if _, err := table.Cost(llm.Usage{}, qwen, today, Terms{}); !errors.Is(err, ErrNoPrice) {
		t.Errorf("a price that nobody stated: %v", err)
	}
	if w := strings.Join(table.Warnings(today), "\n"); !strings.Contains(w, "no price") {
		t.Errorf("warnings: %s", w)
	}
}

func TestFaultyTablesAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":        {"modles: []", "modles"},
		"no yaml":            {"models: [", "override"},
		"two documents":      {"as_of: 2026-01-01\n---\nas_of: 2026-01-01", "more than one"},
		"other profile":      {"profile: seed", "seed"},
		"negative price":     {`models: [{provider: a, name: b, prices: [{input: -1, output: 1}]}]`, "plain decimal"},
		"exponent":           {`models: [{provider: a, name: b, prices: [{input: 1e3, output: 1}]}]`, "plain decimal"},
		"hexadecimal":        {`models: [{provider: a, name: b, prices: [{input: 0x10, output: 1}]}]`, "plain decimal"},
		"not a number":       {`models: [{provider: a, name: b, prices: [{input: .nan, output: 1}]}]`, "plain decimal"},
		"too fine":           {`models: [{provider: a, name: b, prices: [{input: 0.0000001, output: 1}]}]`, "6 places"},
		"too dear":           {`models: [{provider: a, name: b, prices: [{input: 99999, output: 1}]}]`, "too large"},
		"half a price":       {`models: [{provider: a, name: b, prices: [{input: 1}]}]`, "both input and output"},
		"empty price":        {`models: [{provider: a, name: b, prices: [{}]}]`, "0 where a call costs nothing"},
		"same day":           {`models: [{provider: a, name: b, prices: [{input: 1, output: 1}, {input: 2, output: 2}]}]`, "same day"},
		"bad day":            {`models: [{provider: a, name: b, prices: [{from: 2026-02-30, input: 1, output: 1}]}]`, "date"},
		"bands descend":      {`models: [{provider: a, name: b, prices: [{bands: [{up_to: 9, input: 1, output: 1}, {up_to: 8, input: 1, output: 1}, {input: 1, output: 1}]}]}]`, "ascend"},
		"bands without end":  {`models: [{provider: a, name: b, prices: [{bands: [{up_to: 9, input: 1, output: 1}]}]}]`, "but the last"},
		"provider":           {`models: [{provider: "A b", name: b}]`, "provider/model"},
		"twice":              {`models: [{provider: a, name: b}, {provider: a, name: b}]`, "twice"},
		"output beyond":      {`models: [{provider: a, name: b, context: 2048, max_output: 4096}]`, "max_output"},
		"tier":               {`tiers: {T9: {models: []}}`, "unknown tier"},
		"model of a tier":    {`tiers: {T0: {models: [a/b]}}`, "no model a/b"},
		"duration":           {`tiers: {T0: {timeout: soon}}`, "duration"},
		"thinking":           {`tasks: {investigation: {thinking: 9000}}`, "do not go together"},
		"task without needs": {`tasks: {my_task: {tier: T0}}`, "json"},
		"empty task":         {`tasks: {my_task: }`, "empty"},
		"reliability":        {`tasks: {investigation: {json: perfect}}`, "reliability"},
	} {
		table, err := Load("default", []byte(c.text))
		if table != nil || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want a word about %q", name, err, c.want)
		}
	}
	if _, err := Load("other", nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("unknown profile: %v", err)
	}
}

func TestOverrideChangesWhatItNames(t *testing.T) {
	table := load(t, "", `
models:
  - {provider: openai, name: gpt-6.1-terra, context: 400000, max_output: 100000, prices: [{input: 1.25, output: 10}]}
tiers:
  T1: {timeout: 60s}
tasks:
  investigation: {max_output: 6000}
  my_task: {tier: T0, json: low, min_context: 2048, max_output: 100, latency: 3s}
`)
	if m, err := table.Model(ref(t, "openai/gpt-6.1-terra")); err != nil || !m.Stated() || m.JSON != HighJSON || len(m.Prices) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	if s := table.Tier(T1); s.Timeout != time.Minute || s.Latency != 30*time.Second || len(s.Models) != 3 {
		t.Errorf("%+v", s)
	}
	if s, _ := table.Task(llm.Investigation); s.MaxOutput != 6000 || s.Thinking != 4096 || !s.Tools {
		t.Errorf("%+v", s)
	}
	if s, known := table.Task("my_task"); !known || s.Tier != T0 {
		t.Errorf("%+v, %v", s, known)
	}
}

func TestEndOfLifeIsAWarning(t *testing.T) {
	table := load(t, "seed", "")
	day := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	if w := strings.Join(table.Warnings(day.Add(-1)), "\n"); strings.Contains(w, "end of life") {
		t.Errorf("the day before: %s", w)
	}
	if w := strings.Join(table.Warnings(day), "\n"); !strings.Contains(w, "claude-sonnet-4-5-20250929 is past its end of life of 2026-11-30") {
		t.Errorf("on the day: %s", w)
	}
}

func TestMoneyPrints(t *testing.T) {
	for m, want := range map[Micro]string{0: "$0.000000", 1: "$0.000001", 1_500_000: "$1.500000", -2: "-$0.000002", -1 << 63: "-$9223372036854.775808"} {
		if got := m.String(); got != want {
			t.Errorf("%d: %s, want %s", int64(m), got, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, name := range []string{"default", "seed", "local", "tasks"} {
		text, err := shipped.ReadFile("profile/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`models: [{provider: a, name: b, prices: [{from: 2026-01-01, bands: [{up_to: 1, input: 1, output: 2}, {input: 0.000001, output: 9999}]}]}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		table, err := Load("local", text)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || table != nil {
				t.Fatalf("%v, %v", table, err)
			}
			return
		}
		_ = table.Warnings(today)
		for _, m := range table.Models() {
			p, err := m.PriceAt(today)
			if err != nil {
				continue
			}
			if len(p.Bands) == 0 || p.Bands[len(p.Bands)-1].UpTo != 0 {
				t.Fatalf("%+v", p)
			}
			u := llm.Usage{Input: 1000, Output: 10, CacheRead: 5}
			cost, err := table.Cost(u, m.Ref, today, Terms{})
			most, err2 := table.Estimate(m.Ref, u.Prompt(), u.Output, today, Terms{})
			if err != nil || err2 != nil || cost < 0 || cost > most {
				t.Fatalf("%s: cost %d, %v; at most %d, %v", m.Ref, cost, err, most, err2)
			}
		}
		for _, tier := range Tiers() {
			for _, ref := range table.Tier(tier).Models {
				if _, err := table.Model(ref); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
