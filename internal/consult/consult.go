// Package consult asks a language model about investigations: it turns one into a question for
// the context gateway, asks a stronger model when the first is not sure enough, and turns the
// answer into an opinion. What an opinion may change is decided in reason/opinion; nothing here
// decides.
package consult

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/gateway"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/orchestrate"
	"github.com/aluskort/aluskort/internal/reason/opinion"
	"github.com/aluskort/aluskort/internal/respond"
)

// Asker answers questions: the context gateway.
type Asker interface {
	Ask(ctx context.Context, q *gateway.Question) (gateway.Answer, error)
}

// Config is what a Consultant is made of. Gateway, Planner and Fields are required.
type Config struct {
	Gateway Asker
	// Planner says which actions may be named: those that it would plan for an attack.
	Planner *respond.Planner
	// Places says where the hosts of an investigation stand: see orchestrate.Config.
	Places func(inv *investigate.Investigation) respond.Places
	// Fields flattens native bytes the way the adapter of that source does.
	Fields func(source string, raw []byte) (alert.Fields, error)
	// Tools are the look-ups that an investigation may use; nil for none.
	Tools func(inv *investigate.Investigation) []gateway.Tool
	Clock clock.Clock
	Log   *slog.Logger
}

// Consultant asks about investigations. It is safe for concurrent use.
type Consultant struct{ cfg Config }

// New checks the configuration and returns a consultant.
func New(cfg Config) (*Consultant, error) {
	if cfg.Gateway == nil || cfg.Planner == nil || cfg.Fields == nil {
		return nil, errors.New("consult: gateway, planner and fields are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Consultant{cfg: cfg}, nil
}

// Ask asks a model about a job. It never fails: what went wrong is part of what became of it.
func (c *Consultant) Ask(ctx context.Context, job *orchestrate.Job) orchestrate.Consulted {
	out := orchestrate.Consulted{Job: *job}
	q := c.question(job)
	c.fillGaps(ctx, job, q, &out)
	if out.Later.IsZero() && out.Failure == "" {
		c.investigate(ctx, job, q, &out)
	}
	return out
}

func (c *Consultant) investigate(ctx context.Context, job *orchestrate.Job, q *gateway.Question, out *orchestrate.Consulted) {
	answer, err := c.cfg.Gateway.Ask(ctx, q)
	book(out, &answer)
	if err != nil {
		c.failed(out, err)
		return
	}
	first := answer.Opinion
	first.Input = job.Input
	out.Opinion = first
	if !first.Escalates(job.Investigation.Verdict.Severity) {
		return
	}
	q.Previous = &first.Confidence
	answer, err = c.cfg.Gateway.Ask(ctx, q)
	book(out, &answer)
	if err != nil {
		c.cfg.Log.Info("no second opinion", "investigation", job.Investigation.ID, "error", err)
		return
	}
	if second := answer.Opinion; first.Accepts(second) {
		second.Input, second.Escalated = job.Input, true
		out.Opinion = second
	}
}

// fillGaps has a model of the lowest tier read what the parser could not: indicators where none
// were found, a summary where the record has no words of its own. Both only add.
func (c *Consultant) fillGaps(ctx context.Context, job *orchestrate.Job, q *gateway.Question, out *orchestrate.Consulted) {
	inv := job.Investigation
	if len(q.Fields) == 0 || job.Attempts > 1 {
		return
	}
	ask := func(task gateway.Task) *gateway.Answer {
		gap := *q
		gap.Task, gap.Tools, gap.Evidence, gap.Choices = task, nil, nil, nil
		answer, err := c.cfg.Gateway.Ask(ctx, &gap)
		book(out, &answer)
		if err != nil {
			c.cfg.Log.Info("gap not filled", "task", task, "investigation", inv.ID, "error", err)
			return nil
		}
		return &answer
	}
	if len(inv.Indicators) == 0 && len(job.Alert.Entities.Errors) > 0 {
		if a := ask(gateway.Extraction); a != nil {
			out.Indicators = a.Indicators
		}
	}
	if strings.TrimSpace(job.Alert.Alert.Title) == "" && strings.TrimSpace(job.Alert.Alert.Description) == "" {
		if a := ask(gateway.Summary); a != nil {
			out.Summary = a.Summary
		}
	}
}

func book(out *orchestrate.Consulted, a *gateway.Answer) {
	out.Calls += a.Calls
	out.MicroUSD += a.MicroUSD
	out.Estimated = out.Estimated || a.Estimated
	out.Events = append(out.Events, a.Events...)
}

// laterUnknown is when a job is tried again whose trouble does not say when it ends.
const laterUnknown = 30 * time.Second

// failed sorts what went wrong: trouble that passes makes the job wait, the rest goes to a person.
func (c *Consultant) failed(out *orchestrate.Consulted, err error) {
	now := c.cfg.Clock.Now()
	later := func(t time.Time) {
		if t.Before(now.Add(time.Second)) {
			t = now.Add(laterUnknown)
		}
		out.Later = t
	}
	unavailable, isUnavailable := errors.AsType[*gateway.Unavailable](err)
	budget, isBudget := errors.AsType[*gateway.OverBudget](err)
	refusal, isRefusal := errors.AsType[*gateway.Refusal](err)
	switch {
	case isUnavailable:
		out.Unavailable = true
		later(unavailable.Until)
	case isBudget && !budget.Until.IsZero() && budget.Until.Sub(now) <= time.Hour:
		later(budget.Until)
	case isBudget:
		out.Failure = "not asked: " + budget.Cap
	case isRefusal:
		out.Failure = "no usable answer: " + strings.Join(refusal.Reasons, "; ")
	case errors.Is(err, gateway.ErrQuestion):
		out.Failure = "the question could not be asked"
	default:
		c.cfg.Log.Error("a model was not asked", "investigation", out.Job.Investigation.ID, "error", err)
		later(time.Time{})
	}
}

// question says everything about an investigation that a model may know.
func (c *Consultant) question(job *orchestrate.Job) *gateway.Question {
	inv, a := job.Investigation, &job.Alert.Alert
	attack := inv.Verdict
	attack.Classification = evidence.TruePositive
	q := &gateway.Question{
		Tenant: inv.TenantID, Investigation: inv.ID, Task: gateway.Investigation, Severity: inv.Verdict.Severity,
		Facts: facts(inv, a), Entities: principalFirst(inv.Entities),
	}
	for i := range inv.Evidence {
		if !opinion.IsModel(&inv.Evidence[i]) {
			q.Evidence = append(q.Evidence, inv.Evidence[i])
		}
	}
	var places respond.Places
	if c.cfg.Places != nil {
		places = c.cfg.Places(inv)
	}
	for _, p := range c.cfg.Planner.PlanIn(places, inv.ID, &attack, inv.Entities, inv.TechniqueIDs()) {
		q.Choices = append(q.Choices, opinion.Action{Action: p.Action, Target: p.Target})
	}
	if c.cfg.Tools != nil {
		q.Tools = c.cfg.Tools(inv)
	}
	fields := a.Fields
	if fields == nil && len(a.RawPayload) > 0 {
		var err error
		if fields, err = c.cfg.Fields(a.Source, a.RawPayload); err != nil {
			c.cfg.Log.Warn("native record cannot be read for a question", "investigation", inv.ID, "error", err)
		}
	}
	q.Fields = quoted(fields, inv.Evidence)
	return q
}

func facts(inv *investigate.Investigation, a *alert.Alert) []gateway.Fact {
	out := []gateway.Fact{
		{Name: "title", Value: inv.Title}, {Name: "description", Value: a.Description}, {Name: "source", Value: inv.Source},
		{Name: "product", Value: a.Product}, {Name: "analytic", Value: inv.Analytic},
		{Name: "severity_of_source", Value: inv.SourceSeverity.String()}, {Name: "severity", Value: inv.Verdict.Severity.String()},
		{Name: "first_seen", Value: inv.FirstSeen.Format(time.RFC3339)}, {Name: "last_seen", Value: inv.LastSeen.Format(time.RFC3339)},
		{Name: "alerts", Value: fmt.Sprint(inv.Alerts)},
		{Name: "reasoner", Value: fmt.Sprintf("%s, %.0f %% malicious, prior %.1f bits", inv.Verdict.Classification, 100*inv.Verdict.Probability, inv.Verdict.Prior)},
		{Name: "techniques", Value: strings.Join(inv.TechniqueIDs(), " ")},
		{Name: "unknowns", Value: strings.Join(inv.Verdict.Unknowns, "; ")},
	}
	return slices.DeleteFunc(out, func(f gateway.Fact) bool { return f.Value == "" })
}

func principalFirst(list []alert.Entity) []alert.Entity {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b alert.Entity) int {
		switch {
		case a.Principal == b.Principal:
			return 0
		case a.Principal:
			return -1
		default:
			return 1
		}
	})
	return out
}

// telling are parts of names of fields whose text says what happened.
var telling = []string{
	"command", "cmdline", "script", "image", "process", "path", "file", "url", "uri", "query", "domain", "subject", "message", "user",
	"agent", "registry", "target", "service", "task", "signature", "payload", "argument", "hash", "rule", "request", "referer", "parent",
}

// quoted are the leaves of the native record that are worth a reader's time: those that evidence
// cites first, then those whose names tell something, long before short.
func quoted(fields alert.Fields, items []evidence.Evidence) []gateway.Field {
	cited := map[string]bool{}
	for i := range items {
		for _, r := range items[i].Refs {
			cited[r] = true
		}
	}
	var out []gateway.Field
	seen := map[string]bool{}
	for i := range fields {
		f := &fields[i]
		text := strings.TrimSpace(f.Value)
		if f.Kind != alert.KindString || utf8.RuneCountInString(text) < 3 || seen[text] {
			continue
		}
		seen[text] = true
		priority := 0
		name := strings.ToLower(f.Pointer)
		if slices.ContainsFunc(telling, func(w string) bool { return strings.Contains(name, w) }) {
			priority = 1
		}
		if cited[f.Pointer] {
			priority = 2
		}
		out = append(out, gateway.Field{Ref: f.Pointer, Text: text, Priority: priority})
	}
	return out
}
