package eval

import (
	"cmp"
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason"
)

// Rescorer decides again from stored evidence, without running the pipeline: prior, own
// evidence, and what linked investigations of the same run lend.
type Rescorer struct {
	Thresholds reason.Thresholds
}

// Ablation says how much recall hangs on single rules.
type Ablation struct {
	// Rules is how many rules had a match and were removed in turn.
	Rules int `json:"rules"`
	// Unreproduced counts investigations whose stored verdict the scorer does not reproduce with
	// every rule in place; anything but 0 makes the rest doubtful.
	Unreproduced int `json:"unreproduced"`
	// Above lists the rules whose removal lowers recall by more than 5 points, Worst the ones
	// that lower it most.
	Above []Removal `json:"above_5_points"`
	Worst []Removal `json:"worst"`
}

// Removal is what is lost without one rule.
type Removal struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	// RecallPoints and FalseEscalationPoints are by how much the rates change.
	RecallPoints          float64 `json:"recall_points"`
	FalseEscalationPoints float64 `json:"false_escalation_points"`
}

const (
	rulePrefix = "rule:"
	tolerated  = 5 // points of recall that may hang on one rule
	worstShown = 10
)

// Ablate removes each rule in turn from the evidence of a run.
func (r *Rescorer) Ablate(samples []Sample, judged []Judged) *Ablation {
	n := newNeighbourhood(judged)
	titles := map[string]string{}
	for _, inv := range n.list {
		for i := range inv.Evidence {
			if e := &inv.Evidence[i]; ruleOf(e) != "" {
				titles[ruleOf(e)] = e.Source
			}
		}
	}
	plain := r.verdicts(n, all)
	out := &Ablation{Rules: len(titles), Above: []Removal{}}
	for _, inv := range n.list {
		if plain[inv.ID] != inv.Verdict.Classification {
			out.Unreproduced++
		}
	}
	recall, false0 := rates(samples, judged, plain)
	removals := make([]Removal, 0, len(titles))
	for id, title := range titles {
		re, fe := rates(samples, judged, r.verdicts(n, without(id)))
		removals = append(removals, Removal{ID: strings.TrimPrefix(id, rulePrefix), Title: title,
			RecallPoints: points(re, recall), FalseEscalationPoints: points(fe, false0)})
	}
	slices.SortFunc(removals, func(a, b Removal) int {
		return cmp.Or(cmp.Compare(a.RecallPoints, b.RecallPoints), cmp.Compare(a.ID, b.ID))
	})
	for _, x := range removals {
		if x.RecallPoints < -tolerated {
			out.Above = append(out.Above, x)
		}
	}
	out.Worst = removals[:min(len(removals), worstShown)]
	return out
}

// ruleOf is the id under which a rule is removed: the same for what it found in one alert and
// for what it counted over several. It is empty for evidence that no rule gave.
func ruleOf(e *evidence.Evidence) string {
	id := strings.TrimPrefix(e.ID, investigate.CountPrefix)
	if !strings.HasPrefix(id, rulePrefix) {
		return ""
	}
	return id
}

// neighbourhood is every investigation of a run, with who shares which key.
type neighbourhood struct {
	list []*investigate.Investigation
	byID map[string]*investigate.Investigation
	keys map[linkKey][]*investigate.Investigation
}

type linkKey struct {
	tenant string
	kind   alert.LinkKind
	value  string
}

func newNeighbourhood(judged []Judged) *neighbourhood {
	n := &neighbourhood{byID: map[string]*investigate.Investigation{}, keys: map[linkKey][]*investigate.Investigation{}}
	for i := range judged {
		inv := judged[i].Investigation
		if inv == nil || n.byID[inv.ID] != nil {
			continue
		}
		n.byID[inv.ID] = inv
		n.list = append(n.list, inv)
		for _, k := range inv.Links {
			key := linkKey{inv.TenantID, k.Kind, k.Value}
			n.keys[key] = append(n.keys[key], inv)
		}
	}
	return n
}

// change is what is done to evidence before it is scored again: items are changed in place,
// and those for which it answers no are left out.
type change func(*evidence.Evidence) bool

func all(*evidence.Evidence) bool { return true }

// without leaves out what one rule found or counted. That changes nothing about what another
// rule counts.
func without(rule string) change {
	return func(e *evidence.Evidence) bool { return ruleOf(e) != rule }
}

func (c change) of(items []evidence.Evidence) []evidence.Evidence {
	out := make([]evidence.Evidence, 0, len(items)+8)
	for i := range items {
		if e := items[i]; c(&e) {
			out = append(out, e)
		}
	}
	return out
}

// verdicts decides about every investigation, on evidence that was changed.
func (r *Rescorer) verdicts(n *neighbourhood, c change) map[string]evidence.Classification {
	out := make(map[string]evidence.Classification, len(n.list))
	for id, v := range r.decide(n, c) {
		out[id] = v.Classification
	}
	return out
}

func (r *Rescorer) decide(n *neighbourhood, c change) map[string]evidence.Verdict {
	out := make(map[string]evidence.Verdict, len(n.list))
	for id, items := range r.items(n, c) {
		inv := n.byID[id]
		prior := reason.Prior{Bits: inv.Verdict.Prior, Source: inv.Verdict.PriorSource}
		out[id] = reason.Decide(prior, items, inv.Verdict.Severity, nil, r.Thresholds)
	}
	return out
}

// items is all evidence of every investigation, changed, with what links lend after the change.
func (r *Rescorer) items(n *neighbourhood, c change) map[string][]evidence.Evidence {
	own := make(map[string][]evidence.Evidence, len(n.list))
	bits := make(map[string]float64, len(n.list))
	for _, inv := range n.list {
		items := c.of(inv.OwnEvidence())
		own[inv.ID], bits[inv.ID] = items, reason.Own(items, r.Thresholds)
	}
	for _, inv := range n.list {
		own[inv.ID] = slices.Concat(own[inv.ID], c.of(counted(inv)), inv.LinkEvidence(n.of(inv, bits)))
	}
	return own
}

// counted is the evidence that rests on repetition.
func counted(inv *investigate.Investigation) []evidence.Evidence {
	var out []evidence.Evidence
	for i := range inv.Evidence {
		if e := &inv.Evidence[i]; strings.HasPrefix(e.ID, investigate.CountPrefix) {
			out = append(out, *e)
		}
	}
	return out
}

// of lists who shares keys with an investigation; a key that many share says nothing.
func (n *neighbourhood) of(inv *investigate.Investigation, bits map[string]float64) []investigate.Neighbour {
	var out []investigate.Neighbour
	for _, k := range inv.Links {
		members := n.keys[linkKey{inv.TenantID, k.Kind, k.Value}]
		if len(members) > investigate.MaxNeighbours {
			continue
		}
		for _, m := range members {
			if m.ID == inv.ID {
				continue
			}
			for i := range m.Links {
				if l := &m.Links[i]; l.Kind == k.Kind && l.Value == k.Value {
					out = append(out, investigate.Neighbour{ID: m.ID, Title: m.Title, OwnBits: bits[m.ID],
						Kind: l.Kind, Value: l.Value, First: l.First, Last: l.Last})
				}
			}
		}
	}
	return out
}

// rates are recall and false escalation of verdicts by investigation.
func rates(samples []Sample, judged []Judged, verdicts map[string]evidence.Classification) (recall, falseEscalation Rate) {
	var n, escalated [3]int
	for i := range samples {
		l := samples[i].Label
		n[l]++
		if inv := judged[i].Investigation; inv != nil {
			if c := verdicts[inv.ID]; !c.Deferred() && !c.Benign() {
				escalated[l]++
			}
		}
	}
	return NewRate(escalated[Positive], n[Positive]), NewRate(escalated[Negative], n[Negative])
}

// NewRescorer returns one with the default thresholds.
func NewRescorer() *Rescorer { return &Rescorer{Thresholds: reason.DefaultThresholds()} }
