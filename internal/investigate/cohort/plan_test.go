package cohort

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/respond"
)

// waits is an investigation that waits for approval of actions on targets, "verb target", and
// was lent evidence by others.
func waits(id string, links []string, actions ...string) *investigate.Investigation {
	inv := &investigate.Investigation{ID: id, TenantID: "default", State: investigate.AwaitingHuman, WaitReason: investigate.WaitApproval,
		Verdict: evidence.Verdict{Classification: evidence.TruePositive}}
	for _, l := range links {
		inv.Evidence = append(inv.Evidence, evidence.Evidence{ID: "link:process:" + l, Kind: "link.process", Weight: 3, Counted: 3, Refs: []string{l, "/pid"}})
	}
	inv.Actions = append(inv.Actions, respond.Action{Action: "create_ticket", Target: id})
	for _, a := range actions {
		verb, target, _ := strings.Cut(a, " ")
		kind := map[string]alert.EntityType{"isolate": alert.Host, "disable": alert.Account, "block": alert.IP}[verb]
		inv.Actions = append(inv.Actions, respond.Action{Action: verb, Type: kind, Target: target, Tier: 2, NeedsApproval: true})
	}
	return inv
}

func shape(plans []Plan) string {
	var out []string
	for _, p := range plans {
		var ids []string
		for _, m := range p.Members {
			ids = append(ids, m.ID)
		}
		out = append(out, strings.Join(ids, "+"))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestPlansCoverWhatAsksForNothingBeyond(t *testing.T) {
	spoil := func(inv *investigate.Investigation, f func(*investigate.Investigation)) *investigate.Investigation {
		f(inv)
		return inv
	}
	for name, c := range map[string]struct {
		list []*investigate.Investigation
		want string
	}{
		"the same plan":    {[]*investigate.Investigation{waits("a", nil, "isolate ws-1"), waits("b", []string{"a"}, "isolate WS-1")}, "a+b"},
		"a part of a plan": {[]*investigate.Investigation{waits("a", nil, "isolate ws-1"), waits("b", []string{"a"}, "isolate ws-1", "disable ada")}, "b+a"},
		"more than a plan": {[]*investigate.Investigation{waits("a", nil, "isolate ws-1", "block 192.0.2.1"), waits("b", []string{"a"}, "isolate ws-1", "disable ada")}, "a b"},
		"by way of a third": {[]*investigate.Investigation{waits("a", nil, "isolate ws-1"), waits("b", []string{"a"}, "block 192.0.2.1"),
			waits("c", []string{"b"}, "isolate ws-1")}, "a+c b"},
		"another attack":             {[]*investigate.Investigation{waits("a", nil, "isolate ws-1"), waits("b", nil, "isolate ws-1")}, "a b"},
		"with and without domain":    {[]*investigate.Investigation{waits("a", nil, "isolate ws-1.example.com"), waits("b", []string{"a"}, "isolate ws-1")}, "a+b"},
		"two domains":                {[]*investigate.Investigation{waits("a", nil, "isolate ws-1.example.com"), waits("b", []string{"a"}, "isolate ws-1.example.org")}, "a b"},
		"accounts as written":        {[]*investigate.Investigation{waits("a", nil, `disable EXAMPLE\ada`), waits("b", []string{"a"}, "disable ada")}, "a b"},
		"another tenant":             {[]*investigate.Investigation{waits("a", nil, "isolate ws-1"), spoil(waits("b", []string{"a"}, "isolate ws-1"), func(i *investigate.Investigation) { i.TenantID = "acme" })}, "a b"},
		"a higher tier":              {[]*investigate.Investigation{waits("a", nil, "isolate ws-1"), spoil(waits("b", []string{"a"}, "isolate ws-1"), func(i *investigate.Investigation) { i.Actions[1].Tier = 3 })}, "a b"},
		"one is closed":              {[]*investigate.Investigation{waits("a", nil, "isolate ws-1"), spoil(waits("b", []string{"a"}, "isolate ws-1"), func(i *investigate.Investigation) { i.State = investigate.Closed })}, "a"},
		"one is only suspicious":     {[]*investigate.Investigation{waits("a", nil, "isolate ws-1"), spoil(waits("b", []string{"a"}, "isolate ws-1"), func(i *investigate.Investigation) { i.Verdict.Classification = evidence.Suspicious })}, "a"},
		"a link that counts no more": {[]*investigate.Investigation{waits("a", nil, "isolate ws-1"), spoil(waits("b", []string{"a"}, "isolate ws-1"), func(i *investigate.Investigation) { i.Evidence[0].Counted = 0 })}, "a b"},
		"nothing":                    {nil, ""},
	} {
		if got := shape(Plans(c.list)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Whatever waits: every investigation is in one plan, no plan approves what its first member
// does not ask for, its list of actions has every member's, and order makes no difference.
func TestPlansNeverHideAnAction(t *testing.T) {
	for seed := uint64(1); seed <= 200; seed++ {
		r := rand.New(rand.NewPCG(seed, 2))
		var list []*investigate.Investigation
		for i := range 1 + r.IntN(12) {
			var links, actions []string
			for k := range i {
				if r.IntN(3) == 0 {
					links = append(links, fmt.Sprintf("i%02d", k))
				}
			}
			for range 1 + r.IntN(3) {
				a := []string{"isolate ws-1", "isolate ws-1.example.com", "isolate ws-1.example.org", "disable ada", `disable EXAMPLE\ada`, "block 192.0.2.1"}[r.IntN(6)]
				if !slices.Contains(actions, a) {
					actions = append(actions, a)
				}
			}
			list = append(list, waits(fmt.Sprintf("i%02d", i), links, actions...))
		}
		plans := Plans(list)
		members := 0
		for _, p := range plans {
			members += len(p.Members)
			for _, m := range p.Members {
				if !covers(p.Members[0], m) {
					t.Errorf("seed %d: %s is approved with %s and asks for more", seed, m.ID, p.Members[0].ID)
				}
				for _, a := range approvable(m) {
					if !slices.Contains(p.Actions, a) {
						t.Errorf("seed %d: %s %s of %s is not shown", seed, a.Action, a.Target, m.ID)
					}
				}
			}
		}
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		if again := Plans(list); members != len(list) || shape(again) != shape(plans) {
			t.Errorf("seed %d: %d of %d, %s, in another order %s", seed, members, len(list), shape(plans), shape(again))
		}
	}
}
