package eval

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason"
	"github.com/aluskort/aluskort/internal/reason/weight"
)

// bits is one item of a rule.
func bits(rule string, w float64) evidence.Evidence {
	e := evidence.Evidence{ID: "rule:" + rule, Source: "Rule " + rule, Kind: "k." + rule, Stance: evidence.For, Weight: w, Statement: rule}
	if w < 0 {
		e.Stance = evidence.Against
	}
	return e
}

// labelledSet collects investigations with their truth.
type labelledSet struct {
	samples []Sample
	judged  []Judged
}

func (l *labelledSet) add(attack bool, items ...evidence.Evidence) {
	label := Negative
	if attack {
		label = Positive
	}
	inv := &investigate.Investigation{ID: fmt.Sprintf("inv-%04d", len(l.judged)), TenantID: "default", Evidence: items}
	prior := reason.SeverityPrior(alert.Medium)
	inv.Verdict = reason.Decide(prior, slices.Clone(items), alert.Medium, nil, reason.DefaultThresholds())
	l.judged = append(l.judged, Judged{Investigation: inv})
	l.samples = append(l.samples, Sample{Truth: Truth{Label: label}})
}

// noisySet has a rule of three bits that fires mostly on harmless activity, beside rules that
// are worth what is said of them.
func noisySet(r *rand.Rand, n int) *labelledSet {
	l := &labelledSet{}
	for i := range n {
		attack := i%3 == 0
		var items []evidence.Evidence
		chance := func(rule string, w, ifAttack, ifNot float64) {
			p := ifNot
			if attack {
				p = ifAttack
			}
			if r.Float64() < p {
				items = append(items, bits(rule, w))
			}
		}
		chance("noisy", 3, 0.12, 0.10)
		chance("sound", 5, 0.40, 0.01)
		chance("calm", -4, 0.01, 0.30)
		l.add(attack, items...)
	}
	return l
}

func TestFitMendsANoisyRule(t *testing.T) {
	l := noisySet(rand.New(rand.NewPCG(1, 1)), 900)
	rep, err := NewRescorer().Fit(l.samples, l.judged, 1)
	if err != nil || rep.Refused != "" || rep.Table() == nil {
		t.Fatalf("%+v, %v", rep, err)
	}
	if rep.Labels != 900 || rep.Malicious != 300 || rep.Fitted.Brier >= rep.Shipped.Brier || rep.Fitted.Missed > rep.Shipped.Missed {
		t.Errorf("%+v", rep)
	}
	noisy := rep.Table().Of("noisy", 3)
	if noisy == nil || noisy.Weight > 2.2 || noisy.N < weight.MinLabels {
		t.Errorf("the noisy rule weighs %v", noisy)
	}
	if rep.Weights[0].Rule != "noisy" {
		t.Errorf("the one that moved most is not first: %+v", rep.Weights)
	}
}

// The same labels in another order make the same weights: the split is by investigation.
func TestFitDoesNotDependOnOrder(t *testing.T) {
	l := noisySet(rand.New(rand.NewPCG(2, 1)), 300)
	a, err := NewRescorer().Fit(l.samples, l.judged, 4)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(l.samples)
	slices.Reverse(l.judged)
	b, err := NewRescorer().Fit(l.samples, l.judged, 4)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(a.Fitted.Brier-b.Fitted.Brier) > 1e-9 || !slices.Equal(a.Weights, b.Weights) {
		t.Errorf("%+v, reversed %+v", a, b)
	}
}

// A rule that fires mostly on harmless activity loses weight, and the few attacks in which it
// alone stood against a benign explanation would be called benign: that is refused, however
// much better the Brier score.
func TestFitIsRefusedWhenItMisses(t *testing.T) {
	l := &labelledSet{}
	for i := range 300 {
		l.add(false, bits("noisy", 3), bits("calm", -4))
		if i%30 == 0 {
			l.add(true, bits("noisy", 3), bits("calm", -4))
		}
	}
	for range 60 {
		l.add(true, bits("sound", 5))
	}
	rep, err := NewRescorer().Fit(l.samples, l.judged, 1)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Fitted.Missed <= rep.Shipped.Missed || rep.Refused == "" || rep.Table() != nil {
		t.Errorf("a fit that misses attacks was accepted: %+v", rep)
	}
}

// Where the held-out score is worse, by however little, nothing is accepted.
func TestFitIsRefusedWhenWorse(t *testing.T) {
	good := FitReport{Labels: 100, Malicious: 50, Shipped: weight.Score{Brier: 0.1, Missed: 1}, Fitted: weight.Score{Brier: 0.09, Missed: 1},
		Weights: []weight.Fitted{{Rule: "a", Shipped: 3, Weight: 2, N: 30, Low: 1, High: 3}}}
	for name, c := range map[string]struct {
		spoil   func(*FitReport)
		refused bool
	}{
		"better":          {func(*FitReport) {}, false},
		"as good":         {func(r *FitReport) { r.Fitted = r.Shipped }, false},
		"worse Brier":     {func(r *FitReport) { r.Fitted.Brier = 0.1001 }, true},
		"one more missed": {func(r *FitReport) { r.Fitted.Missed = 2 }, true},
		"attacks only":    {func(r *FitReport) { r.Malicious = 100 }, true},
		"no attack":       {func(r *FitReport) { r.Malicious = 0 }, true},
		"nothing to move": {func(r *FitReport) { r.Weights = nil }, true},
	} {
		rep := good
		c.spoil(&rep)
		rep.judge()
		if (rep.Refused != "") != c.refused || (rep.Table() == nil) != c.refused {
			t.Errorf("%s: refused %q, table %v", name, rep.Refused, rep.Table())
		}
	}
}

func TestFitRefusesFittedEvidence(t *testing.T) {
	l := noisySet(rand.New(rand.NewPCG(3, 1)), 60)
	e := bits("noisy", 3)
	e.WeightFrom = "fitted, n 30, +1.00 to +2.00 bits"
	l.add(true, e)
	if _, err := NewRescorer().Fit(l.samples, l.judged, 1); !errors.Is(err, ErrFitted) {
		t.Errorf("a fit to a fit: %v", err)
	}
}

// Labels of chance teach nothing: whatever a fit makes of them, what is accepted does no worse
// on alerts that it had not seen, and every weight stays within its bounds.
func TestChanceLabelsStayWithinBounds(t *testing.T) {
	for seed := uint64(1); seed <= 12; seed++ {
		r := rand.New(rand.NewPCG(seed, 9))
		l := &labelledSet{}
		for range 150 {
			var items []evidence.Evidence
			for rule, w := range map[string]float64{"a": 3, "b": 1.5, "c": -3, "d": 5} {
				if r.IntN(3) == 0 {
					items = append(items, bits(rule, w))
				}
			}
			l.add(r.IntN(2) == 0, items...)
		}
		rep, err := NewRescorer().Fit(l.samples, l.judged, seed)
		if err != nil {
			t.Fatal(err)
		}
		if rep.Table() != nil && rep.Fitted.Worse(rep.Shipped) {
			t.Errorf("seed %d: accepted although worse: %+v", seed, rep)
		}
		for _, f := range rep.Weights {
			if f.Weight*f.Shipped <= 0 || math.Abs(f.Moved()) > weight.MaxMove+1e-9 {
				t.Errorf("seed %d: %+v", seed, f)
			}
		}
	}
}
