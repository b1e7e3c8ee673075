package reason

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
)

func item(id string, weight float64, change ...func(*evidence.Evidence)) evidence.Evidence {
	e := evidence.Evidence{ID: id, Kind: "k-" + id, Weight: weight, Statement: "item " + id, Stance: evidence.For}
	if weight < 0 {
		e.Stance = evidence.Against
	}
	for _, f := range change {
		f(&e)
	}
	return e
}

func group(g string) func(*evidence.Evidence) { return func(e *evidence.Evidence) { e.Group = g } }
func expected(e *evidence.Evidence)           { e.Expected = true }
func voids(k ...string) func(*evidence.Evidence) {
	return func(e *evidence.Evidence) { e.Voids = k }
}

func TestLadder(t *testing.T) {
	even := Prior{Bits: 0, Source: "test"}
	tests := []struct {
		name  string
		prior Prior
		items []evidence.Evidence
		want  evidence.Classification
	}{
		{"no evidence", even, nil, evidence.InvestigationRequired},
		{"a strong prior alone decides nothing", Prior{Bits: 9}, []evidence.Evidence{item("a", 1.9)}, evidence.InvestigationRequired},
		{"a weak prior alone decides nothing", Prior{Bits: -9}, []evidence.Evidence{item("a", -1.9)}, evidence.InvestigationRequired},
		{"malicious at the bound", even, []evidence.Evidence{item("a", 2)}, evidence.TruePositive},
		{"just below it", even, []evidence.Evidence{item("a", 1.9), item("b", -0.1)}, evidence.Suspicious},
		{"benign needs one item of three bits", even, []evidence.Evidence{item("a", -2.9), item("b", -2)}, evidence.InvestigationRequired},
		{"benign", even, []evidence.Evidence{item("a", -3.5)}, evidence.FalsePositive},
		{"benign against three bits for is not benign", Prior{Bits: -5}, []evidence.Evidence{item("a", -3.5), item("b", 3)}, evidence.InvestigationRequired},
		{"authorised and proved", even, []evidence.Evidence{item("a", 5), item("b", -5, expected)}, evidence.BenignTruePositive},
		{"authorised, nothing proved", even, []evidence.Evidence{item("b", -5, expected)}, evidence.BenignTruePositive},
		{"authorisation too weak for what was proved", even, []evidence.Evidence{item("a", 5), item("c", 5), item("b", -3, expected)}, evidence.TruePositive},
		{"void benign item counts nothing", even, []evidence.Evidence{item("a", 2.5), item("b", -5, voids("k-a"))}, evidence.TruePositive},
		{"a family voids it", even, []evidence.Evidence{item("a", 2.5), item("b", -5, voids("k-*"))}, evidence.TruePositive},
		{"any kind voids it", even, []evidence.Evidence{item("a", 2.5), item("b", -5, voids("*"))}, evidence.TruePositive},
		{"links void nothing", Prior{Bits: -2}, []evidence.Evidence{item("a", 1, func(e *evidence.Evidence) { e.Kind = "link.process" }), item("b", -5, voids("*"))}, evidence.FalsePositive},
		{"another family does not void it", Prior{Bits: -2}, []evidence.Evidence{item("a", 1), item("b", -5, voids("z.*"))}, evidence.FalsePositive},
		{"other kinds do not void it", Prior{Bits: -2}, []evidence.Evidence{item("a", 1), item("b", -5, voids("k-z"))}, evidence.FalsePositive},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := Decide(tt.prior, tt.items, alert.Medium, nil, DefaultThresholds())
			if v.Classification != tt.want {
				t.Errorf("got %s (p=%.3f), want %s", v.Classification, v.Probability, tt.want)
			}
		})
	}
}

func TestGroupsDampRepetition(t *testing.T) {
	items := []evidence.Evidence{
		item("a", 3, group("g")), item("b", 3, group("g")), item("c", 2, group("g")), item("d", 2, group("g")),
		item("e", 3, group("h")), item("f", -4, group("g")),
	}
	Count(items, DefaultThresholds())
	got := map[string]float64{}
	for _, e := range items {
		got[e.ID] = e.Counted
	}
	want := map[string]float64{"a": 3, "b": 1.5, "c": 0.5, "d": 0.5, "e": 3, "f": -4}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	var many []evidence.Evidence
	for i := range 40 {
		many = append(many, item(fmt.Sprint(i), 5, group("g")))
	}
	v := Decide(Prior{}, many, alert.Low, nil, DefaultThresholds())
	if want := Probability(6); math.Abs(v.Probability-want) > 1e-9 {
		t.Errorf("a group must stop at its cap: p=%v, want %v", v.Probability, want)
	}
}

// Prior plus the counted weights must reproduce the published probability, and order must not
// matter: these hold for any evidence.
func TestPublishedNumbersAddUpInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "n")
		var items []evidence.Evidence
		for i := range n {
			e := item(fmt.Sprint(i), float64(rapid.IntRange(-50, 50).Draw(t, "w"))/10)
			e.Group = rapid.SampledFrom([]string{"", "g", "h"}).Draw(t, "g")
			e.Expected = e.Weight < 0 && rapid.Bool().Draw(t, "x")
			items = append(items, e)
		}
		prior := Prior{Bits: float64(rapid.IntRange(-40, 40).Draw(t, "prior")) / 10}
		shuffled := append([]evidence.Evidence(nil), items...)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)).Shuffle(len(shuffled), func(i, j int) {
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
		})
		v := Decide(prior, items, alert.High, nil, DefaultThresholds())
		w := Decide(prior, shuffled, alert.High, nil, DefaultThresholds())
		if d := cmp.Diff(v, w); d != "" {
			t.Fatalf("order changed the verdict: %s", d)
		}
		bits := v.Prior
		for _, e := range items {
			bits += e.Counted
		}
		if math.Abs(Probability(bits)-v.Probability) > 1e-9 {
			t.Fatalf("p=%v, but the parts give %v", v.Probability, Probability(bits))
		}
		if v.Classification == evidence.FalsePositive && v.Probability > 0.10 {
			t.Fatalf("false positive at p=%v", v.Probability)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	var items []evidence.Evidence
	for i := range 8 {
		items = append(items, item(fmt.Sprint(i), float64(i)-3, group(fmt.Sprint(i%3))))
	}
	b.ReportAllocs()
	for b.Loop() {
		Decide(Prior{Bits: -1}, items, alert.High, nil, DefaultThresholds())
	}
}
