package gateway

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
)

// Limits of what an agent may gather about people within an hour (REFERENCE 9.5).
const (
	maxUsers     = 10
	maxSensitive = 3
	maxCross     = 5
	guardWindow  = time.Hour
)

// Guard is the accumulation guard: it counts, per session of an agent and sliding hour, about how
// many different people it asked, how many of them sensitive, and how often it joined what
// different domains know about one of them. Past a limit a person must look. A session is one
// investigation of one tenant. Safe for concurrent use.
type Guard struct {
	clock clock.Clock
	// Sensitive reports whether an account deserves special care; nil means none.
	Sensitive func(tenant, account string) bool

	mu       sync.Mutex
	sessions map[session]*gathered
	swept    time.Time
}

type session struct{ tenant, investigation string }

type gathered struct {
	people    map[string]time.Time
	sensitive map[string]time.Time
	domains   map[string]map[string]time.Time // subject → domain → when
	crossed   []time.Time
	last      time.Time
}

// Breach is a limit that was reached.
type Breach struct {
	What  string
	Limit int
}

// Error implements error.
func (e *Breach) Error() string {
	return fmt.Sprintf("more than %d %s within an hour: a person must look", e.Limit, e.What)
}

// NewGuard returns a guard that has seen nothing.
func NewGuard(c clock.Clock) *Guard { return &Guard{clock: c, sessions: map[session]*gathered{}} }

// Admit notes that a domain is asked about an account, or refuses with a *Breach. What is refused
// is not counted: the limit stays where it is.
func (g *Guard) Admit(tenant, investigation, domain, account string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	g.sweep(now)
	id := session{tenant, investigation}
	t := g.sessions[id]
	if t == nil {
		t = &gathered{people: map[string]time.Time{}, sensitive: map[string]time.Time{}, domains: map[string]map[string]time.Time{}}
		g.sessions[id] = t
	}
	t.last = now
	t.forget(now.Add(-guardWindow))
	key := strings.ToLower(account)
	if _, known := t.people[key]; !known && len(t.people) >= maxUsers {
		return &Breach{"different accounts", maxUsers}
	}
	sensitive := g.Sensitive != nil && g.Sensitive(tenant, account)
	if _, known := t.sensitive[key]; sensitive && !known && len(t.sensitive) >= maxSensitive {
		return &Breach{"sensitive accounts", maxSensitive}
	}
	crosses := len(t.domains[key]) > 0 && t.domains[key][domain].IsZero()
	if crosses && len(t.crossed) >= maxCross {
		return &Breach{"joins of what different domains know", maxCross}
	}
	t.people[key] = now
	if sensitive {
		t.sensitive[key] = now
	}
	if t.domains[key] == nil {
		t.domains[key] = map[string]time.Time{}
	}
	t.domains[key][domain] = now
	if crosses {
		t.crossed = append(t.crossed, now)
	}
	return nil
}

// sweep forgets sessions that have been quiet for a window, once a window.
func (g *Guard) sweep(now time.Time) {
	if now.Sub(g.swept) < guardWindow {
		return
	}
	g.swept = now
	for id, t := range g.sessions {
		if now.Sub(t.last) >= guardWindow {
			delete(g.sessions, id)
		}
	}
}

// forget drops what lies before the window.
func (t *gathered) forget(before time.Time) {
	for k, at := range t.people {
		if !at.After(before) {
			delete(t.people, k)
			delete(t.domains, k)
		}
	}
	for k, at := range t.sensitive {
		if !at.After(before) {
			delete(t.sensitive, k)
		}
	}
	for len(t.crossed) > 0 && !t.crossed[0].After(before) {
		t.crossed = t.crossed[1:]
	}
}
