package memory

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/id"
)

// KindSimilar is the kind of evidence that Source contributes.
const KindSimilar = "similar_incident"

// shown is how many precedents one alert is given.
const shown = 3

// Source says how people decided incidents that an alert resembles. That something looks like
// something else proves nothing: the items are context and weigh nothing.
type Source struct{ m *Memory }

// NewSource returns a source that asks the memory.
func NewSource(m *Memory) *Source { return &Source{m: m} }

var _ evidence.Source = (*Source)(nil)

// Name implements evidence.Source.
func (*Source) Name() string { return "similar_incidents" }

// Gather implements evidence.Source. Alerts of a batch that ask the same are answered once.
func (s *Source) Gather(ctx context.Context, subjects []evidence.Subject) ([]evidence.Finding, error) {
	out := make([]evidence.Finding, 0, len(subjects))
	state := map[string]*evidence.Finding{} // by tenant: why it cannot be asked
	for i := range subjects {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		a := subjects[i].Alert
		if a == nil {
			out = append(out, evidence.Finding{})
			continue
		}
		closed, ok := state[a.TenantID]
		if !ok {
			closed = s.closed(ctx, a.TenantID)
			state[a.TenantID] = closed
		}
		if closed != nil {
			out = append(out, *closed)
			continue
		}
		out = append(out, s.about(ctx, &subjects[i]))
	}
	return out, ctx.Err()
}

const selectAny = `SELECT 1 FROM incident_memory WHERE tenant = $1 AND person = 1 AND gone = 0 LIMIT 1`

// closed says why a tenant's memory has nothing to say to anybody; nil when it has.
func (s *Source) closed(ctx context.Context, tenant string) *evidence.Finding {
	err := s.m.cfg.DB.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		var one int64
		return tx.QueryRow(selectAny, tenant).Scan(&one)
	})
	switch {
	case errors.Is(err, store.ErrNoRows):
		return &evidence.Finding{} // nothing to compare with yet, which is no blindness
	case err != nil:
		return &evidence.Finding{Blind: "the incident memory cannot be read"}
	}
	return nil
}

func (s *Source) about(ctx context.Context, subject *evidence.Subject) evidence.Finding {
	a := subject.Alert
	at, _ := a.EventTime()
	q := Question{Tenant: a.TenantID, At: at, Limit: shown, Like: Like(a, subject.Entities)}
	answer, err := s.m.remembered(ctx, q)
	if err != nil {
		return evidence.Finding{Blind: "the incident memory cannot be asked"}
	}
	var out evidence.Finding
	for i := range answer.Precedents {
		out.Items = append(out.Items, item(&answer, &answer.Precedents[i], at))
	}
	return out
}

// Like is what of an alert is compared with the past.
func Like(a *alert.Alert, entities *alert.Entities) Incident {
	out := Incident{Tenant: a.TenantID, Source: a.Source, Analytic: a.Analytic, Title: a.Title, Techniques: a.Techniques}
	if entities != nil {
		out.Classes, out.Title = Classes(entities.List), Generic(a.Title, entities.List)
	}
	return out
}

// Classes are the types of entities, each once.
func Classes(list []alert.Entity) []string {
	var out []string
	for i := range list {
		if t := string(list[i].Type); !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	slices.Sort(out)
	return out
}

func item(answer *Answer, p *Precedent, at time.Time) evidence.Evidence {
	return evidence.Evidence{
		ID: id.Derive(KindSimilar, p.Investigation), Kind: KindSimilar, Stance: evidence.Context, Source: "incident memory, compared by " + answer.Model,
		Refs: []string{p.Investigation}, Group: KindSimilar, ObservedAt: p.At, Trust: evidence.TrustSystem,
		FreshnessSeconds: int64(max(0, at.Sub(p.At)) / time.Second), Statement: statement(answer, p),
	}
}

// statement says nothing that another order or batch would say otherwise.
func statement(answer *Answer, p *Precedent) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Investigation %s", p.Investigation)
	if p.Title != "" {
		fmt.Fprintf(&b, " (%s)", p.Title)
	}
	fmt.Fprintf(&b, " looks like this and was decided by a person as %s on %s; similarity %.2f", p.Classification, p.At.Format(time.DateOnly), math.Floor(100*p.Similarity)/100)
	if answer.Degraded != "" {
		b.WriteString("; " + answer.Degraded)
	}
	return b.String()
}

// cacheSize and cacheAge bound what is kept of answers. Other processes remember too, and are
// heard after cacheAge at the latest.
const (
	cacheSize = 4096
	cacheAge  = 30 * time.Second
)

// cache holds answers of one generation.
type cache struct {
	generation uint64
	since      time.Time
	answers    map[string]Answer
}

// remembered is Similar, answered once for questions of one day that are the same. Precedents are
// the caller's to read, not to change.
func (m *Memory) remembered(ctx context.Context, q Question) (Answer, error) {
	// Ages count in days, so that the alerts of a day have one answer.
	q.At = q.At.UTC().Truncate(24 * time.Hour)
	key := strings.Join([]string{q.Tenant, q.Except, q.At.Format(time.DateOnly), fmt.Sprint(q.Deep, q.Limit), q.Like.Source, q.Like.Analytic, q.Like.Title,
		strings.Join(list(q.Like.Techniques), " "), strings.Join(list(q.Like.Classes), " "), strings.Join(list(q.Like.Evidence), " ")}, "\x00")
	generation, now := m.generation.Load(), m.cfg.Clock.Now()
	m.mu.Lock()
	c := &m.cache
	if c.generation != generation || now.Sub(c.since) > cacheAge || len(c.answers) >= cacheSize || c.answers == nil {
		*c = cache{generation: generation, since: now, answers: map[string]Answer{}}
	}
	answer, ok := c.answers[key]
	m.mu.Unlock()
	if ok {
		return answer, nil
	}
	answer, err := m.Similar(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cache.generation == generation {
		m.cache.answers[key] = answer
	}
	return answer, nil
}
