package cohort

import (
	"cmp"
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason"
	"github.com/aluskort/aluskort/internal/respond"
)

// Plan is a set of investigations that wait for approval, belong to one attack by what they
// share, and ask for nothing beyond what the first of them asks for: one person who accepts its
// plan has seen every action of the others.
type Plan struct {
	// Key identifies the plan while its first member waits.
	Key string
	// Members has the investigation whose plan covers the others first, then those by id.
	Members []*investigate.Investigation
	// Actions are those that need approval, as every member writes them, each once.
	Actions []respond.Action
}

// Plans puts those of the investigations that wait for approval together. The order of the list
// makes no difference.
func Plans(list []*investigate.Investigation) []Plan {
	waiting := make([]*investigate.Investigation, 0, len(list))
	for _, inv := range list {
		if WaitsForApproval(inv) {
			waiting = append(waiting, inv)
		}
	}
	// Those that ask for most come first: they cover, the others are covered.
	slices.SortFunc(waiting, func(a, b *investigate.Investigation) int {
		return cmp.Or(cmp.Compare(len(approvable(b)), len(approvable(a))), strings.Compare(a.TenantID, b.TenantID), strings.Compare(a.ID, b.ID))
	})
	attack := linked(waiting)
	var out []Plan
	for _, inv := range waiting {
		i := slices.IndexFunc(out, func(p Plan) bool {
			return attack[p.Members[0]] == attack[inv] && covers(p.Members[0], inv)
		})
		if i < 0 {
			out = append(out, Plan{Key: digest([]string{"plan", inv.TenantID, inv.ID})})
			i = len(out) - 1
		}
		out[i].add(inv)
	}
	for i := range out {
		slices.SortFunc(out[i].Members[1:], func(a, b *investigate.Investigation) int { return strings.Compare(a.ID, b.ID) })
	}
	return out
}

// WaitsForApproval reports whether an investigation is one that a plan is about: one whose
// verdict is malicious and whose planned actions a person must accept.
func WaitsForApproval(inv *investigate.Investigation) bool {
	return inv.State == investigate.AwaitingHuman && inv.WaitReason == investigate.WaitApproval &&
		inv.Verdict.Classification == evidence.TruePositive && len(approvable(inv)) > 0
}

func (p *Plan) add(inv *investigate.Investigation) {
	p.Members = append(p.Members, inv)
	for _, a := range approvable(inv) {
		if !slices.Contains(p.Actions, a) {
			p.Actions = append(p.Actions, a)
		}
	}
}

func approvable(inv *investigate.Investigation) []respond.Action {
	return slices.DeleteFunc(slices.Clone(inv.Actions), func(a respond.Action) bool { return !a.NeedsApproval })
}

// covers reports whether every action of one plan is one of the other's.
func covers(lead, inv *investigate.Investigation) bool {
	have := approvable(lead)
	for _, a := range approvable(inv) {
		if !slices.ContainsFunc(have, func(b respond.Action) bool {
			return a.Action == b.Action && a.Type == b.Type && a.Tier <= b.Tier && sameTarget(a.Type, a.Target, b.Target)
		}) {
			return false
		}
	}
	return true
}

// sameTarget compares the targets of two actions. A host without its domain is the one of that
// name with it; two hosts with different domains are two, and so are accounts written
// differently.
func sameTarget(t alert.EntityType, a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	if t != alert.Host {
		return false
	}
	nameA, _, fullA := strings.Cut(a, ".")
	nameB, _, fullB := strings.Cut(b, ".")
	return fullA != fullB && strings.EqualFold(nameA, nameB)
}

// linked says which attack each investigation belongs to: those between which evidence was
// lent, directly or by way of others of the list, are one.
func linked(list []*investigate.Investigation) map[*investigate.Investigation]*investigate.Investigation {
	byID := map[string]*investigate.Investigation{}
	root := map[*investigate.Investigation]*investigate.Investigation{}
	for _, inv := range list {
		byID[inv.TenantID+"\x00"+inv.ID], root[inv] = inv, inv
	}
	find := func(inv *investigate.Investigation) *investigate.Investigation {
		for root[inv] != inv {
			root[inv] = root[root[inv]]
			inv = root[inv]
		}
		return inv
	}
	for _, inv := range list {
		for i := range inv.Evidence {
			e := &inv.Evidence[i]
			if !reason.IsLink(e) || len(e.Refs) == 0 || e.Counted <= 0 {
				continue
			}
			if other := byID[inv.TenantID+"\x00"+e.Refs[0]]; other != nil {
				root[find(inv)] = find(other)
			}
		}
	}
	out := make(map[*investigate.Investigation]*investigate.Investigation, len(list))
	for _, inv := range list {
		out[inv] = find(inv)
	}
	return out
}
