package respond

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/evidence"
)

func planner(t *testing.T) *Planner {
	t.Helper()
	p, err := NewPlanner()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNothingActsWhereLivesOrEquipmentAreAtStake(t *testing.T) {
	places := func(_ alert.EntityType, target string) (Place, bool) {
		switch target {
		case "plc-01":
			return Place{graph.Equipment, "plant", "Grace"}, true
		case "sis-01":
			return Place{graph.SafetyLife, "sis", ""}, true
		case "ws-07":
			return Place{Class: graph.Downtime, Zone: "office"}, true
		}
		return Place{}, false
	}
	var entities []alert.Entity
	for _, h := range []string{"plc-01", "sis-01", "ws-07", "stranger"} {
		entities = append(entities, alert.Entity{Type: alert.Host, Value: h, Confidence: 1})
	}
	got := planner(t).PlanIn(places, "inv", verdict(evidence.TruePositive), entities, []string{"T1059"})
	if d := cmp.Diff("create_ticket:inv manual_task:plc-01 manual_task:sis-01 collect_forensics:ws-07 collect_forensics:stranger isolate_host:ws-07 isolate_host:stranger", names(got)); d != "" {
		t.Fatal(d)
	}
	want := Action{
		Action: ManualTask, Type: alert.Host, Target: "plc-01", Tier: 2, NeedsApproval: true, Instead: "collect_forensics, isolate_host",
		Zone: "plant", Owner: "Grace",
		Reason: "nothing acts on an asset where equipment may be at stake: the responsible engineer decides on site",
		Alternative: "mirror its traffic at the switch and keep the capture; " +
			"restrict the conduits of the zone at its firewall, and leave those that the process needs",
	}
	if d := cmp.Diff(want, got[1]); d != "" {
		t.Error(d)
	}
	// A task that already is one stays as it is.
	if d := cmp.Diff(got, planner(t).Confine(places, got)); d != "" {
		t.Errorf("a second time:\n%s", d)
	}
	free := planner(t).Plan("inv", verdict(evidence.TruePositive), entities, []string{"T1059"})
	if d := cmp.Diff(free, planner(t).PlanIn(nil, "inv", verdict(evidence.TruePositive), entities, []string{"T1059"})); d != "" {
		t.Errorf("without places:\n%s", d)
	}
}

// Whatever the plan and the places, no action on a confined target is left, none on another is
// lost, and the gates ask for as much as before.
func TestConfineProperty(t *testing.T) {
	p := planner(t)
	rapid.Check(t, func(r *rapid.T) {
		classes := map[string]graph.Class{}
		for _, h := range []string{"a", "b", "c"} {
			classes[h] = graph.ClassOf(rapid.IntRange(0, 4).Draw(r, "class"))
		}
		var actions []Action
		for range rapid.IntRange(0, 8).Draw(r, "n") {
			tier := rapid.IntRange(0, 3).Draw(r, "tier")
			actions = append(actions, Action{
				Action: rapid.SampledFrom([]string{"isolate_host", "collect_forensics", "monitor_host"}).Draw(r, "action"),
				Type:   rapid.SampledFrom([]alert.EntityType{alert.Host, alert.IP, alert.Account}).Draw(r, "type"),
				Target: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "target"), Tier: tier, NeedsApproval: tier >= 2,
			})
		}
		places := func(_ alert.EntityType, target string) (Place, bool) {
			return Place{Class: classes[target]}, classes[target] != graph.Unknown
		}
		confined := func(a *Action) bool { return a.Type != alert.Account && classes[a.Target].Physical() }
		got := p.Confine(places, actions)
		if MaxTier(got) != MaxTier(actions) {
			r.Fatalf("tier %d became %d", MaxTier(actions), MaxTier(got))
		}
		var left, want []Action
		for i := range actions {
			if !confined(&actions[i]) {
				want = append(want, actions[i])
			}
		}
		for i := range got {
			if got[i].Action != ManualTask {
				left = append(left, got[i])
			} else if !confined(&got[i]) {
				r.Fatalf("a task where actions may run: %+v", got[i])
			}
		}
		if d := cmp.Diff(want, left); d != "" {
			r.Fatal(d)
		}
	})
}
