// Package models joins providers, router and ledger into what the gateway calls: one Call that
// chooses a model, pays for it, tries again and falls back.
package models

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/gateway"
	"github.com/aluskort/aluskort/internal/id"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
	"github.com/aluskort/aluskort/internal/llm/route"
	"github.com/aluskort/aluskort/internal/llm/spend"
)

// Config is what Models are made of. DB and at least one of Endpoints are required.
type Config struct {
	DB    store.DB
	Clock clock.Clock
	IDs   *id.Source
	Log   *slog.Logger
	// Endpoints are the providers, in order of preference.
	Endpoints []Endpoint
	// Profile and Table choose models and prices; Table is a file over the profile.
	Profile, Table string
	// Budget bounds what is spent; Plan (premium, standard, trial, unlimited) is the quota of calls
	// that every tenant has in an hour.
	Budget Budget
	Plan   string
	// Unhurried lifts the rates per minute and lets Slots questions run at once in every queue:
	// for one-off commands and simulated models.
	Unhurried bool
	Slots     int
	// Emit is told, inside the transaction, that a limit of spending was passed.
	Emit func(tx store.Tx, e Event) error
	// Hot, if set, remembers whose quota is used up, so that asking again costs no transaction.
	Hot Hot
	// Notify is told about changes of level, breakers and providers, one at a time and in order.
	Notify func(Event)
}

// Hot is what the meter needs of a cache.
type Hot = spend.Hot

// Budget are caps in US dollars; 0 takes the default of package spend.
type Budget struct{ Soft, Hard, Hour, Investigation float64 }

// Event is a change that the audit trail is told about.
type Event struct {
	// Kind is the type of the audit event: degradation.entered, circuit_breaker.opened,
	// spend.soft_limit and so on.
	Kind, Provider, From, To, Reason string
	At                               time.Time
	// MicroUSD and Limit are set for limits of spending.
	MicroUSD, Limit int64
}

// Endpoint is one provider.
type Endpoint struct {
	// Kind is anthropic, openai or simulated.
	Kind    string
	BaseURL string
	// Key is asked for every call; nil for servers without keys.
	Key func(context.Context) (string, error)
	// Model is the only one to ask there; empty follows the table.
	Model string
	// Free says that calls cost nothing, by the word of the operator.
	Free bool
	// Latency is how long a simulated model takes.
	Latency time.Duration
	// Transport carries the calls; nil is the network.
	Transport http.RoundTripper
}

// Models implements gateway.Models.
type Models struct {
	cfg    Config
	table  *registry.Table
	ledger *spend.Ledger
	router *route.Router
	byName map[string]llm.Provider
	alarm  priceAlarm
	close  []func()
}

// Open reads the table, settles what earlier processes left unbooked, and returns the models.
func Open(ctx context.Context, cfg Config) (*Models, error) {
	if cfg.DB == nil || len(cfg.Endpoints) == 0 {
		return nil, errors.New("models: database and a provider are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	m := &Models{cfg: cfg, byName: map[string]llm.Provider{}}
	var providers []llm.Provider
	for _, e := range m.simulate(cfg.Endpoints) {
		p, err := provider(&e, cfg.Clock)
		if err != nil {
			return nil, err
		}
		providers = append(providers, p)
		m.byName[p.Name()] = p
	}
	var err error
	if m.table, err = cfg.table(); err != nil {
		return nil, err
	}
	m.ledger, err = spend.Open(ctx, spend.Config{
		DB: cfg.DB, Table: m.table, Limits: cfg.limits(), Clock: cfg.Clock, IDs: cfg.IDs, Emit: cfg.emit(),
	})
	if err != nil {
		return nil, err
	}
	escalated, err := m.ledger.Recent(ctx, registry.T1Plus, cfg.Clock.Now().Add(-time.Hour))
	if err != nil {
		return nil, err
	}
	m.router, err = route.New(route.Config{
		Escalated: escalated,
		Table:     m.table, Providers: providers, Meter: m.cfg.meter(m.ledger), Clock: cfg.Clock, Notify: cfg.notify(), Queues: cfg.queues(),
	})
	return m, err
}

// Close ends what Open started.
func (m *Models) Close() {
	for _, c := range m.close {
		c()
	}
}

// unlimited is the plan without a quota of calls.
const unlimited = "unlimited"

func (c *Config) limits() spend.Limits {
	l := c.Budget.limits()
	if c.Plan == unlimited {
		l.Quota = map[spend.Plan]int64{unlimited: spend.Unlimited}
	}
	return l
}

func (b Budget) limits() spend.Limits {
	micro := func(usd float64) registry.Micro { return registry.Micro(math.Round(usd * 1e6)) }
	return spend.Limits{MonthSoft: micro(b.Soft), MonthHard: micro(b.Hard), TenantHour: micro(b.Hour), InvestigationMoney: micro(b.Investigation)}
}

func (c *Config) meter(l *spend.Ledger) spend.Meter {
	if c.Hot == nil {
		return l
	}
	return spend.Remember(l, c.Hot, c.limits(), c.Clock)
}

func (c *Config) emit() spend.Emit {
	if c.Emit == nil {
		return nil
	}
	return func(tx store.Tx, e spend.Event) error {
		return c.Emit(tx, Event{Kind: "spend." + e.Kind + "_limit", Reason: e.Month, At: e.At, MicroUSD: int64(e.Used), Limit: int64(e.Limit)})
	}
}

func (c *Config) notify() func(route.Event) {
	if c.Notify == nil {
		return nil
	}
	return func(e route.Event) {
		c.Notify(Event{Kind: string(e.Kind), Provider: e.Provider, From: e.From, To: e.To, Reason: e.Reason, At: e.At})
	}
}

// queues are the router's own, unless nothing has to be spared.
func (c *Config) queues() map[route.Queue]route.QueueLimit {
	if !c.Unhurried {
		return nil
	}
	out := map[route.Queue]route.QueueLimit{}
	for _, q := range route.Queues() {
		out[q] = route.QueueLimit{Concurrent: max(c.Slots, 1), PerMinute: route.Unhurried}
	}
	return out
}

// table loads the profile, with what the operator says over it.
func (c *Config) table() (*registry.Table, error) {
	profile, override := c.Profile, ""
	if c.Table != "" {
		b, err := os.ReadFile(c.Table)
		if err != nil {
			return nil, fmt.Errorf("models.table: %w", err)
		}
		override = string(b)
	}
	for i := range c.Endpoints {
		e := &c.Endpoints[i]
		if e.Model == "" {
			continue
		}
		if override != "" {
			return nil, errors.New("models.model and models.table cannot be used together: name the model in the table")
		}
		profile, override = "local", own(e)
	}
	return registry.Load(profile, []byte(override))
}

// own is the table of an endpoint with one model. What such a server can do is not known before
// it was probed; it is taken at the operator's word.
func own(e *Endpoint) string {
	price := ""
	if e.Free {
		price = ", prices: [{input: 0, output: 0}]"
	}
	return fmt.Sprintf("models: [{provider: %s, name: %q, context: 131072, max_output: 8192, json: high, tools: true%s}]\n", e.Kind, e.Model, price)
}

// Run keeps levels current and settles reservations whose time is up, until ctx ends.
func (m *Models) Run(ctx context.Context) error {
	go m.router.Run(ctx)
	for {
		t := m.cfg.Clock.NewTimer(time.Minute)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		if _, err := m.ledger.Sweep(ctx); err != nil && ctx.Err() == nil {
			m.cfg.Log.Error("reservations not settled", "error", err)
		}
	}
}

// Level is how able the models are now, in the words of package investigate.
func (m *Models) Level() string { return string(m.router.Level()) }

// Call implements gateway.Models.
func (m *Models) Call(ctx context.Context, ask gateway.Ask, r *llm.Request) (*gateway.Reply, error) {
	res, err := m.router.Call(ctx, m.ask(ask), *r)
	if err != nil {
		return m.failed(err)
	}
	reply := &gateway.Reply{Response: res.Response, Provider: res.Used.Provider, Tier: string(res.Used.Tier)}
	m.account(reply, res.Attempts)
	for _, why := range res.Decision.Reasons {
		reply.Why = append(reply.Why, string(why.Rule)+": "+why.Detail)
	}
	return reply, nil
}

func (m *Models) ask(a gateway.Ask) route.Ask {
	return route.Ask{
		Task: a.Task, Tenant: a.Tenant, Plan: spend.Plan(m.cfg.Plan), Investigation: a.Investigation, Severity: a.Severity,
		Confidence: a.Previous, Tools: a.NeedTools,
	}
}

// account adds up what all attempts took.
func (m *Models) account(r *gateway.Reply, attempts []route.Attempt) {
	if e := m.alarm.note(m.cfg.Clock.Now(), attempts); e != nil && m.cfg.Notify != nil {
		m.cfg.Notify(*e)
	}
	for i := range attempts {
		a := &attempts[i]
		if !a.Made {
			continue
		}
		r.Attempts++
		r.MicroUSD += int64(a.Spent.Cost)
		r.Estimated = r.Estimated || a.Spent.Basis != spend.Measured && a.Spent.Cost > 0
		r.Latency += time.Duration(a.TookMS) * time.Millisecond
	}
}

// failed turns an error of the router into one of the gateway, with what was paid all the same.
func (m *Models) failed(err error) (*gateway.Reply, error) {
	var call *route.CallError
	if !errors.As(err, &call) {
		return nil, err
	}
	reply := &gateway.Reply{}
	m.account(reply, call.Attempts)
	now := m.cfg.Clock.Now()
	if refusal, ok := errors.AsType[*spend.Refusal](err); ok {
		return reply, &gateway.OverBudget{Cap: strings.ReplaceAll(string(refusal.Cap), "_", " "), Until: refusal.FreeAt, Err: err}
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return reply, err
	case errors.Is(err, route.ErrAsk):
		return reply, fmt.Errorf("%w: %w", gateway.ErrQuestion, err)
	}
	until := time.Time{}
	if call.After > 0 {
		until = now.Add(call.After)
	}
	return reply, &gateway.Unavailable{Until: until, Err: err}
}

// RouteAsk is what the router is asked, for whoever may not import it.
type RouteAsk = route.Ask

// Decision is what the router answers.
type Decision = route.Decision

// Route says which model would be asked, and why. Nothing is asked or spent.
func (m *Models) Route(a RouteAsk) Decision { return m.router.Route(a) }

// Report is where providers and spending stand.
type Report struct {
	route.Status
	Spend    spend.Status `json:"spend"`
	Spending []Spending   `json:"spending"`
	Warnings []string     `json:"warnings,omitempty"`
}

// Status reports where providers and spending stand.
func (m *Models) Status(ctx context.Context) (r Report, err error) {
	r.Status = m.router.Status()
	r.Warnings = m.table.Warnings(m.cfg.Clock.Now())
	if r.Spend, err = m.ledger.Status(ctx); err != nil {
		return r, err
	}
	r.Spending, err = m.Spending(ctx)
	return r, err
}
