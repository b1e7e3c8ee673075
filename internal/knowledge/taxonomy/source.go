package taxonomy

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/id"
)

// The kinds of evidence that Source contributes.
const (
	KindTechnique   = "technique"
	KindQuarantined = "technique.quarantined"
)

// Live is the taxonomy in use. The zero value has none. It is safe for concurrent use.
type Live struct{ p atomic.Pointer[Taxonomy] }

// NewLive returns a Live without a taxonomy.
func NewLive() *Live { return new(Live) }

// Swap puts a taxonomy into use.
func (l *Live) Swap(t *Taxonomy) { l.p.Store(t) }

// Taxonomy returns the taxonomy in use, or nil when there never was one.
func (l *Live) Taxonomy() *Taxonomy { return l.p.Load() }

// Source puts names to the techniques that an alert states. That a sensor states a technique
// says nothing about whether it is right, so the items are context.
type Source struct{ live *Live }

// NewSource returns a source that asks the taxonomy in use.
func NewSource(live *Live) *Source { return &Source{live: live} }

var _ evidence.Source = (*Source)(nil)

// Name implements evidence.Source.
func (*Source) Name() string { return "techniques" }

// Gather implements evidence.Source. One batch is answered from one taxonomy.
func (s *Source) Gather(ctx context.Context, subjects []evidence.Subject) ([]evidence.Finding, error) {
	out := make([]evidence.Finding, 0, len(subjects))
	t := s.live.Taxonomy()
	for i := range subjects {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if t == nil {
			out = append(out, evidence.Finding{Blind: "the taxonomy of techniques is not loaded"})
			continue
		}
		out = append(out, evidence.Finding{Items: t.items(subjects[i].Alert)})
	}
	return out, nil
}

func (t *Taxonomy) items(a *alert.Alert) []evidence.Evidence {
	if a == nil {
		return nil
	}
	var out []evidence.Evidence
	for i, stated := range a.Techniques {
		if !first(a.Techniques, i) {
			continue
		}
		at, _ := a.EventTime()
		e := evidence.Evidence{
			ID: id.Derive("technique", stated), Kind: KindTechnique, Stance: evidence.Context, Source: "taxonomy",
			Refs: refs(a, stated), Group: "techniques", ObservedAt: at, Trust: evidence.TrustSystem,
		}
		if known, _ := t.Resolve([]string{stated}); len(known) == 1 {
			e.Statement, e.Techniques = t.statement(stated, &known[0]), []string{known[0].ID}
		} else {
			e.Kind = KindQuarantined
			e.Statement = "The source names the technique " + stated + ", which is not in " + t.Version() + "; it is kept out of every decision"
		}
		out = append(out, e)
	}
	return out
}

func first(list []string, i int) bool {
	for _, s := range list[:i] {
		if s == list[i] {
			return false
		}
	}
	return true
}

// refs points at the first field that holds exactly the id.
func refs(a *alert.Alert, stated string) []string {
	for i := range a.Fields {
		if a.Fields[i].Value == stated {
			return []string{a.Fields[i].Pointer}
		}
	}
	return nil
}

func (t *Taxonomy) statement(stated string, c *Technique) string {
	var b strings.Builder
	b.WriteString("The source names the technique ")
	if c.ID != stated {
		b.WriteString(stated + ", which is now ")
	}
	b.WriteString(c.ID + " " + t.Name(c.ID))
	if tactics := t.Tactics(c.ID); len(tactics) > 0 {
		b.WriteString(" (" + strings.Join(tactics, ", ") + ")")
	}
	if _, deprecated := t.Deprecated(c.ID); deprecated {
		b.WriteString("; the technique is deprecated")
	}
	return b.String()
}
