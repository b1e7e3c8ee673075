package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/llm"
)

// Screening is what became of one text before it may be quoted.
type Screening struct {
	// Text is the text to quote: as it was, a summary without what steers, or a neutral sentence.
	Text string
	// Injected says that the text tried to steer whoever reads it; Kinds says how; Hidden that
	// nothing of it is quoted.
	Injected, Hidden bool
	Kinds            []string
	// Canonical is the whole of an injected text as a judge may see it; empty is the text itself.
	Canonical string
}

// Redaction replaces secrets and personal data of one investigation. The same value has the same
// stand-in in every text.
type Redaction interface {
	// RedactField redacts the text of a field; its name tells what a value without context is.
	RedactField(name, text string) string
	// Restore puts names back; unknown are stand-ins of the right form that were never given.
	Restore(text string) (restored string, unknown []string)
	// Counts tells how many values were replaced, by class.
	Counts() map[string]int
}

// Redactor opens the redaction of an investigation; save keeps its map for later questions.
type Redactor interface {
	Open(ctx context.Context, tenant, investigation string, known []alert.Entity) (r Redaction, save func(context.Context) error, err error)
}

// Ask says what a call is for, so that a model can be chosen and paid.
type Ask struct {
	Tenant, Investigation string
	Task                  Task
	Severity              alert.Severity
	Previous              *float64
	NeedTools             bool
}

// Reply is an answer of a model with what it cost.
type Reply struct {
	*llm.Response
	Provider, Tier string
	// Attempts counts calls that were billed, failed ones included.
	Attempts  int
	MicroUSD  int64
	Estimated bool
	Latency   time.Duration
	// Why are the reasons of the route.
	Why []string
}

// Models answers requests: it chooses the model, reserves and books what it costs, tries again
// and falls back. Errors wrap ErrUnavailable or ErrBudget.
type Models interface {
	Call(ctx context.Context, ask Ask, r *llm.Request) (*Reply, error)
}

// Objects keeps what was sent and answered, by content, each time in one durable write.
type Objects interface {
	PutMany(ctx context.Context, tenant string, contents [][]byte) (ids []string, err error)
}

// Config is what a Gateway is made of. Models, Screen, Redactor and Techniques are required.
type Config struct {
	Models   Models
	Screen   func(text string) Screening
	Redactor Redactor
	// Techniques reports whether an id exists in the taxonomy.
	Techniques func(id string) bool
	// Held finds a value of a type in a text, in any of its written forms.
	Held func(text string, t alert.IndicatorType, value string) bool
	// Objects keeps prompts and answers as evidence; nil keeps only their hashes.
	Objects Objects
	Guard   *Guard
	// Judge has a model judge what the sensor is not sure of; nil has nobody.
	Judge *Judge
	Clock clock.Clock
	// Random draws markers and references; nil is crypto/rand.
	Random io.Reader
	// Budget bounds the text of one question in bytes; 0 means 24 KiB.
	Budget int
	Log    *slog.Logger
}

// Gateway answers questions. It is safe for concurrent use.
type Gateway struct{ cfg Config }

// New checks the configuration and returns a gateway.
func New(cfg Config) (*Gateway, error) {
	if cfg.Models == nil || cfg.Screen == nil || cfg.Redactor == nil || cfg.Techniques == nil {
		return nil, errors.New("gateway: models, screen, redactor and techniques are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Budget <= 0 {
		cfg.Budget = 24 << 10
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Guard == nil {
		cfg.Guard = NewGuard(cfg.Clock)
	}
	return &Gateway{cfg: cfg}, nil
}

// Bounds of one question.
const (
	maxAnswers = 2 // the first answer and one more after a refusal
	maxRounds  = 4 // of tools
)

// Ask has a question answered. The account is filled in whatever the error is.
func (g *Gateway) Ask(ctx context.Context, q *Question) (a Answer, err error) {
	f, ok := forms[q.Task]
	if !ok {
		return a, errors.Join(ErrQuestion, errors.New("the gateway has no form for task "+string(q.Task)))
	}
	session, save, err := g.cfg.Redactor.Open(ctx, q.Tenant, q.Investigation, q.Entities)
	if err != nil {
		return a, err
	}
	p, err := g.assemble(q, session, g.cfg.Random, g.cfg.Budget)
	if err != nil {
		return a, err
	}
	c := &conversation{g: g, q: q, f: &f, p: p, answer: &a, save: save}
	defer func() { a.Events = c.events.list }()
	if err := c.judge(ctx); err != nil {
		return a, err
	}
	if c.trial.condemned != nil {
		if c.p, err = g.assembleBut(q, session, g.cfg.Random, g.cfg.Budget, c.trial.condemned); err != nil {
			return a, err
		}
		c.tried = len(c.p.suspects)
	}
	if err := save(ctx); err != nil {
		return a, err // what cannot be put back must not leave
	}
	c.noteInjection()
	return a, c.run(ctx)
}

// conversation is one question on its way to an answer.
type conversation struct {
	g      *Gateway
	q      *Question
	f      *form
	p      *prompt
	answer *Answer

	// save keeps the map of redaction, if it has grown.
	save func(context.Context) error

	request llm.Request
	refused []string
	trial   trial
	tried   int // of the prompt's suspects
	noted   int // of the prompt's steering texts, which events has
	events  events
}

func (c *conversation) run(ctx context.Context) error {
	schema, err := c.p.schema(c.q.Task)
	if err != nil {
		return errors.Join(ErrQuestion, err)
	}
	c.request = llm.Request{
		System: c.f.system, Messages: []llm.Message{{Role: llm.User, Text: c.p.message(c.q.Task)}},
		Tools: tools(c.q.Tools), Answer: schema, MaxTokens: c.f.maxTokens, Key: c.p.id,
	}
	for rounds, tries := 0, 0; ; {
		reply, err := c.call(ctx)
		if err != nil {
			return err
		}
		if reply.Stop == llm.StopTools && rounds < maxRounds {
			rounds++
			if err := c.useTools(ctx, reply); err != nil {
				return err
			}
			continue
		}
		reason := c.accept(reply)
		if reason == "" {
			return nil
		}
		c.refused = append(c.refused, reason)
		c.events.refused(c, reply, reason)
		if tries++; tries == maxAnswers || reply.Stop == llm.StopRefusal {
			return &Refusal{Reasons: c.refused}
		}
		c.retry(reply, reason)
	}
}

// retry asks once more. The refused answer is not put before the model again: only what was
// wrong with it, in our words. After an answer that was cut, a smaller one is asked for.
func (c *conversation) retry(reply *Reply, reason string) {
	again := "Your last answer was not accepted: " + reason + ". Answer the same request again."
	if reply.Stop == llm.StopLength || reply.Stop == llm.StopContext {
		again = "Your last answer was too long. Answer the same request again, with at most three citations and one short sentence each."
	}
	c.request.Messages = append(c.request.Messages[:1:1], llm.Message{Role: llm.Assistant, Text: "{}"}, llm.Message{Role: llm.User, Text: again})
}

func (c *conversation) call(ctx context.Context) (*Reply, error) {
	content := contentOf(&c.request.Messages[len(c.request.Messages)-1])
	sent, err := c.keep(ctx, c.f.system, content)
	if err != nil {
		return nil, err
	}
	reply, err := c.g.cfg.Models.Call(ctx, Ask{
		Tenant: c.q.Tenant, Investigation: c.q.Investigation, Task: c.q.Task, Severity: c.q.Severity,
		Previous: c.q.Previous, NeedTools: len(c.q.Tools) > 0,
	}, &c.request)
	if reply != nil {
		a := c.answer
		a.Provider, a.Tier, a.Model = reply.Provider, reply.Tier, ""
		a.Calls += reply.Attempts
		a.MicroUSD += reply.MicroUSD
		a.Estimated = a.Estimated || reply.Estimated
		a.Latency += reply.Latency
		if reply.Response != nil {
			a.Model = reply.Model
		}
	}
	if err != nil {
		return nil, err
	}
	received, err := c.keep(ctx, reply.Text)
	c.events.routed(c, reply, content, append(sent, received...))
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// contentOf is what a message puts before the model: its text, or what look-ups found.
func contentOf(m *llm.Message) string {
	parts := make([]string, 0, 1+len(m.Results))
	if m.Text != "" || len(m.Results) == 0 {
		parts = append(parts, m.Text)
	}
	for i := range m.Results {
		parts = append(parts, m.Results[i].Text)
	}
	return strings.Join(parts, "\n")
}

// accept lets an answer through, or says in our words why not.
func (c *conversation) accept(reply *Reply) string {
	err := c.p.complete(reply.Response)
	if err == nil {
		err = c.read(reply)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

func (c *conversation) read(reply *Reply) (err error) {
	switch c.q.Task {
	case llm.Investigation:
		o, quarantined, err := c.p.opinion(reply.Text, c.q, c.g.cfg.Techniques)
		if err != nil {
			return err
		}
		if len(quarantined) > 0 {
			c.events.quarantined(c, quarantined)
		}
		o.Model, o.Provider, o.Tier, o.At = reply.Model, reply.Provider, reply.Tier, c.g.cfg.Clock.Now()
		c.answer.Opinion = o
	case llm.IOCExtraction:
		c.answer.Indicators, err = c.p.indicators(reply.Text, c.held)
	case llm.LogSummarisation:
		c.answer.Summary, err = c.p.summary(reply.Text)
	}
	return err
}

// held finds an indicator that a model names in the fields of the question.
func (c *conversation) held(t alert.IndicatorType, value string) (alert.Indicator, bool) {
	if c.g.cfg.Held == nil || value == "" {
		return alert.Indicator{}, false
	}
	var refs []string
	for _, f := range c.q.Fields {
		if c.g.cfg.Held(f.Text, t, value) {
			refs = append(refs, f.Ref)
		}
	}
	slices.Sort(refs)
	return alert.Indicator{Type: t, Value: value, Confidence: 0.4, Refs: slices.Compact(refs)}, len(refs) > 0
}

// noteInjection records what was found since it was called last.
func (c *conversation) noteInjection() {
	if c.p.steering > c.noted {
		c.noted, c.answer.Injected = c.p.steering, true
		c.events.injected(c)
	}
}

func digest(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// events collects what the audit trail is told.
type events struct {
	list   []audit.Event
	object audit.Object
}
