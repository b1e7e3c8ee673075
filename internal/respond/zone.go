package respond

import (
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/evidence"
)

// ManualTask is the action that people carry out where nothing of ours may act.
const ManualTask = "manual_task"

// Place is where the target of an action stands.
type Place struct {
	Class graph.Class
	Zone  string
	// Owner is who answers for it: the responsible engineer.
	Owner string
}

// Places says where a host or an address stands. ok is false when nobody knows; it must be true,
// with the class equipment, for assets of an unknown zone that a source of operational technology
// has named.
type Places func(t alert.EntityType, target string) (p Place, ok bool)

// PlanIn is Plan with Confine.
func (p *Planner) PlanIn(places Places, id string, v *evidence.Verdict, entities []alert.Entity, techniques []string) []Action {
	return p.Confine(places, p.Plan(id, v, entities, techniques))
}

// Confine replaces the actions on each target that stands where lives or equipment are at stake by
// one manual task for the engineer who answers for it, whatever their tier and whoever would
// approve: a stopped controller may hurt people. The task has the highest tier among them, so that
// the gates ask no less than before. Nil places confine nothing.
func (p *Planner) Confine(places Places, actions []Action) []Action {
	if places == nil {
		return actions
	}
	var out []Action
	for i := range actions {
		a := &actions[i]
		place, physical := confined(places, a)
		if !physical {
			out = append(out, *a)
			continue
		}
		at := slices.IndexFunc(out, func(b Action) bool { return b.Action == ManualTask && b.Type == a.Type && b.Target == a.Target })
		if at < 0 {
			out = append(out, p.task(a, place))
			continue
		}
		p.join(&out[at], a)
	}
	return out
}

func confined(places Places, a *Action) (Place, bool) {
	if a.Action == ManualTask || a.Type != alert.Host && a.Type != alert.IP {
		return Place{}, false
	}
	place, ok := places(a.Type, a.Target)
	return place, ok && place.Class.Physical()
}

func (p *Planner) task(a *Action, at Place) Action {
	stake := "equipment"
	if at.Class == graph.SafetyLife {
		stake = "lives"
	}
	t := *a
	t.Action, t.Instead, t.Zone, t.Owner = ManualTask, a.Action, at.Zone, at.Owner
	t.Alternative = p.atBoundary(a.Action)
	t.Reason = "nothing acts on an asset where " + stake + " may be at stake: the responsible engineer decides on site"
	return t
}

// join adds what another action would have done to a task.
func (p *Planner) join(t, a *Action) {
	t.Tier, t.NeedsApproval = max(t.Tier, a.Tier), t.NeedsApproval || a.NeedsApproval
	t.Instead = with(t.Instead, a.Action, ", ")
	t.Alternative = with(t.Alternative, p.atBoundary(a.Action), "; ")
}

// with adds a text to a list in one text, once.
func with(list, text, between string) string {
	switch {
	case text == "" || slices.Contains(strings.Split(list, between), text):
		return list
	case list == "":
		return text
	}
	return list + between + text
}
