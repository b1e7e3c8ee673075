package weight_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/reason"
	"github.com/aluskort/aluskort/internal/reason/weight"
)

// world draws labelled evidence: rules whose real weight differs from the shipped one.
type world struct {
	base    float64 // share of attacks
	shipped []float64
	real    []float64
	// often is how often an item is there in the class where it is likelier. It is rare in life, so
	// that its absence says next to nothing, as the product takes it.
	often float64
}

func (w world) draw(r *rand.Rand, n int) []weight.Sample {
	out := make([]weight.Sample, n)
	for i := range out {
		s := weight.Sample{Prior: -1.5, Malicious: r.Float64() < w.base}
		for k := range w.shipped {
			// The likelihood ratio of an item is two to the power of its real weight.
			likely, rare := w.often, w.often*math.Exp2(-math.Abs(w.real[k]))
			p := rare
			if s.Malicious == (w.real[k] > 0) {
				p = likely
			}
			if r.Float64() < p {
				s.Items = append(s.Items, item(k, w.shipped[k]))
			}
		}
		out[i] = s
	}
	return out
}

func item(k int, bits float64) evidence.Evidence {
	e := evidence.Evidence{ID: fmt.Sprintf("rule:r%02d", k), Kind: fmt.Sprintf("kind%02d", k), Weight: bits, Stance: evidence.For, Source: fmt.Sprintf("Rule %d", k)}
	if bits < 0 {
		e.Stance = evidence.Against
	}
	return e
}

func find(t *testing.T, list []weight.Fitted, k int) weight.Fitted {
	t.Helper()
	for _, f := range list {
		if f.Rule == fmt.Sprintf("r%02d", k) {
			return f
		}
	}
	t.Fatalf("rule %d was not fitted: %+v", k, list)
	return weight.Fitted{}
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// Whatever the labels say, no weight changes its sign, moves by more than it may, moves with
// fewer labels than it needs, or has an interval without it.
func TestBoundsHoldForAnyLabels(t *testing.T) {
	for seed := uint64(1); seed <= 150; seed++ {
		r := random(seed)
		w := world{base: r.Float64(), often: 0.05 + 0.9*r.Float64()}
		for range 1 + r.IntN(8) {
			sign := float64(1 - 2*r.IntN(2))
			w.shipped = append(w.shipped, sign*[]float64{0.1, 1, 1.5, 3, 5}[r.IntN(5)])
			w.real = append(w.real, 12*r.Float64()-6) // of either sign, whatever is shipped
		}
		samples := w.draw(r, 10+r.IntN(400))
		matches := map[string]int{}
		for _, s := range samples {
			for _, e := range s.Items {
				matches[weight.Rule(&e)]++
			}
		}
		seen := map[string]bool{}
		for _, f := range weight.Fit(samples, reason.DefaultThresholds()) {
			seen[f.Rule] = true
			switch {
			case f.Weight*f.Shipped <= 0 || math.IsNaN(f.Weight):
				t.Errorf("seed %d: %+v changed its sign", seed, f)
			case math.Abs(f.Moved()) > weight.MaxMove+1e-9:
				t.Errorf("seed %d: %+v moved too far", seed, f)
			case f.N < weight.MinLabels || f.N > matches[f.Rule]:
				t.Errorf("seed %d: %+v moved with %d matching labels", seed, f, matches[f.Rule])
			case !(f.Low <= f.Weight && f.Weight <= f.High && f.Low < f.High):
				t.Errorf("seed %d: %+v lies outside its interval", seed, f)
			}
		}
		for rule, n := range matches {
			if n < weight.MinLabels && seen[rule] {
				t.Errorf("seed %d: %s moved with %d labels", seed, rule, n)
			}
		}
	}
}

func TestTooFewLabelsMoveNothing(t *testing.T) {
	for _, n := range []int{weight.MinLabels - 1, weight.MinLabels} {
		var samples []weight.Sample
		for range n {
			samples = append(samples, weight.Sample{Prior: -1.5, Items: []evidence.Evidence{item(0, 3)}})
		}
		for i := range 40 {
			samples = append(samples, weight.Sample{Prior: -1.5, Malicious: i%2 == 0})
		}
		got := weight.Fit(samples, reason.DefaultThresholds())
		if (len(got) > 0) != (n >= weight.MinLabels) {
			t.Errorf("%d labels: %+v", n, got)
		}
	}
}

// With many labels a weight goes where they say, with few it stays near the shipped one.
func TestShrinksTowardsTheShippedWeight(t *testing.T) {
	for _, c := range []struct{ shipped, real float64 }{{3, 2}, {1.5, 2.5}, {-3, -2}, {-1.5, -2.5}, {5, 4}} {
		w := world{base: 0.5, often: 0.1, shipped: []float64{c.shipped, 3, -3}, real: []float64{c.real, 3, -3}}
		few := find(t, weight.Fit(w.draw(random(3), 600), reason.DefaultThresholds()), 0)
		many := find(t, weight.Fit(w.draw(random(4), 50000), reason.DefaultThresholds()), 0)
		if math.Abs(many.Weight-c.real) > 0.25 {
			t.Errorf("shipped %v, real %v: 50,000 labels make it %v", c.shipped, c.real, many.Weight)
		}
		if math.Abs(few.Moved()) > 0.75 || few.High-few.Low <= many.High-many.Low {
			t.Errorf("shipped %v, real %v: 600 labels make it %v (%v to %v), 50,000 %v (%v to %v)", c.shipped, c.real, few.Weight, few.Low, few.High, many.Weight, many.Low, many.High)
		}
		if many.Low > c.real+0.1 || many.High < c.real-0.1 {
			t.Errorf("shipped %v, real %v: the interval %v to %v is off", c.shipped, c.real, many.Low, many.High)
		}
	}
}

// What share of a labelled set are attacks says how it was collected, and nothing about rules.
func TestTheShareOfAttacksMovesNothing(t *testing.T) {
	w := world{often: 0.1, shipped: []float64{3, 1.5, -3}, real: []float64{3, 1.5, -3}}
	for _, base := range []float64{0.05, 0.5, 0.9} {
		w.base = base
		for _, f := range weight.Fit(w.draw(random(5), 12000), reason.DefaultThresholds()) {
			if math.Abs(f.Moved()) > 0.35 {
				t.Errorf("with %v attacks: %+v", base, f)
			}
		}
	}
}

// On alerts that it has not seen a fit to enough labels is better calibrated, in both classes.
func TestFittedIsBetterCalibrated(t *testing.T) {
	w := world{base: 0.25, often: 0.15, shipped: []float64{3, 3, 1.5, -3, -1.5}, real: []float64{1.7, 4, 2.5, -2, -2.5}}
	fitted := weight.Fit(w.draw(random(6), 8000), reason.DefaultThresholds())
	unseen := w.draw(random(7), 4000)
	var before, after [2]float64
	for _, s := range unseen {
		class := 0
		if s.Malicious {
			class = 1
		}
		before[class] += loss(s, nil)
		after[class] += loss(s, fitted)
	}
	if after[0]+after[1] >= before[0]+before[1] {
		t.Errorf("squared errors %v with the shipped weights, %v with fitted ones", before, after)
	}
}

func loss(s weight.Sample, fitted []weight.Fitted) float64 {
	items := append([]evidence.Evidence{}, s.Items...)
	for i := range items {
		for _, f := range fitted {
			if weight.Rule(&items[i]) == f.Rule {
				items[i].Weight = f.Weight
			}
		}
	}
	v := reason.Decide(reason.Prior{Bits: s.Prior}, items, 0, nil, reason.DefaultThresholds())
	y := 0.0
	if s.Malicious {
		y = 1
	}
	return (v.Probability - y) * (v.Probability - y)
}

func TestOrderMakesNoDifference(t *testing.T) {
	w := world{base: 0.4, often: 0.5, shipped: []float64{3, 1.5, -3, 5}, real: []float64{2, 2, -2, 4}}
	samples := w.draw(random(8), 500)
	first := weight.Fit(samples, reason.DefaultThresholds())
	random(9).Shuffle(len(samples), func(i, j int) { samples[i], samples[j] = samples[j], samples[i] })
	second := weight.Fit(samples, reason.DefaultThresholds())
	for i := range first {
		if first[i].Rule != second[i].Rule || math.Abs(first[i].Weight-second[i].Weight) > 2e-3 {
			t.Errorf("%+v in one order, %+v in another", first[i], second[i])
		}
	}
}

// A benign item that counts little, since an attacker could have written it, is not the rule's
// weight: it neither moves nor is counted.
func TestCappedItemsAreLeftAlone(t *testing.T) {
	var samples []weight.Sample
	for i := range 100 {
		samples = append(samples, weight.Sample{Prior: -1, Malicious: i%2 == 0, Items: []evidence.Evidence{item(0, -1)}})
	}
	for range 10 {
		samples = append(samples, weight.Sample{Prior: -1, Items: []evidence.Evidence{item(0, -4)}})
	}
	if got := weight.Fit(samples, reason.DefaultThresholds()); len(got) > 0 {
		t.Errorf("ten items with the full weight moved it: %+v", got)
	}
}

func table(t *testing.T) *weight.Table {
	t.Helper()
	tab, err := weight.NewTable(weight.Table{Labels: 200, Shipped: weight.Score{Brier: 0.1}, Fitted: weight.Score{Brier: 0.09}, Weights: []weight.Fitted{
		{Rule: "b", Title: "Second: with a colon", Shipped: -3, Weight: -2.4, N: 31, Low: -3.1, High: -1.7},
		{Rule: "a", Title: "First", Shipped: 1.5, Weight: 2.2, N: 25, Low: 1.4, High: 3},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func TestTableIsReadAsWritten(t *testing.T) {
	var b bytes.Buffer
	want := table(t)
	if err := want.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := weight.Read(&b)
	if err != nil || !reflect.DeepEqual(got.Weights, want.Weights) || got.Shipped != want.Shipped || got.Labels != want.Labels {
		t.Errorf("%+v, %v", got, err)
	}
	if f := got.Of("b", -3); f == nil || f.Weight != -2.4 || !strings.Contains(f.String(), "n 31") {
		t.Errorf("weight of b: %v", f)
	}
	if f := got.Of("b", -4); f != nil {
		t.Errorf("a rule whose shipped weight changed has %v", f)
	}
	if f := (*weight.Table)(nil).Of("b", -3); f != nil {
		t.Errorf("no table has %v", f)
	}
}

func TestTablesOutsideTheBoundsAreRefused(t *testing.T) {
	good := weight.Fitted{Rule: "a", Shipped: 3, Weight: 2, N: 20, Low: 1, High: 3}
	for name, spoil := range map[string]func(*weight.Table){
		"another sign":   func(x *weight.Table) { x.Weights[0].Weight = -0.5 },
		"zero":           func(x *weight.Table) { x.Weights[0].Weight = 0 },
		"too far":        func(x *weight.Table) { x.Weights[0].Weight = 4.6 },
		"too few labels": func(x *weight.Table) { x.Weights[0].N = 19 },
		"no rule":        func(x *weight.Table) { x.Weights[0].Rule = "" },
		"no number":      func(x *weight.Table) { x.Weights[0].Weight = math.NaN() },
		"no interval":    func(x *weight.Table) { x.Weights[0].Low = 5 },
		"twice":          func(x *weight.Table) { x.Weights = append(x.Weights, good) },
		"more misses":    func(x *weight.Table) { x.Fitted.Missed = 1 },
		"a worse Brier":  func(x *weight.Table) { x.Fitted.Brier = 0.2 },
	} {
		tab := weight.Table{Shipped: weight.Score{Brier: 0.1}, Fitted: weight.Score{Brier: 0.1}, Weights: []weight.Fitted{good}}
		spoil(&tab)
		if _, err := weight.NewTable(tab); !errors.Is(err, weight.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "weights: 3", "wights: []", "weights: [{rule: a}]", "{"} {
		if _, err := weight.Read(strings.NewReader(text)); !errors.Is(err, weight.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("weights: [{rule: a, shipped: 3, weight: 2, n: 20, low: 1, high: 3}]")
	f.Add("held_out_shipped: {brier: 0.1, missed: 0}\nweights: []")
	f.Fuzz(func(t *testing.T, text string) {
		tab, err := weight.Read(strings.NewReader(text))
		if err != nil {
			if !errors.Is(err, weight.ErrInvalid) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		for _, w := range tab.Weights {
			if w.Weight*w.Shipped <= 0 || math.Abs(w.Moved()) > weight.MaxMove+1e-5 || w.N < weight.MinLabels {
				t.Fatalf("accepted %+v", w)
			}
		}
	})
}
