package route

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
	"github.com/aluskort/aluskort/internal/llm/spend"
)

// Run finds out when providers can be reached again, so that a level is left although nobody
// calls in it: it probes open breakers when they are due and moves the level when it is time.
// It returns when ctx ends.
func (r *Router) Run(ctx context.Context) {
	for {
		wait, any := r.untilDue()
		if err := r.sleep(ctx, wait, any); err != nil {
			return
		}
		for _, name := range r.dueProbes() {
			_ = r.Probe(ctx, name) // what it shows is recorded
		}
		_ = r.Level()
	}
}

// sleep waits until d is over (if any) or something changed.
func (r *Router) sleep(ctx context.Context, d time.Duration, any bool) error {
	var over <-chan time.Time
	if any {
		timer := r.cfg.Clock.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-r.wake:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// untilDue returns how long nothing needs to be done; any is false when nothing is in sight.
func (r *Router) untilDue() (wait time.Duration, any bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Clock.Now()
	soonest := func(d time.Duration) {
		if d = max(d, 0); !any || d < wait {
			wait, any = d, true
		}
	}
	for _, p := range r.providers {
		if p.breaker.state == Open {
			p.breaker.isDue(now) // mends the time after a clock went back
			soonest(p.breaker.due.Sub(now))
		}
		if held := p.hold(now); held > r.cfg.MaxWait {
			soonest(held - r.cfg.MaxWait)
		}
	}
	if at, ok := r.levels.due(); ok {
		soonest(at.Sub(now))
	}
	return wait, any
}

func (r *Router) dueProbes() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Clock.Now()
	for _, name := range r.names {
		if b := &r.providers[name].breaker; b.state == Open && b.isDue(now) {
			out = append(out, name)
		}
	}
	return out
}

// Probe asks the cheapest model of a provider for a word, once, through meter and breaker. It
// fails when the provider is not configured, has no model that may be asked, may not be asked
// now, or does not answer.
func (r *Router) Probe(ctx context.Context, name string) error {
	p := r.providers[name]
	if p == nil {
		return fmt.Errorf("%w: provider %q is not configured", ErrNoModel, name)
	}
	cand, ok := r.probeModel(name)
	if !ok {
		r.postpone(p)
		return fmt.Errorf("%w: %s has no model that may be asked", ErrNoModel, name)
	}
	c := &call{
		r: r, outer: ctx,
		ask: Ask{Task: llm.Probe, Tenant: r.cfg.ProbeTenant, Plan: spend.Premium, Severity: alert.Critical},
		req: llm.Request{System: "Answer with the word OK and nothing else.", Messages: []llm.Message{{Role: llm.User, Text: "Are you there?"}}, Key: "probe"},
	}
	c.result.Decision = Decision{Task: llm.Probe, Tier: cand.Tier, Queue: QueueCritical, Level: r.Level(), Candidates: []Candidate{cand}}
	made, err := c.attempt(ctx, p, cand)
	if err != nil && !made && !errors.Is(err, errOpen) {
		r.postpone(p)
	}
	if err != nil {
		return c.fail(ErrNoModel, err)
	}
	return nil
}

// postpone puts off the next probe of a provider that could not be probed.
func (r *Router) postpone(p *provider) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.cfg.Clock.Now(); p.breaker.state == Open && p.breaker.isDue(now) {
		p.breaker.due = now.Add(breakAgain)
	}
}

// probeModel returns the first model of the provider that may be asked, from the lowest tier up.
func (r *Router) probeModel(name string) (Candidate, bool) {
	now := r.cfg.Clock.Now()
	spec, _ := r.cfg.Table.Task(llm.Probe)
	for _, tier := range [...]registry.Tier{registry.T0, registry.T1, registry.T1Plus, registry.T2} {
		for _, ref := range r.cfg.Table.Tier(tier).Models {
			if ref.Provider != name {
				continue
			}
			m, err := r.cfg.Table.Model(ref)
			if err != nil || !m.Stated() {
				continue
			}
			if _, err := m.PriceAt(now); err == nil {
				timeout := r.cfg.Table.Tier(registry.T0).Timeout
				return Candidate{Ref: ref, Tier: tier, MaxTokens: min(spec.MaxOutput, m.MaxOutput), TimeoutMS: timeout.Milliseconds()}, true
			}
		}
	}
	return Candidate{}, false
}
