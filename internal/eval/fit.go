package eval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/reason/weight"
)

// FitReport is what became of a fit of weights to labelled alerts.
type FitReport struct {
	// Labels counts the investigations with a label, Malicious those that are attacks.
	Labels    int `json:"labels"`
	Malicious int `json:"malicious"`
	Folds     int `json:"folds"`
	// Shipped and Fitted are the scores on alerts that the fit had not seen, of the weights as they
	// ship and of fitted ones.
	Shipped weight.Score `json:"held_out_shipped"`
	Fitted  weight.Score `json:"held_out_fitted"`
	// Weights are the fitted ones, the one that moved most first.
	Weights []weight.Fitted `json:"weights"`
	// Few counts the rules that have a label and fewer than are needed.
	Few int `json:"rules_with_too_few_labels"`
	// Refused says why the weights may not be used; empty when they may.
	Refused string `json:"refused,omitempty"`
	// LabelsUnused are labels for which the file has no alert.
	LabelsUnused []string `json:"labels_unused,omitempty"`

	table *weight.Table
}

// Table is what a product loads; nil when the fit was refused.
func (r *FitReport) Table() *weight.Table { return r.table }

// folds is into how many parts the labelled investigations are split: each part is judged by
// weights that were fitted to the others.
const folds = 5

// FitWeights judges the records with the weights as they ship and fits the weights of their
// rules to the labels. The judge must not use fitted weights: a fit to a fit would wander.
func FitWeights(ctx context.Context, judge Judge, records [][]byte, labels map[string]Truth, o Options) (*FitReport, error) {
	t := &triage{ctx: ctx, judge: judge, records: records, o: o}
	if t.o.Progress == nil {
		t.o.Progress = func(string) {}
	}
	judged, err := t.run("judge with the shipped weights", records, false)
	if err != nil {
		return nil, err
	}
	samples := make([]Sample, len(records))
	for i := range records {
		samples[i].Raw = records[i]
	}
	unused := Match(samples, judged, labels)
	t.o.Progress("fit weights")
	rep, err := o.Rescore.Fit(samples, judged, o.Seed)
	if err != nil {
		return nil, err
	}
	rep.LabelsUnused = unused
	return rep, nil
}

// ErrFitted says that evidence has fitted weights already.
var ErrFitted = errors.New("eval: the evidence has fitted weights already; fit with the shipped ones")

// labelled is an investigation with its truth. One that any attack belongs to is malicious.
type labelled struct {
	id        string
	malicious bool
	fold      int
}

// Fit fits weights to the labelled investigations of a run, and holds them against the weights
// of the run on investigations that each fit had not seen.
func (r *Rescorer) Fit(samples []Sample, judged []Judged, seed uint64) (*FitReport, error) {
	n := newNeighbourhood(judged)
	for _, inv := range n.list {
		for i := range inv.Evidence {
			if inv.Evidence[i].WeightFrom != "" {
				return nil, ErrFitted
			}
		}
	}
	list := split(samples, judged, seed)
	rep := &FitReport{Labels: len(list), Folds: folds, Weights: []weight.Fitted{}}
	for _, l := range list {
		if l.malicious {
			rep.Malicious++
		}
	}
	items := r.items(n, all)
	fit := func(skip int) []weight.Fitted { return weight.Fit(r.fitting(n, items, list, skip), r.Thresholds) }
	rep.Weights = append(rep.Weights, fit(-1)...)
	rep.Few = rules(list, items) - len(rep.Weights)
	r.holdOut(rep, n, list, fit)
	rep.judge()
	slices.SortFunc(rep.Weights, func(a, b weight.Fitted) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Moved()), math.Abs(a.Moved())), cmp.Compare(a.Rule, b.Rule))
	})
	return rep, nil
}

// split lists the labelled investigations by id, each with the part it falls into; both classes
// are spread evenly.
func split(samples []Sample, judged []Judged, seed uint64) []labelled {
	truth := map[string]bool{}
	for i := range samples {
		if inv := judged[i].Investigation; inv != nil && samples[i].Label != Unlabelled {
			truth[inv.ID] = truth[inv.ID] || samples[i].Label == Positive
		}
	}
	list := make([]labelled, 0, len(truth))
	for id, malicious := range truth {
		list = append(list, labelled{id: id, malicious: malicious})
	}
	slices.SortFunc(list, func(a, b labelled) int {
		return cmp.Or(cmp.Compare(hash(seed, a.id), hash(seed, b.id)), cmp.Compare(a.id, b.id))
	})
	var next [2]int
	for i := range list {
		class := 0
		if list[i].malicious {
			class = 1
		}
		list[i].fold = next[class] % folds
		next[class]++
	}
	return list
}

// fitting is what a fit sees: every labelled investigation but those of one part.
func (r *Rescorer) fitting(n *neighbourhood, items map[string][]evidence.Evidence, list []labelled, skip int) []weight.Sample {
	var out []weight.Sample
	for _, l := range list {
		if l.fold != skip {
			out = append(out, weight.Sample{Prior: n.byID[l.id].Verdict.Prior, Items: items[l.id], Malicious: l.malicious})
		}
	}
	return out
}

// rules counts the rules that any labelled investigation has evidence of.
func rules(list []labelled, items map[string][]evidence.Evidence) int {
	seen := map[string]bool{}
	for _, l := range list {
		for i := range items[l.id] {
			if id := weight.Rule(&items[l.id][i]); id != "" {
				seen[id] = true
			}
		}
	}
	return len(seen)
}

// holdOut scores both sets of weights on each part in turn.
func (r *Rescorer) holdOut(rep *FitReport, n *neighbourhood, list []labelled, fit func(skip int) []weight.Fitted) {
	before := r.decide(n, all)
	for part := range folds {
		after := r.decide(n, weighed(fit(part)))
		for _, l := range list {
			if l.fold == part {
				rep.Shipped = scored(rep.Shipped, before[l.id], l.malicious)
				rep.Fitted = scored(rep.Fitted, after[l.id], l.malicious)
			}
		}
	}
	if len(list) > 0 {
		rep.Shipped.Brier /= float64(len(list))
		rep.Fitted.Brier /= float64(len(list))
	}
}

func scored(s weight.Score, v evidence.Verdict, malicious bool) weight.Score {
	truth := 0.0
	if malicious {
		truth = 1
		if v.Classification.Benign() {
			s.Missed++
		}
	}
	s.Brier += (v.Probability - truth) * (v.Probability - truth)
	return s
}

// weighed gives items fitted weights.
func weighed(list []weight.Fitted) change {
	by := map[string]*weight.Fitted{}
	for i := range list {
		by[list[i].Rule] = &list[i]
	}
	return func(e *evidence.Evidence) bool {
		if f := by[weight.Rule(e)]; f != nil && e.Weight == f.Shipped {
			e.Weight, e.WeightFrom = f.Weight, f.String()
		}
		return true
	}
}

// judge refuses what is no improvement.
func (r *FitReport) judge() {
	switch {
	case r.Malicious == 0 || r.Malicious == r.Labels:
		r.Refused = "labels of both kinds are needed, attacks and harmless activity"
	case len(r.Weights) == 0:
		r.Refused = fmt.Sprintf("no rule has %d labels; the shipped weights stay", weight.MinLabels)
	case r.Fitted.Missed > r.Shipped.Missed:
		r.Refused = fmt.Sprintf("on alerts that it had not seen it calls %d attacks benign, the shipped weights %d", r.Fitted.Missed, r.Shipped.Missed)
	case r.Fitted.Brier > r.Shipped.Brier:
		r.Refused = fmt.Sprintf("on alerts that it had not seen its Brier score is %.4f, that of the shipped weights %.4f", r.Fitted.Brier, r.Shipped.Brier)
	default:
		t, err := weight.NewTable(weight.Table{Labels: r.Labels, Shipped: r.Shipped, Fitted: r.Fitted, Weights: r.Weights})
		if err != nil {
			r.Refused = err.Error()
		}
		r.table = t
	}
}

// WriteText prints the report for a person.
func (r *FitReport) WriteText(w io.Writer) error {
	p := &printer{w: w}
	p.f("%d labelled investigations, %d of them attacks", r.Labels, r.Malicious)
	if n := len(r.LabelsUnused); n > 0 {
		p.f("; %d labels for which there is no alert", n)
	}
	p.f("\n%d rules have %d labels or more, %d have fewer and stay\n\n", len(r.Weights), weight.MinLabels, r.Few)
	p.table(func(t *printer) {
		t.f("ON ALERTS THE FIT HAD NOT SEEN\tBRIER\tMISSED\n")
		t.f("shipped weights\t%.4f\t%d\n", r.Shipped.Brier, r.Shipped.Missed)
		t.f("fitted weights\t%.4f\t%d\n", r.Fitted.Brier, r.Fitted.Missed)
	})
	if len(r.Weights) > 0 {
		p.f("\n")
		p.table(func(t *printer) {
			t.f("SHIPPED\tFITTED\t95 %% INTERVAL\tN\tRULE\n")
			for i := range r.Weights {
				f := &r.Weights[i]
				t.f("%+.1f\t%+.2f\t%+.2f to %+.2f\t%d\t%s\n", f.Shipped, f.Weight, f.Low, f.High, f.N, f.Title)
			}
		})
	}
	if r.Refused != "" {
		p.f("\nRefused: %s\n", r.Refused)
	}
	return p.err
}
