package fp

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// Match is a pattern that fits an alert.
type Match struct {
	PatternID string
	Name      string
	// Confidence and Threshold are fractions; Confidence is at least Threshold.
	Confidence float64
	Threshold  float64
	// Shadow says that the pattern may only be recorded.
	Shadow bool
}

// Matcher finds the pattern that fits an alert. Match may be called from any number of
// goroutines while Replace puts another set of patterns into force: readers see the old set or
// the new one, whole. The zero value is ready and matches nothing.
type Matcher struct {
	current atomic.Pointer[index]
	mu      sync.Mutex // one Replace at a time
	probes  probes
}

// Replace puts the patterns that are active or in shadow into force, in place of all others.
// revision orders sets: an older one than that in force is ignored. Patterns that cannot be
// compiled are left out, which is the safe direction, and named in the error.
func (m *Matcher) Replace(patterns []*Pattern, revision int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.current.Load()
	if old != nil && revision < old.revision {
		return nil
	}
	var errs []error
	list := make([]*compiled, 0, len(patterns))
	for _, p := range patterns {
		if p.Status != Active && p.Status != Shadow {
			continue
		}
		if old != nil {
			if c := old.byID[p.ID]; c != nil && c.version == p.Version {
				list = append(list, c)
				continue
			}
		}
		c, err := compile(p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, c)
	}
	m.current.Store(buildIndex(list, revision))
	return errors.Join(errs...)
}

// Revision is the number of the set in force; -1 before the first.
func (m *Matcher) Revision() int64 {
	if x := m.current.Load(); x != nil {
		return x.revision
	}
	return -1
}

// Len returns the number of patterns in force.
func (m *Matcher) Len() int {
	if x := m.current.Load(); x != nil {
		return len(x.byID)
	}
	return 0
}

// Match returns the pattern of the tenant that fits best at the time at, which is the time of
// the decision: an active one before one in shadow, then the higher confidence, then the lower
// id. ok is false when none reaches its threshold.
func (m *Matcher) Match(tenant string, a *alert.Alert, e *alert.Entities, at time.Time) (best Match, ok bool) {
	s := Subject{Tenant: tenant, Alert: a, Entities: e}
	best, ok, _ = m.find(&s, at, nil)
	return best, ok
}

// MatchSubject is Match for an alert of which the classes of its assets are known.
func (m *Matcher) MatchSubject(s *Subject, at time.Time) (best Match, ok bool) {
	best, ok, _ = m.find(s, at, nil)
	return best, ok
}

// find leaves out patterns that are switched off; killed says that at least one of them fitted.
func (m *Matcher) find(s *Subject, at time.Time, off *switchSet) (best Match, ok, killed bool) {
	x := m.current.Load()
	if x == nil {
		return best, false, false
	}
	t := x.tenants[s.Tenant]
	if t == nil {
		return best, false, false
	}
	p := m.probes.get()
	defer m.probes.put(p)
	if !p.prepare(s, at.UnixMicro()) {
		return best, false, false
	}
	t.candidates(p)
	var top *compiled
	topConf := 0
	for _, c := range p.cand {
		if c == top {
			continue
		}
		conf, fits := p.evaluate(c)
		if !fits {
			continue
		}
		if off.pattern(c.id) {
			killed = true
			continue
		}
		if top == nil || better(c, conf, top, topConf) {
			top, topConf = c, conf
		}
	}
	if top == nil {
		return best, false, killed
	}
	return Match{
		PatternID: top.id, Name: top.name, Shadow: top.shadow,
		Confidence: float64(topConf) / million, Threshold: float64(top.threshold) / million,
	}, true, killed
}

func better(a *compiled, aConf int, b *compiled, bConf int) bool {
	if a.shadow != b.shadow {
		return b.shadow
	}
	if aConf != bConf {
		return aConf > bConf
	}
	return a.id < b.id
}
