package consequence

import (
	"fmt"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/asset"
	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/respond"
)

// Raise raises a severity by what may follow: one step above the source's when the evidence says
// that lives or equipment are at stake. adjusted and why are what the worth of the assets made of
// the source's severity; what they raised is not raised twice, and what they lowered is not low.
// It never lowers.
func Raise(source, adjusted alert.Severity, why string, items []evidence.Evidence) (alert.Severity, string) {
	worst := -1
	for i := range items {
		e := &items[i]
		if e.Kind != Kind(graph.SafetyLife) && e.Kind != Kind(graph.Equipment) {
			continue
		}
		if worst < 0 || before(e, &items[worst]) {
			worst = i
		}
	}
	up := source.Raise()
	if worst < 0 || adjusted >= up || up == source {
		if worst >= 0 && adjusted < source {
			return source, ""
		}
		return adjusted, why
	}
	return up, fmt.Sprintf("raised from %s to %s: %s", source, up, items[worst].Statement)
}

// before orders items by class and id, whatever their order.
func before(a, b *evidence.Evidence) bool {
	if life := Kind(graph.SafetyLife); (a.Kind == life) != (b.Kind == life) {
		return a.Kind == life
	}
	return a.ID < b.ID
}

// Places says where the hosts of an investigation stand: by org.yaml, and by the evidence that the
// graph or a source of operational technology gave about them.
func Places(r *asset.Resolver, at time.Time, items []evidence.Evidence) respond.Places {
	return func(t alert.EntityType, target string) (respond.Place, bool) {
		h, ok := hostOf(r, t, target, at)
		if !ok {
			return respond.Place{}, false
		}
		p := respond.Place{Class: h.place.Class, Zone: h.place.Zone, Owner: h.place.Owner}
		for _, c := range []graph.Class{graph.SafetyLife, graph.Equipment} {
			id := itemID(h.id, c, true)
			if slices.ContainsFunc(items, func(e evidence.Evidence) bool { return e.ID == id }) {
				p.Class = p.Class.Worse(c)
			}
		}
		return p, p != respond.Place{}
	}
}
