// Package result is the published form of an investigated alert: one object per input record
// of `aluskort investigate --json`, as in contract/investigate.schema.json.
package result

import (
	"math"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/investigate/cohort"
	"github.com/aluskort/aluskort/internal/investigate/question"
	"github.com/aluskort/aluskort/internal/reason/opinion"
	"github.com/aluskort/aluskort/internal/respond"
)

// Line is one line of output: exactly one of Result and Rejection is set.
type Line struct {
	*Result
	*Rejection
}

// Rejection says why a record did not become an alert.
type Rejection struct {
	Rejected Rejected `json:"rejected"`
}

// Rejected is the body of a Rejection.
type Rejected struct {
	File    string `json:"file"`
	Index   int    `json:"index"`
	Source  string `json:"source,omitempty"`
	Reason  string `json:"reason"`
	Dropped bool   `json:"dropped,omitempty"`
}

// Result is one investigated alert.
type Result struct {
	Alert         Alert         `json:"alert"`
	Investigation Investigation `json:"investigation"`
	LLM           LLM           `json:"llm"`
	Audit         Audit         `json:"audit"`
	Timing        Timing        `json:"timing_ms"`
}

// Alert is the alert as it was understood.
type Alert struct {
	ID         string            `json:"alert_id"`
	Source     string            `json:"source"`
	Title      string            `json:"title"`
	Severity   alert.Severity    `json:"severity"`
	Timestamp  time.Time         `json:"timestamp"`
	EventStart *time.Time        `json:"event_start,omitempty"`
	Tenant     string            `json:"tenant_id"`
	Product    string            `json:"product,omitempty"`
	Analytic   string            `json:"analytic,omitempty"`
	Tactics    []string          `json:"tactics,omitempty"`
	Techniques []string          `json:"techniques"`
	Entities   []Entity          `json:"entities"`
	Indicators []alert.Indicator `json:"indicators,omitempty"`
	Errors     []string          `json:"parse_errors,omitempty"`
	Quality    float64           `json:"quality"`
}

// Entity is an entity of the alert.
type Entity struct {
	Type       alert.EntityType  `json:"type"`
	Value      string            `json:"value"`
	Role       alert.Role        `json:"role,omitempty"`
	Confidence float64           `json:"confidence"`
	Properties map[string]string `json:"properties,omitempty"`
}

// Investigation is the investigation that the alert belongs to.
type Investigation struct {
	ID             string                  `json:"id"`
	State          investigate.State       `json:"state"`
	WaitReason     investigate.WaitReason  `json:"wait_reason,omitempty"`
	WaitWhy        []string                `json:"wait_why,omitempty"`
	Classification evidence.Classification `json:"classification"`
	Reason         string                  `json:"reason,omitempty"`
	Revision       int                     `json:"revision"`
	Prior          float64                 `json:"prior"`
	PriorSource    string                  `json:"prior_source"`
	Confidence     float64                 `json:"confidence"`
	Probability    float64                 `json:"malicious_probability"`
	Severity       alert.Severity          `json:"severity"`
	SeverityWhy    string                  `json:"severity_why,omitempty"`
	By             string                  `json:"by"`
	Evidence       []Evidence              `json:"evidence"`
	Techniques     []investigate.Technique `json:"techniques"`
	Unknowns       []string                `json:"unknowns"`
	Alternative    string                  `json:"alternative,omitempty"`
	Counterfactual string                  `json:"counterfactual,omitempty"`
	NextQuestions  []question.Question     `json:"next_questions,omitempty"`
	Actions        []respond.Action        `json:"actions"`
	NeedsApproval  bool                    `json:"requires_human_approval"`
	PlanHash       string                  `json:"plan_hash,omitempty"`
	RiskState      string                  `json:"risk_state"`
	Degradation    investigate.Degradation `json:"degradation_level"`
	Opinion        *opinion.Opinion        `json:"opinion,omitempty"`
	Summary        string                  `json:"summary,omitempty"`
	FoldedInto     string                  `json:"folded_into,omitempty"`
	Alerts         int                     `json:"alerts"`
	FirstSeen      time.Time               `json:"first_seen"`
	LastSeen       time.Time               `json:"last_seen"`
	// Cohort identifies those with which a person can decide on a benign proposal together.
	Cohort string `json:"-"`
	// Of is what this is the published form of; it is shared and must not be changed.
	Of *investigate.Investigation `json:"-"`
}

// Evidence is one item, with the weight as counted.
type Evidence struct {
	ID        string          `json:"id"`
	Kind      string          `json:"kind"`
	Stance    evidence.Stance `json:"stance"`
	Statement string          `json:"statement"`
	Weight    float64         `json:"weight"`
	Alone     float64         `json:"weight_alone"`
	From      string          `json:"weight_from,omitempty"` // empty for weights that experts stated
	Source    string          `json:"source,omitempty"`
	Group     string          `json:"group,omitempty"`
	Refs      []string        `json:"refs,omitempty"`
}

// LLM says what models cost: Cost is measured, Estimate holds what was in part not measured.
type LLM struct {
	Calls    int      `json:"calls"`
	Cost     *float64 `json:"cost_usd"`
	Estimate *float64 `json:"cost_usd_estimated,omitempty"`
}

// Audit says where the decision stands in the chain.
type Audit struct {
	Records int    `json:"records"`
	Head    string `json:"head"`
}

// Timing is how long things took, in milliseconds.
type Timing struct {
	Total float64 `json:"total"`
}

// OfAlert makes the published form of a normalised alert.
func OfAlert(m *alert.Message) Alert {
	a := &m.Alert
	quality, _ := alert.Quality(a, len(m.Entities.List))
	out := Alert{
		ID: a.ID, Source: a.Source, Title: a.Title, Severity: a.Severity, Timestamp: a.Timestamp, Tenant: a.TenantID, Product: a.Product,
		Analytic: a.Analytic, Tactics: a.Tactics, Techniques: a.Techniques, Entities: []Entity{}, Indicators: m.Entities.Indicators,
		Errors: m.Entities.Errors, Quality: math.Round(quality*100) / 100,
	}
	if out.Timestamp.IsZero() {
		out.Timestamp, _ = a.EventTime()
	}
	if !a.EventStart.IsZero() {
		out.EventStart = &a.EventStart
	}
	if out.Techniques == nil {
		out.Techniques = []string{}
	}
	for i := range m.Entities.List {
		e := &m.Entities.List[i]
		out.Entities = append(out.Entities, Entity{Type: e.Type, Value: e.Value, Role: e.Role, Confidence: e.Confidence, Properties: e.Properties})
	}
	return out
}

// OfInvestigation makes the published form of an investigation. Context items are last.
func OfInvestigation(inv *investigate.Investigation) Investigation {
	v := &inv.Verdict
	out := Investigation{
		ID: inv.ID, State: inv.State, WaitReason: inv.WaitReason, WaitWhy: inv.WaitWhy, Classification: v.Classification, Reason: v.Reason,
		Revision: v.Revision, Prior: v.Prior, PriorSource: v.PriorSource, Confidence: v.Confidence, Probability: v.Probability,
		Severity: v.Severity, SeverityWhy: inv.SeverityWhy, By: v.By, Evidence: []Evidence{}, Techniques: inv.Techniques, Unknowns: v.Unknowns, Alternative: v.Alternative, Counterfactual: v.Counterfactual,
		Actions: inv.Actions, RiskState: inv.RiskState, Degradation: inv.Degradation, Alerts: inv.Alerts,
		FirstSeen: inv.FirstSeen, LastSeen: inv.LastSeen, Of: inv,
	}
	for i := range inv.Evidence {
		e := &inv.Evidence[i]
		out.Evidence = append(out.Evidence, Evidence{
			ID: e.ID, Kind: e.Kind, Stance: e.Stance, Statement: e.Statement, Weight: e.Counted, Alone: e.Weight, From: e.WeightFrom, Source: e.Source, Group: e.Group, Refs: e.Refs,
		})
	}
	if out.Techniques == nil {
		out.Techniques = []investigate.Technique{}
	}
	if out.Unknowns == nil {
		out.Unknowns = []string{}
	}
	if out.Actions == nil {
		out.Actions = []respond.Action{}
	}
	if v.Classification.Benign() {
		out.Cohort = cohort.Key(inv)
	}
	out.NeedsApproval = inv.WaitReason == investigate.WaitApproval
	if c := inv.Consultation; c != nil {
		out.Opinion, out.Summary = c.Opinion, c.Summary
	}
	return out
}

// OfModels says what models cost; nothing was asked for free, and what a model did not say it
// cost is no figure.
func OfModels(inv *investigate.Investigation) LLM {
	cost := 0.0
	c := inv.Consultation
	if c == nil {
		return LLM{Cost: &cost}
	}
	cost = float64(c.MicroUSD) / 1e6
	if c.Estimated {
		return LLM{Calls: c.Calls, Estimate: &cost}
	}
	return LLM{Calls: c.Calls, Cost: &cost}
}
