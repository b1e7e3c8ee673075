package opinion_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/reason"
	"github.com/aluskort/aluskort/internal/reason/opinion"
)

func classes() []evidence.Classification {
	return []evidence.Classification{evidence.TruePositive, evidence.BenignTruePositive, evidence.FalsePositive, evidence.Suspicious, evidence.InvestigationRequired}
}

func drawItems(t *rapid.T) []evidence.Evidence {
	n := rapid.IntRange(0, 8).Draw(t, "items")
	out := make([]evidence.Evidence, n)
	for i := range out {
		w := rapid.Float64Range(-5, 5).Draw(t, "weight")
		stance := evidence.For
		if w < 0 {
			stance = evidence.Against
		}
		out[i] = evidence.Evidence{ID: fmt.Sprint("e", i), Kind: fmt.Sprint("k", i%3), Weight: w, Stance: stance, Statement: "s", Group: fmt.Sprint("g", i%4)}
	}
	return out
}

func drawOpinion(t *rapid.T) *opinion.Opinion {
	o := &opinion.Opinion{
		Classification: rapid.SampledFrom(classes()).Draw(t, "class"), Confidence: rapid.Float64Range(-3, 3).Draw(t, "confidence"), Model: "m",
	}
	for range rapid.IntRange(0, 10).Draw(t, "citations") {
		o.Citations = append(o.Citations, opinion.Citation{
			Evidence: fmt.Sprint("e", rapid.IntRange(0, 12).Draw(t, "cited")), Ref: "/x", Bits: rapid.Float64().Draw(t, "bits"), Why: "w",
		})
	}
	return o
}

// TestNoModelMovesAVerdictTowardsBenign: whatever a model answers, the probability of an attack
// does not fall, no verdict becomes benign that was not, and at most MaxBits are added.
func TestNoModelMovesAVerdictTowardsBenign(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items, o := drawItems(t), drawOpinion(t)
		prior := reason.Prior{Bits: rapid.Float64Range(-4, 4).Draw(t, "prior")}
		before := reason.Decide(prior, slices.Clone(items), alert.High, nil, reason.DefaultThresholds())
		with := append(slices.Clone(items), o.Evidence(items)...)
		after := reason.Decide(prior, with, alert.High, nil, reason.DefaultThresholds())
		if after.Probability < before.Probability {
			t.Fatalf("P fell from %g to %g", before.Probability, after.Probability)
		}
		if after.Classification.Benign() && !before.Classification.Benign() {
			t.Fatalf("%s became %s", before.Classification, after.Classification)
		}
		added := 0.0
		for i := range with {
			if opinion.IsModel(&with[i]) {
				if added += with[i].Counted; with[i].Counted > opinion.MaxBitsPerItem {
					t.Fatalf("one item counts %g", with[i].Counted)
				}
			}
		}
		if added > opinion.MaxBits+1e-9 {
			t.Fatalf("%g bits were added", added)
		}
	})
}

func TestModelAloneProvesNothing(t *testing.T) {
	items := []evidence.Evidence{{ID: "a", Kind: "k", Weight: 0.5, Stance: evidence.For, Statement: "s"}}
	o := &opinion.Opinion{Classification: evidence.TruePositive, Confidence: 1, Model: "m",
		Citations: []opinion.Citation{{Evidence: "a", Bits: 2, Why: "x"}, {Ref: "/b", Bits: 2, Why: "y"}}}
	v := reason.Decide(reason.Prior{Bits: 1}, append(items, o.Evidence(items)...), alert.High, nil, reason.DefaultThresholds())
	if v.Classification != evidence.Suspicious {
		t.Errorf("got %s at %g", v.Classification, v.Probability)
	}
}

func TestCitationsThatDoNotResolveAddNothing(t *testing.T) {
	items := []evidence.Evidence{{ID: "a", Kind: "k", Weight: 1, Stance: evidence.For, Statement: "s"}}
	o := &opinion.Opinion{Classification: evidence.TruePositive, Citations: []opinion.Citation{
		{Evidence: "gone", Bits: 2}, {Evidence: "a", Bits: 1}, {Evidence: "a", Bits: 2}, {Evidence: "a", Bits: math.NaN()}, {Bits: 2},
	}}
	got := o.Evidence(items)
	if len(got) != 1 || got[0].ID != "model:a" || got[0].Weight != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestOrderOfCitationsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items, o := drawItems(t), drawOpinion(t)
		want := fmt.Sprint(o.Evidence(items))
		o.Citations = rapid.Permutation(o.Citations).Draw(t, "order")
		if got := fmt.Sprint(o.Evidence(rapid.Permutation(items).Draw(t, "items"))); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

func TestProposal(t *testing.T) {
	deferred := &evidence.Verdict{Classification: evidence.InvestigationRequired}
	benign := &opinion.Opinion{Classification: evidence.FalsePositive, Confidence: 0.8, Model: "m", Citations: []opinion.Citation{{Bits: -1, Why: "a backup does this"}}}
	if got := benign.Proposal(deferred, nil); !strings.Contains(got, "proposes false_positive (80 % sure): a backup does this") {
		t.Errorf("proposal %q", got)
	}
	for name, got := range map[string]string{
		"a verdict that stands":      benign.Proposal(&evidence.Verdict{Classification: evidence.TruePositive}, nil),
		"an opinion that is not":     (&opinion.Opinion{Classification: evidence.Suspicious}).Proposal(deferred, nil),
		"safety-relevant evidence":   benign.Proposal(deferred, []evidence.Evidence{{Safety: true, Weight: 1}}),
		"no opinion":                 (*opinion.Opinion)(nil).Proposal(deferred, nil),
		"a person's own false alarm": benign.Proposal(&evidence.Verdict{Classification: evidence.FalsePositive}, nil),
	} {
		if got != "" {
			t.Errorf("%s: proposes %q", name, got)
		}
	}
}

func TestPolicy(t *testing.T) {
	conflict := []evidence.Evidence{{Counted: 3}, {Counted: -3}}
	p := opinion.DefaultPolicy()
	p.Tenants = map[string]opinion.Policy{"quiet": {Critical: opinion.Never, High: opinion.Never, Medium: opinion.Never, Low: opinion.Never, Informational: opinion.Never}}
	for _, c := range []struct {
		tenant   string
		class    evidence.Classification
		severity alert.Severity
		items    []evidence.Evidence
		want     bool
	}{
		{"a", evidence.FalsePositive, alert.Critical, nil, true},
		{"a", evidence.TruePositive, alert.High, nil, true},
		{"a", evidence.TruePositive, alert.Medium, nil, false},
		{"a", evidence.TruePositive, alert.Medium, conflict, true},
		{"a", evidence.Suspicious, alert.Low, nil, true},
		{"a", evidence.InvestigationRequired, alert.Informational, nil, true},
		{"a", evidence.FalsePositive, alert.Low, nil, false},
		{"quiet", evidence.Suspicious, alert.Critical, conflict, false},
	} {
		v := &evidence.Verdict{Classification: c.class, Severity: c.severity}
		if got := p.Wants(c.tenant, v, c.items); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}

func TestDigestIgnoresOrderAndModels(t *testing.T) {
	a, b := evidence.Evidence{ID: "a", Weight: 1}, evidence.Evidence{ID: "b", Weight: 2}
	want := opinion.Digest([]evidence.Evidence{a, b})
	if got := opinion.Digest([]evidence.Evidence{b, {ID: "model:a", Weight: 2}, a}); got != want {
		t.Error("order or a model changed it")
	}
	a.Weight = 1.5
	if opinion.Digest([]evidence.Evidence{a, b}) == want {
		t.Error("a weight did not change it")
	}
}
