// Package route decides which model is asked, and asks it: task to tier with overrides that
// explain themselves, a circuit breaker for each provider, retries, fallbacks, queues by
// severity and the degradation level. What an attempt costs is reserved with a spend.Meter
// before it is made.
package route

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
	"github.com/aluskort/aluskort/internal/llm/spend"
)

// Level is how able the product is to ask models (REFERENCE section 11.5).
type Level string

// The levels, best first. Without a configured model the level is full: that is a choice.
const (
	Full          Level = "full_capability"
	Secondary     Level = "secondary_active"
	Deterministic Level = "deterministic_only"
	Passthrough   Level = "passthrough"
)

var levelOrder = []Level{Full, Secondary, Deterministic, Passthrough}

// Worse reports whether l is a lower level than o.
func (l Level) Worse(o Level) bool {
	return slices.Index(levelOrder, l) > slices.Index(levelOrder, o)
}

// Health is what is known of a provider.
type Health string

// The states of health. By the share of attempts of the last five minutes that succeeded:
// healthy from 0.9, degraded from 0.5; unreachable below, while the breaker is open, and while
// the provider asked to wait for long. Probe is an open breaker that lets one call through.
const (
	Healthy     Health = "healthy"
	Degraded    Health = "degraded"
	Unreachable Health = "unreachable"
	ProbeDue    Health = "probe_due"
)

// Ask is what a call is about; the content is in the request.
type Ask struct {
	Task          llm.Task       `json:"task"`
	Tenant        string         `json:"tenant"`
	Plan          spend.Plan     `json:"plan,omitempty"`
	Investigation string         `json:"investigation,omitempty"`
	Severity      alert.Severity `json:"severity"`
	// BudgetMS is how long the caller can wait in all, in milliseconds; 0 for no bound but the context.
	BudgetMS int64 `json:"time_budget_ms,omitempty"`
	// PromptTokens is about how long the prompt is; 0 lets Call look at the request.
	PromptTokens int64 `json:"prompt_tokens,omitempty"`
	// Confidence is what an earlier answer in this case said, from 0 to 1; nil for none.
	Confidence *float64 `json:"previous_confidence,omitempty"`
	// Tools says that the request has tools although the task needs none.
	Tools bool `json:"tools,omitempty"`
	// Not are models that have failed the caller: refused, or answered what cannot be used.
	Not []registry.Ref `json:"not,omitempty"`
}

// ErrAsk says that an Ask is not usable.
var ErrAsk = errors.New("route: unusable ask")

// Check returns an error that wraps ErrAsk and names the field.
func (a *Ask) Check() error {
	switch {
	case a.Task == "" || len(a.Task) > 64:
		return fmt.Errorf("%w: task: give one", ErrAsk)
	case a.Severity < alert.Informational || a.Severity > alert.Critical:
		return fmt.Errorf("%w: severity: %s", ErrAsk, a.Severity)
	case a.BudgetMS < 0 || a.BudgetMS > int64(48*time.Hour/time.Millisecond):
		return fmt.Errorf("%w: time_budget_ms: %d", ErrAsk, a.BudgetMS)
	case a.PromptTokens < 0 || a.PromptTokens > registry.MaxTokens:
		return fmt.Errorf("%w: prompt_tokens: %d", ErrAsk, a.PromptTokens)
	case a.Confidence != nil && !(*a.Confidence >= 0 && *a.Confidence <= 1): // NaN too
		return fmt.Errorf("%w: previous_confidence: %g is not between 0 and 1", ErrAsk, *a.Confidence)
	case len(a.Not) > 64:
		return fmt.Errorf("%w: not: %d models", ErrAsk, len(a.Not))
	}
	return nil
}

// Rule names what moved a decision.
type Rule string

// The rules, in the order in which they are asked.
const (
	RuleBaseTier    Rule = "base_tier"
	RuleTimeBudget  Rule = "time_budget"
	RuleCritical    Rule = "critical_severity"
	RuleLongContext Rule = "long_context"
	RuleConfidence  Rule = "low_confidence"
	RuleCapability  Rule = "capability"
	RuleHealth      Rule = "provider_health"
	RuleDegradation Rule = "degradation"
	RuleEndOfLife   Rule = "end_of_life"
	RuleInvalid     Rule = "invalid_ask"
)

// Reason is one step of a decision.
type Reason struct {
	Rule   Rule   `json:"rule"`
	Detail string `json:"detail"`
}

// Candidate is a model that may be asked, with the bounds of the request.
type Candidate struct {
	registry.Ref
	Tier           registry.Tier `json:"tier"`
	MaxTokens      int           `json:"max_tokens"`
	ThinkingTokens int           `json:"thinking_tokens"`
	TimeoutMS      int64         `json:"timeout_ms"`
	Batch          bool          `json:"batch"` // may be asked through the provider's batch interface
	Health         Health        `json:"health"`
}

// Refusals of a decision.
const (
	RefusedInvalid  = "invalid_ask"
	RefusedDegraded = "degraded"
	RefusedNoModel  = "no_capable_model"
)

// Decision says who is asked, in order, and why.
type Decision struct {
	Task       llm.Task      `json:"task"`
	Base       registry.Tier `json:"base_tier"`
	Tier       registry.Tier `json:"tier"`
	Queue      Queue         `json:"queue"`
	LatencyMS  int64         `json:"latency_target_ms"`
	Level      Level         `json:"degradation_level"`
	Escalated  bool          `json:"escalated"` // counts for the escalations of the hour
	Candidates []Candidate   `json:"candidates"`
	Reasons    []Reason      `json:"reasons"`
	// Refused says why there is no candidate; empty when there is one.
	Refused string `json:"refused,omitempty"`
}

// State is what a decision depends on beside the ask and the table.
type State struct {
	At    time.Time
	Level Level
	// Providers are the configured ones.
	Providers map[string]Health
	// Escalations is how many may still be made in this hour.
	Escalations int
}

// Thresholds of the override rules (REFERENCE section 11.1).
const (
	shortBudget   = 3000 // ms
	longContext   = 100_000
	lowConfidence = 0.6
)

// Plan decides. It is a pure function of its arguments.
func Plan(table *registry.Table, a Ask, s State) Decision {
	p := planner{table: table, ask: &a, state: &s}
	p.d = Decision{Task: a.Task, Queue: QueueOf(a.Severity), Level: s.Level}
	if err := a.Check(); err != nil {
		p.refuse(RefusedInvalid, RuleInvalid, err.Error())
		return p.d
	}
	p.tier()
	p.candidates()
	p.health()
	p.degradation()
	p.d.LatencyMS = min(p.spec.Latency, table.Tier(p.d.Tier).Latency).Milliseconds()
	if p.d.Tier != p.d.Base {
		p.d.LatencyMS = table.Tier(p.d.Tier).Latency.Milliseconds()
	}
	return p.d
}

type planner struct {
	table *registry.Table
	ask   *Ask
	state *State
	spec  registry.TaskSpec
	plain registry.Tier // without the escalation
	d     Decision
}

func (p *planner) because(r Rule, format string, args ...any) {
	p.d.Reasons = append(p.d.Reasons, Reason{r, fmt.Sprintf(format, args...)})
}

func (p *planner) refuse(code string, r Rule, detail string) {
	p.d.Candidates, p.d.Refused, p.d.Escalated = nil, code, false
	p.because(r, "%s", detail)
}

// tier applies the overrides in their order; a later one sees what an earlier one decided.
func (p *planner) tier() {
	a := p.ask
	spec, known := p.table.Task(a.Task)
	p.spec, p.d.Base, p.d.Tier = spec, spec.Tier, spec.Tier
	if known {
		p.because(RuleBaseTier, "%s is a task of tier %s", a.Task, spec.Tier)
	} else {
		p.because(RuleBaseTier, "%q is no known task: tier %s", a.Task, spec.Tier)
	}
	switch {
	case a.BudgetMS > 0 && a.BudgetMS < shortBudget:
		if p.d.Tier != registry.T0 {
			p.because(RuleTimeBudget, "%d ms are less than %d: tier T0", a.BudgetMS, shortBudget)
		}
		p.d.Tier = registry.T0
	case a.Severity == alert.Critical && spec.Reasoning && p.d.Tier == registry.T0:
		p.d.Tier = registry.T1
		p.because(RuleCritical, "critical, and %s is reasoning: at least tier T1", a.Task)
	}
	if a.PromptTokens > longContext && p.d.Tier == registry.T0 {
		p.d.Tier = registry.T1
		p.because(RuleLongContext, "a prompt of about %d tokens is longer than %d: tier T1", a.PromptTokens, longContext)
	}
	p.plain = p.d.Tier
	if a.Confidence == nil || *a.Confidence >= lowConfidence || a.Severity < alert.High {
		return
	}
	if p.state.Escalations <= 0 {
		p.because(RuleConfidence, "confidence was %.2f, but the escalations of this hour are used up", *a.Confidence)
		return
	}
	p.d.Tier, p.d.Escalated = registry.T1Plus, true
	p.because(RuleConfidence, "confidence was %.2f, below %.1f, at severity %s: tier T1+", *a.Confidence, lowConfidence, a.Severity)
}

// candidates fills in the capable models of the tier, or of the next one that has any.
func (p *planner) candidates() {
	for tier := p.d.Tier; ; {
		if list := p.capable(tier); len(list) > 0 {
			p.d.Tier, p.d.Candidates = tier, list
			return
		}
		next, ok := above(tier)
		if !ok && p.d.Escalated {
			next, ok, p.d.Escalated = p.plain, p.plain != tier, false
		}
		if !ok {
			p.refuse(RefusedNoModel, RuleCapability, "no configured model can do it")
			return
		}
		p.because(RuleCapability, "no model of tier %s can do it: tier %s", tier, next)
		tier = next
	}
}

func above(t registry.Tier) (registry.Tier, bool) {
	switch t {
	case registry.T0:
		return registry.T1, true
	case registry.T1:
		return registry.T1Plus, true
	}
	return "", false
}

// capable returns the models of a tier that can do the task, in the order of the table, and
// says why the others cannot.
func (p *planner) capable(tier registry.Tier) []Candidate {
	var out []Candidate
	spec := p.table.Tier(tier)
	for _, ref := range spec.Models {
		health, configured := p.state.Providers[ref.Provider]
		if !configured {
			p.because(RuleCapability, "%s: the provider is not configured", ref)
			continue
		}
		m, err := p.table.Model(ref)
		if err != nil {
			continue // Load refuses such tables
		}
		c := p.bounds(m, tier, spec)
		c.Health = health
		if why := p.unfit(m, c.MaxTokens); why != "" {
			p.because(RuleCapability, "%s: %s", ref, why)
			continue
		}
		if !m.Retires.IsZero() && !p.state.At.Before(m.Retires) {
			p.because(RuleEndOfLife, "%s is past its end of life of %s", ref, m.Retires.Format(time.DateOnly))
		}
		out = append(out, c)
	}
	return out
}

// bounds returns the candidate with what its request may use.
func (p *planner) bounds(m *registry.Model, tier registry.Tier, spec registry.TierSpec) Candidate {
	tokens, thinking := p.spec.MaxOutput, p.spec.Thinking
	switch tier {
	case registry.T0:
		tokens, thinking = min(tokens, spec.MaxOutput), 0
	case registry.T1Plus:
		tokens, thinking = max(tokens, spec.MaxOutput), max(thinking, spec.Thinking)
	}
	if m.MaxOutput > 0 {
		tokens = min(tokens, m.MaxOutput)
	}
	if !m.Thinking || thinking >= tokens || p.state.Level.Worse(Full) {
		thinking = 0
	}
	return Candidate{Ref: m.Ref, Tier: tier, MaxTokens: tokens, ThinkingTokens: thinking, TimeoutMS: spec.Timeout.Milliseconds(), Batch: m.Batch}
}

// unfit says why a model cannot do the task; empty when it can.
func (p *planner) unfit(m *registry.Model, output int) string {
	need := max(p.spec.MinContext, p.ask.PromptTokens+int64(output))
	_, err := m.PriceAt(p.state.At)
	switch {
	case slices.Contains(p.ask.Not, m.Ref):
		return "has failed the caller before"
	case err != nil:
		return "its price is not known"
	case !m.Stated():
		return "its window, longest answer or reliability is not stated"
	case m.JSON < p.spec.JSON:
		return fmt.Sprintf("keeps to a schema with %s reliability, %s is needed", m.JSON, p.spec.JSON)
	case (p.spec.Tools || p.ask.Tools) && !m.Tools:
		return "cannot call tools"
	case m.Context < need:
		return fmt.Sprintf("has a window of %d tokens, %d are needed", m.Context, need)
	}
	return ""
}

// health puts providers that cannot be reached behind those that can.
func (p *planner) health() {
	list := p.d.Candidates
	if len(list) == 0 {
		return
	}
	first := list[0]
	slices.SortStableFunc(list, func(a, b Candidate) int {
		return cmp.Compare(reachable(a.Health), reachable(b.Health))
	})
	if list[0].Provider != first.Provider {
		p.because(RuleHealth, "%s cannot be reached: %s first", first.Provider, list[0].Ref)
	}
}

func reachable(h Health) int {
	if h == Unreachable {
		return 1
	}
	return 0
}

// degradation caps what the level allows.
func (p *planner) degradation() {
	switch p.state.Level {
	case Secondary:
		if p.d.Tier == registry.T1Plus {
			p.because(RuleDegradation, "%s: at most tier T1, without extended thinking", p.state.Level)
			p.d.Tier, p.d.Escalated, p.d.Refused = registry.T1, false, ""
			p.d.Candidates = p.capable(registry.T1)
			p.health()
			if len(p.d.Candidates) == 0 {
				p.refuse(RefusedDegraded, RuleDegradation, "no model of tier T1 can do it")
			}
		}
	case Deterministic:
		p.d.Candidates = slices.DeleteFunc(p.d.Candidates, func(c Candidate) bool { return c.Health != ProbeDue })
		if len(p.d.Candidates) == 0 {
			p.refuse(RefusedDegraded, RuleDegradation, string(p.state.Level)+": no model is asked")
		}
	case Passthrough:
		p.refuse(RefusedDegraded, RuleDegradation, string(p.state.Level)+": no model is asked")
	}
}
