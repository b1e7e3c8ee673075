package route

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
	"github.com/aluskort/aluskort/internal/llm/spend"
)

// EventKind says what changed.
type EventKind string

// The events. The first five are types of audit events; the last two are alarms.
const (
	DegradationEntered EventKind = "degradation.entered"
	DegradationExited  EventKind = "degradation.exited"
	BreakerOpened      EventKind = "circuit_breaker.opened"
	BreakerClosed      EventKind = "circuit_breaker.closed"
	ProviderFailover   EventKind = "routing.provider_failover"
	ProviderAuthFailed EventKind = "provider.auth_failed"
	ProviderSpendLimit EventKind = "provider.spend_limit"
)

// Event is one change: from and to are levels, states of a breaker or providers.
type Event struct {
	Kind     EventKind `json:"kind"`
	Provider string    `json:"provider,omitempty"`
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
}

// Config is what a Router is made of. Table and Meter are required.
type Config struct {
	Table     *registry.Table
	Providers []llm.Provider // none is a choice: nothing is asked, at full capability
	Meter     spend.Meter
	Clock     clock.Clock
	// Random draws jitter from [0, 1); nil means math/rand.
	Random func() float64
	// Notify gets every change exactly once, in order, one at a time, outside of all locks and
	// on the goroutine of a call: it may call the Router and should be short. Nil for none.
	Notify func(Event)
	// Queues overrides DefaultQueues; absent queues keep theirs.
	Queues map[Queue]QueueLimit
	// MaxWait is the longest wait for a provider before the next one is asked; 0 means 30 s.
	MaxWait time.Duration
	// Escalations is how many calls an hour low confidence may lift to tier 1+; 0 means 10,
	// negative none. Escalated are those of the last hour, from before a restart.
	Escalations int
	Escalated   []time.Time
	// HourCache says that providers keep prompts in their cache for an hour, which costs more to
	// write than the usual five minutes.
	HourCache bool
	// ProbeTenant is whose budget pays for probes; empty means "system".
	ProbeTenant string
}

const (
	defaultMaxWait     = 30 * time.Second
	defaultEscalations = 10
	fewSamples         = 5 // attempts without which a share of success says nothing
)

// Router routes and makes calls. It is safe for concurrent use.
type Router struct {
	cfg       Config
	queues    map[Queue]*queue
	providers map[string]*provider
	names     []string // of the providers, in the order of Config
	wake      chan struct{}

	mu         sync.Mutex
	levels     levels
	engines    bool   // healthy
	trouble    string // why not
	escalated  []time.Time
	routed     map[registry.Tier]string // who was first the last time
	events     []Event
	delivering bool
}

// provider is a configured provider and what is known of it; the router's mutex guards it.
type provider struct {
	llm.Provider
	breaker breaker
	holdAt  time.Time // when until was set
	until   time.Time // nobody asks before: what the provider asked for
	alarmed map[EventKind]bool
}

// New checks the configuration.
func New(cfg Config) (*Router, error) {
	if cfg.Table == nil || cfg.Meter == nil {
		return nil, errors.New("route: table and meter are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	cfg.MaxWait = cmp.Or(cfg.MaxWait, defaultMaxWait)
	cfg.Escalations = cmp.Or(cfg.Escalations, defaultEscalations)
	cfg.ProbeTenant = cmp.Or(cfg.ProbeTenant, "system")
	r := &Router{
		cfg: cfg, queues: map[Queue]*queue{}, providers: map[string]*provider{}, wake: make(chan struct{}, 1),
		levels: newLevels(), engines: true, escalated: slices.Clone(cfg.Escalated), routed: map[registry.Tier]string{},
	}
	for _, p := range cfg.Providers {
		name := p.Name()
		if name == "" || r.providers[name] != nil {
			return nil, fmt.Errorf("route: provider %q is configured twice or has no name", name)
		}
		r.providers[name] = &provider{Provider: p, breaker: newBreaker(), alarmed: map[EventKind]bool{}}
		r.names = append(r.names, name)
	}
	limits := DefaultQueues()
	for name, l := range cfg.Queues {
		if _, known := limits[name]; !known || l.Concurrent < 1 || l.PerMinute < 1 {
			return nil, fmt.Errorf("route: queue %q with %d at once and %d a minute", name, l.Concurrent, l.PerMinute)
		}
		limits[name] = l
	}
	for name, l := range limits {
		r.queues[name] = newQueue(cfg.Clock, l)
	}
	return r, nil
}

// Route says who would be asked now, and why. It asks nobody and changes nothing.
func (r *Router) Route(a Ask) Decision {
	r.mu.Lock()
	s := r.state(r.cfg.Clock.Now())
	r.mu.Unlock()
	return Plan(r.cfg.Table, a, s)
}

// state is what a decision depends on; mu is held.
func (r *Router) state(now time.Time) State {
	s := State{At: now, Level: r.levels.current, Providers: make(map[string]Health, len(r.providers)), Escalations: r.escalationsLeft(now)}
	for name, p := range r.providers {
		s.Providers[name] = r.healthOf(p, now)
	}
	return s
}

// healthOf returns the health of a provider; mu is held.
func (r *Router) healthOf(p *provider, now time.Time) Health {
	switch {
	case p.breaker.state == Open && p.breaker.isDue(now):
		return ProbeDue
	case p.breaker.state != Closed, p.hold(now) > r.cfg.MaxWait:
		return Unreachable
	}
	ok, of := p.breaker.health.count(now)
	switch {
	case of < fewSamples || ok*10 >= of*9:
		return Healthy
	case ok*2 >= of:
		return Degraded
	}
	return Unreachable
}

// hold returns how long nobody may ask the provider. A clock that went back does not make it
// longer than it was.
func (p *provider) hold(now time.Time) time.Duration {
	if now.Before(p.holdAt) {
		p.until = now.Add(p.until.Sub(p.holdAt))
		p.holdAt = now
	}
	return max(0, p.until.Sub(now))
}

func (r *Router) escalationsLeft(now time.Time) int {
	r.escalated = slices.DeleteFunc(r.escalated, func(at time.Time) bool { return now.Sub(at) >= time.Hour })
	return r.cfg.Escalations - len(r.escalated)
}

// decide routes a call for real: an escalation is used up, a failover is told.
func (r *Router) decide(a Ask) Decision {
	r.mu.Lock()
	defer r.deliver()
	defer r.mu.Unlock()
	now := r.cfg.Clock.Now()
	r.relevel(now)
	d := Plan(r.cfg.Table, a, r.state(now))
	if d.Escalated {
		r.escalated = append(r.escalated, now)
	}
	if len(d.Candidates) > 0 {
		r.failover(now, d)
	}
	return d
}

// failover tells when another provider comes first at a tier than the last time; mu is held.
func (r *Router) failover(now time.Time, d Decision) {
	usual := ""
	for _, ref := range r.cfg.Table.Tier(d.Tier).Models {
		if slices.ContainsFunc(d.Candidates, func(c Candidate) bool { return c.Ref == ref }) {
			usual = ref.Provider
			break
		}
	}
	before := cmp.Or(r.routed[d.Tier], usual)
	to := d.Candidates[0].Provider
	r.routed[d.Tier] = to
	if before == to || r.providers[before] == nil {
		return
	}
	reason := "tier " + string(d.Tier) + ": " + before + " cannot be reached"
	if to == usual {
		reason = "tier " + string(d.Tier) + ": " + to + " can be reached again"
	}
	r.tell(Event{Kind: ProviderFailover, Provider: to, From: before, To: to, Reason: reason, At: now})
}

// Level returns the level in force.
func (r *Router) Level() Level {
	r.mu.Lock()
	defer r.deliver()
	defer r.mu.Unlock()
	r.relevel(r.cfg.Clock.Now())
	return r.levels.current
}

// SetEngines says whether the engines that the product stands on (database, bus) work, and why
// not. Without them the level is passthrough.
func (r *Router) SetEngines(healthy bool, reason string) {
	r.mu.Lock()
	defer r.deliver()
	defer r.mu.Unlock()
	r.engines, r.trouble = healthy, reason
	r.relevel(r.cfg.Clock.Now())
}

// relevel brings the level up to what is true; mu is held.
func (r *Router) relevel(now time.Time) {
	target, why := r.target(now)
	if target != r.levels.target {
		r.nudge()
	}
	from, to := r.levels.update(now, target)
	switch {
	case to.Worse(from):
		r.tell(Event{Kind: DegradationEntered, From: string(from), To: string(to), Reason: why, At: now})
	case from.Worse(to):
		r.tell(Event{Kind: DegradationExited, From: string(from), To: string(to), Reason: why, At: now})
	}
}

// target returns the level that fits this moment, and why; mu is held.
func (r *Router) target(now time.Time) (Level, string) {
	if !r.engines {
		return Passthrough, "engines: " + r.trouble
	}
	names := r.useful(now)
	if len(names) == 0 {
		return Full, "no model is configured"
	}
	up := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !r.available(r.providers[name], now) })
	switch {
	case len(up) == 0:
		return Deterministic, "no provider can be reached"
	case up[0] != names[0]:
		return Secondary, names[0] + " cannot be reached, " + up[0] + " can"
	}
	return Full, names[0] + " can be reached"
}

func (r *Router) available(p *provider, now time.Time) bool {
	return p.breaker.state == Closed && p.hold(now) <= r.cfg.MaxWait
}

// useful returns the configured providers with a model that may be asked, the primary first.
func (r *Router) useful(now time.Time) []string {
	var out []string
	for _, tier := range [...]registry.Tier{registry.T1, registry.T0, registry.T1Plus} {
		for _, ref := range r.cfg.Table.Tier(tier).Models {
			if r.providers[ref.Provider] == nil || slices.Contains(out, ref.Provider) {
				continue
			}
			if m, err := r.cfg.Table.Model(ref); err == nil && m.Stated() {
				if _, err := m.PriceAt(now); err == nil {
					out = append(out, ref.Provider)
				}
			}
		}
	}
	return out
}

// ProviderStatus is one provider as operators see it.
type ProviderStatus struct {
	Provider string       `json:"provider"`
	Health   Health       `json:"health"`
	Breaker  BreakerState `json:"breaker"`
	// Worked of Attempts of the last five minutes.
	Worked   int `json:"worked"`
	Attempts int `json:"attempts"`
	// ProbeAt is when an open breaker lets a call through; HeldUntil is what the provider asked for.
	ProbeAt   time.Time `json:"probe_at,omitzero"`
	HeldUntil time.Time `json:"held_until,omitzero"`
}

// Status is the state of the router as operators see it.
type Status struct {
	Level       Level            `json:"degradation_level"`
	Profile     string           `json:"profile"`
	Escalations int              `json:"escalations_left"`
	Providers   []ProviderStatus `json:"providers"`
}

// Status returns the level and the health of the providers.
func (r *Router) Status() Status {
	r.mu.Lock()
	defer r.deliver()
	defer r.mu.Unlock()
	now := r.cfg.Clock.Now()
	r.relevel(now)
	s := Status{Level: r.levels.current, Profile: r.cfg.Table.Profile(), Escalations: max(0, r.escalationsLeft(now)), Providers: make([]ProviderStatus, 0, len(r.names))}
	for _, name := range r.names {
		p := r.providers[name]
		ps := ProviderStatus{Provider: name, Health: r.healthOf(p, now), Breaker: p.breaker.state}
		ps.Worked, ps.Attempts = p.breaker.health.count(now)
		if p.breaker.state == Open {
			ps.ProbeAt = p.breaker.due
		}
		if p.hold(now) > 0 {
			ps.HeldUntil = p.until
		}
		s.Providers = append(s.Providers, ps)
	}
	return s
}

// tell queues an event; mu is held, and deliver follows when it is not.
func (r *Router) tell(e Event) {
	if r.cfg.Notify != nil {
		r.events = append(r.events, e)
	}
}

// deliver hands over what was told. One goroutine does it at a time, so that order is kept.
func (r *Router) deliver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.delivering {
		return
	}
	r.delivering = true
	for len(r.events) > 0 {
		list := r.events
		r.events = nil
		r.mu.Unlock()
		for _, e := range list {
			r.cfg.Notify(e)
		}
		r.mu.Lock()
	}
	r.delivering = false
}

// nudge wakes Run.
func (r *Router) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
