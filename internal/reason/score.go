// Package reason turns evidence into a verdict without any model: a prior plus the sum of
// weights in bits, grouped so that one observation does not count twice, and a ladder of
// decisions. The same set of evidence gives the same verdict in any order.
package reason

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/reason/opinion"
)

// Thresholds are the steps of the decision ladder. They are configuration.
type Thresholds struct {
	// MinBits is the sum of absolute counted weights below which nothing is decided.
	MinBits float64
	// Malicious, Suspicious and Benign are bounds on P(malicious).
	Malicious, Suspicious, Benign float64
	// BenignBits is what one benign item must count for a benign verdict, and what no item for
	// malicious may reach.
	BenignBits float64
	// GroupCap bounds what one group may count, per direction.
	GroupCap float64
	// LinkCap bounds what all links together may count; a benign item of LinkDamper bits or more
	// leaves a quarter of it.
	LinkCap, LinkDamper float64
}

// DefaultThresholds are those of DESIGN section 6.
func DefaultThresholds() Thresholds {
	return Thresholds{MinBits: 2, Malicious: 0.80, Suspicious: 0.60, Benign: 0.10, BenignBits: 3, GroupCap: 6, LinkCap: 4, LinkDamper: 3.5}
}

// Prior is the log-odds in bits before any evidence, and where it comes from.
type Prior struct {
	Bits   float64
	Source string
}

// SeverityPrior is the prior of an analytic that no person has judged yet: by the severity
// the source gives, in bits. An alert is more often harmless than not, whatever it says.
func SeverityPrior(s alert.Severity) Prior {
	bits := map[alert.Severity]float64{
		alert.Informational: -2.5, alert.Low: -2, alert.Medium: -1.5, alert.High: -1, alert.Critical: -0.5,
	}[s]
	return Prior{Bits: bits, Source: "severity " + s.String()}
}

// Probability converts log-odds in bits to a probability.
func Probability(bits float64) float64 { return 1 / (1 + math.Exp2(-bits)) }

// weights by rank inside a group: the strongest counts fully, the next half, the rest a quarter.
func rankFactor(rank int) float64 {
	switch rank {
	case 0:
		return 1
	case 1:
		return 0.5
	default:
		return 0.25
	}
}

// Count orders items canonically and sets their Counted weights after voiding, grouping and
// caps. It changes items in place. Items of stance Context count nothing.
func Count(items []evidence.Evidence, t Thresholds) {
	slices.SortFunc(items, func(a, b evidence.Evidence) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Weight), math.Abs(a.Weight)), cmp.Compare(a.ID, b.ID))
	})
	kinds := kindsFor(items)
	type key struct {
		group string
		up    bool
	}
	ranks, sums := map[key]int{}, map[key]float64{}
	links, lend := 0.0, linkFactor(items, kinds, t)
	model := 0.0
	for i := range items {
		e := &items[i]
		e.Counted = 0
		if e.Stance == evidence.Context || e.Weight == 0 || voided(e, kinds) || opinion.IsModel(e) && e.Weight < 0 {
			continue
		}
		k := key{e.Group, e.Weight > 0}
		if k.group == "" {
			k.group = e.ID
		}
		w := math.Abs(e.Weight) * rankFactor(ranks[k])
		w = min(w, t.GroupCap-sums[k])
		if IsLink(e) {
			w = min(w*lend, t.LinkCap-links)
			links += w
		}
		if opinion.IsModel(e) {
			w = min(w, opinion.MaxBitsPerItem, opinion.MaxBits-model)
			model += w
		}
		ranks[k]++
		sums[k] += w
		e.Counted = math.Copysign(round(w), e.Weight)
	}
}

// IsLink reports whether an item was lent by a linked investigation.
func IsLink(e *evidence.Evidence) bool { return strings.HasPrefix(e.Kind, "link.") }

// linkFactor is what share of their weight links lend: a specific benign explanation leaves a
// quarter.
func linkFactor(items []evidence.Evidence, kinds map[string]bool, t Thresholds) float64 {
	for i := range items {
		e := &items[i]
		if e.Weight <= -t.LinkDamper && e.Stance != evidence.Context && !voided(e, kinds) {
			return 0.25
		}
	}
	return 1
}

// Own is what items weigh together by themselves, after grouping: the measure of an anchor.
// It sets Counted.
func Own(items []evidence.Evidence, t Thresholds) float64 {
	Count(items, t)
	return round(sum(items).total)
}

// round keeps weights at a millionth of a bit, the resolution in which they are recorded, so
// that the published numbers add up to the published probability exactly.
func round(w float64) float64 { return math.Round(w*1e6) / 1e6 }

func kindsFor(items []evidence.Evidence) map[string]bool {
	kinds := map[string]bool{}
	for i := range items {
		// What links lend and what a model thinks are no observations of this activity: they void
		// no explanation of it.
		if items[i].Weight > 0 && items[i].Stance == evidence.For && !IsLink(&items[i]) && !opinion.IsModel(&items[i]) {
			kinds[items[i].Kind] = true
		}
	}
	return kinds
}

// voided reports whether a benign item is void because a kind that it does not survive is
// there. A kind that ends in "*" stands for a family: "credential.*", or "*" for any.
func voided(e *evidence.Evidence, kinds map[string]bool) bool {
	if e.Weight >= 0 {
		return false
	}
	for _, v := range e.Voids {
		family, ok := strings.CutSuffix(v, "*")
		if !ok && kinds[v] {
			return true
		}
		for k := range kinds {
			if ok && strings.HasPrefix(k, family) {
				return true
			}
		}
	}
	return false
}

// Decide scores the evidence and climbs the ladder. It reorders items and sets Counted.
func Decide(prior Prior, items []evidence.Evidence, severity alert.Severity, unknowns []string, t Thresholds) evidence.Verdict {
	Count(items, t)
	prior.Bits = round(prior.Bits)
	s := sum(items)
	p := Probability(prior.Bits + s.total)
	v := evidence.Verdict{
		Probability: p, Prior: prior.Bits, PriorSource: prior.Source, Severity: severity,
		Unknowns: unknowns, By: "deterministic", Citations: cite(items),
	}
	v.Classification, v.Reason = classify(prior, s, p, t)
	switch v.Classification {
	case evidence.TruePositive, evidence.Suspicious:
		v.Confidence = p
	case evidence.FalsePositive, evidence.BenignTruePositive:
		v.Confidence = 1 - p
	default:
		v.Confidence = max(p, 1-p)
	}
	v.Alternative = alternative(v.Classification, items)
	return v
}

type sums struct {
	total, absolute, expected     float64 // expected: what authorised-activity items count, <= 0
	proved                        float64 // absolute, without what a model thinks
	strongestFor, strongestBenign float64
}

func sum(items []evidence.Evidence) sums {
	var s sums
	for i := range items {
		c := items[i].Counted
		s.total += c
		s.absolute += math.Abs(c)
		if !opinion.IsModel(&items[i]) {
			s.proved += math.Abs(c)
		}
		if c > 0 {
			s.strongestFor = max(s.strongestFor, c)
		} else {
			s.strongestBenign = max(s.strongestBenign, -c)
			if items[i].Expected {
				s.expected += c
			}
		}
	}
	return s
}

func classify(prior Prior, s sums, p float64, t Thresholds) (evidence.Classification, string) {
	if s.absolute < t.MinBits {
		return evidence.InvestigationRequired, ""
	}
	// Activity that would be called malicious without the proof that it was authorised is
	// real and expected; the proof must be specific.
	without := Probability(prior.Bits + s.total - s.expected)
	if s.expected <= -t.BenignBits && without >= t.Malicious && p < t.Suspicious {
		return evidence.BenignTruePositive, ""
	}
	switch {
	case p >= t.Malicious && s.proved < t.MinBits:
		return evidence.Suspicious, "" // a model alone proves nothing
	case p >= t.Malicious:
		return evidence.TruePositive, ""
	case p <= t.Benign && s.strongestBenign >= t.BenignBits && s.strongestFor < t.BenignBits:
		if s.expected <= -t.BenignBits {
			return evidence.BenignTruePositive, ""
		}
		return evidence.FalsePositive, "logic"
	case p >= t.Suspicious:
		return evidence.Suspicious, ""
	}
	return evidence.InvestigationRequired, ""
}

func cite(items []evidence.Evidence) []string {
	var ids []string
	for i := range items {
		if items[i].Counted != 0 {
			ids = append(ids, items[i].ID)
		}
	}
	return ids
}

// alternative states the best competing explanation from the strongest items that speak the
// other way, or what is missing for one.
func alternative(c evidence.Classification, items []evidence.Evidence) string {
	benign := c.Benign()
	var best *evidence.Evidence
	for i := range items {
		e := &items[i]
		against := e.Counted < 0
		if benign {
			against = e.Counted > 0
		}
		if against && (best == nil || math.Abs(e.Counted) > math.Abs(best.Counted)) {
			best = e
		}
	}
	if best == nil {
		if benign {
			return "Nothing found speaks for an attack."
		}
		return "Harmless activity that nothing found explains: no benign evidence was found."
	}
	kind := "Harmless"
	if benign {
		kind = "An attack"
	}
	return fmt.Sprintf("%s, because: %s", kind, strings.TrimSuffix(best.Statement, ".")+".")
}
