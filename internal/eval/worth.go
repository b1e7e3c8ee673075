package eval

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/aluskort/aluskort/internal/evidence"
)

// WorthReport is what a model is worth where it is asked: of the alerts that the reasoner leaves
// to a person, how many it decides, how many rightly, at what price, and how often it says
// something else when it is asked again.
type WorthReport struct {
	Runs      int `json:"runs"`
	Alerts    int `json:"alerts"`
	Deferred  int `json:"deferred"`
	Positives int `json:"deferred_positives"`

	// Asked counts the deferred alerts about which a model was asked, Answered those with an opinion.
	Asked    int  `json:"asked"`
	Answered Rate `json:"answered"`
	// Decided are deferred alerts that a model moved to a class that decides; Right the share of
	// those that was right.
	Decided Rate `json:"decided"`
	Right   Rate `json:"right_of_decided"`
	// Raised are those that it moved to suspicious, which still waits for a person.
	Raised Rate `json:"raised"`
	// Proposed are those that it calls harmless, as a proposal; ProposedRight how many are.
	Proposed      Rate `json:"proposed_benign"`
	ProposedRight Rate `json:"right_of_proposed"`
	// Changed are verdicts outside the deferred that are another class with a model.
	Changed int `json:"changed_outside"`
	// Flips are deferred alerts whose class was not the same in every run.
	Flips Rate `json:"flips"`

	Calls        int      `json:"calls"`
	CostUSD      float64  `json:"cost_usd"`
	CostPerRight *float64 `json:"cost_per_right_decision_usd"`
	Estimated    bool     `json:"cost_estimated"`
}

// Worth judges the records once without a model and runs times with one. Decisions and costs
// are those of the first run with it.
func Worth(ctx context.Context, plain, model Judge, records [][]byte, labels map[string]Truth, runs int, progress func(string)) (*WorthReport, error) {
	t := &triage{ctx: ctx, judge: plain, records: records, o: Options{Progress: progress}}
	base, err := t.run("without a model", records, false)
	if err != nil {
		return nil, err
	}
	samples := make([]Sample, len(records))
	for i := range records {
		samples[i].Raw = records[i]
	}
	Match(samples, base, labels)
	t.judge = model
	with := make([][]Judged, runs)
	for i := range with {
		if with[i], err = t.run(fmt.Sprintf("with a model, run %d of %d", i+1, runs), records, false); err != nil {
			return nil, err
		}
	}
	return worth(samples, base, with), nil
}

func worth(samples []Sample, base []Judged, with [][]Judged) *WorthReport {
	r := &WorthReport{Runs: len(with), Alerts: len(base)}
	var answered, decided, right, raised, proposed, proposedRight, flips int
	seen := map[string]bool{}
	for i := range base {
		first := &with[0][i]
		if inv := first.Investigation; inv != nil && inv.Consultation != nil && !seen[inv.ID] {
			seen[inv.ID] = true
			r.Calls += inv.Consultation.Calls
			r.CostUSD += float64(inv.Consultation.MicroUSD) / 1e6
			r.Estimated = r.Estimated || inv.Consultation.Estimated
		}
		if callOf(&base[i]) != deferred {
			if callOf(first) != callOf(&base[i]) {
				r.Changed++
			}
			continue
		}
		r.Deferred++
		positive := samples[i].Label == Positive
		if positive {
			r.Positives++
		}
		if first.Investigation == nil || first.Investigation.Consultation == nil {
			continue
		}
		r.Asked++
		o := first.Investigation.Consultation.Opinion
		if o == nil {
			continue
		}
		answered++
		switch c := callOf(first); {
		case c != deferred:
			decided++
			if (c == malicious) == positive && samples[i].Label != Unlabelled {
				right++
			}
		case first.Investigation.Verdict.Classification == evidence.Suspicious && classOf(&base[i]) != evidence.Suspicious:
			raised++
		case o.Classification.Benign():
			proposed++
			if samples[i].Label == Negative {
				proposedRight++
			}
		}
		for _, run := range with[1:] {
			if classOf(&run[i]) != classOf(first) {
				flips++
				break
			}
		}
	}
	r.Answered, r.Decided, r.Right, r.Raised = NewRate(answered, r.Asked), NewRate(decided, r.Deferred), NewRate(right, decided), NewRate(raised, r.Deferred)
	r.Proposed, r.ProposedRight, r.Flips = NewRate(proposed, r.Deferred), NewRate(proposedRight, proposed), NewRate(flips, r.Asked)
	if right > 0 {
		per := r.CostUSD / float64(right)
		r.CostPerRight = &per
	}
	return r
}

func classOf(j *Judged) evidence.Classification {
	if j.Investigation == nil {
		return ""
	}
	return j.Investigation.Verdict.Classification
}

// WriteText prints the report for people.
func (r *WorthReport) WriteText(w io.Writer) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-26s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("alerts", "%d, of which the reasoner leaves %d to a person (%d attacks)", r.Alerts, r.Deferred, r.Positives)
	row("asked about, answered", "%d, %s", r.Asked, share(r.Answered))
	row("decided", "%s", share(r.Decided))
	row("  rightly", "%s", share(r.Right))
	row("raised to suspicious", "%s", share(r.Raised))
	row("proposed as benign", "%s", share(r.Proposed))
	row("  rightly", "%s", share(r.ProposedRight))
	row("changed outside", "%d verdicts that the reasoner had decided", r.Changed)
	row("flips", "%s over %d runs", share(r.Flips), r.Runs)
	row("cost", "%d calls, %.6f USD", r.Calls, r.CostUSD)
	if r.CostPerRight != nil {
		row("per right decision", "%.6f USD", *r.CostPerRight)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func share(r Rate) string {
	if r.Rate == nil {
		return fmt.Sprintf("%d of %d", r.Count, r.Of)
	}
	return fmt.Sprintf("%d of %d, %.0f %% (%.0f to %.0f)", r.Count, r.Of, 100**r.Rate, 100**r.Low, 100**r.High)
}
