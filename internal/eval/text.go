package eval

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteText prints the report for a person; verbose adds the positives that wait and what the
// controls changed.
func (r *Report) WriteText(w io.Writer, verbose bool) error {
	p := &printer{w: w}
	p.f("%d labelled alerts: %d positives, %d negatives", r.N, r.Positives, r.Negatives)
	if r.Unlabelled > 0 {
		p.f("; %d without a label", r.Unlabelled)
	}
	if r.Rejected > 0 {
		p.f("; %d rejected, counted as deferred", r.Rejected)
	}
	if n := len(r.LabelsUnused); n > 0 {
		p.f("; %d labels for which there is no alert", n)
	}
	p.f("\n\n")
	p.figures(&r.Figures)
	p.list("MISSED: positives called benign", r.MissedAlerts)
	p.list("FALSE ESCALATIONS: negatives called malicious", r.FalseEscalations)
	switch {
	case verbose:
		p.list("DEFERRED POSITIVES: a person decides", r.Deferred)
	case len(r.Deferred) > 0:
		p.f("\n%d positives are deferred to a person; --verbose lists them\n", len(r.Deferred))
	}
	if r.Controls != nil {
		p.controls(r, verbose)
	}
	if r.Ablation != nil {
		p.ablation(r.Ablation)
	}
	return p.err
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) table(fn func(t *printer)) {
	tw := tabwriter.NewWriter(p.w, 0, 4, 2, ' ', 0)
	t := &printer{w: tw, err: p.err}
	fn(t)
	if t.err == nil {
		t.err = tw.Flush()
	}
	p.err = t.err
}

func (p *printer) figures(f *Figures) {
	p.table(func(t *printer) {
		row := func(name string, r Rate, meaning string) {
			t.f("%s\t%d of %d\t%s\t%s\t%s\n", name, r.Count, r.Of, percent(r.Rate), interval(r), meaning)
		}
		t.f("\tCOUNT\tRATE\t95 %% INTERVAL\t\n")
		row("missed", f.Missed, "positives called benign")
		row("recall", f.Recall, "positives called malicious")
		row("false escalation", f.FalseEscalation, "negatives called malicious")
		row("precision", f.Precision, "malicious verdicts that are right")
		row("deferral", f.Deferral, "left to a person")
		row("benign share", f.BenignShare, "negatives called benign")
		row("recall, decided only", f.DecidedOnly.Recall, "flatters; reads only beside deferral")
		row("false positives, decided only", f.DecidedOnly.FalsePositiveRate, "flatters; reads only beside deferral")
	})
	p.f("\nauto-closed positives %d; Brier %.3f; decision cost %.3f per alert; human decisions per 1,000 alerts %.0f\n",
		f.AutoClosedPositives, f.Brier, f.DecisionCost, f.HumanDecisions)
}

func percent(x *float64) string {
	if x == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100**x)
}

func interval(r Rate) string {
	if r.Low == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f to %.1f %%", 100**r.Low, 100**r.High)
}

func (p *printer) list(title string, cases []Case) {
	p.f("\n%s (%d)\n", title, len(cases))
	for i := range cases {
		x := &cases[i]
		p.f("  %s  %s at %.0f %%  %s", x.ID, x.Classification, 100*x.Probability, x.Title)
		if x.Step != "" {
			p.f("  [%s]", x.Step)
		}
		p.f("\n")
		if x.Evidence != "" {
			p.f("      %+.1f bits: %s\n", x.Bits, x.Evidence)
		} else {
			p.f("      no evidence either way\n")
		}
	}
}

// controlOrder is that of the definition: (a) to (e).
var controlOrder = [...]string{ControlRenamed, ControlInterleaved, ControlShuffled, ControlAlone, ControlNeutral}

func (p *printer) controls(r *Report, verbose bool) {
	p.f("\nCONTROLS\n")
	p.table(func(t *printer) {
		t.f("\tCHANGED\tMISSED\tRECALL\tFALSE ESCALATION\tDEFERRAL\tRECORDS CHANGED\n")
		row := func(name, changed string, f *Figures, recall, escalation float64, records int) {
			t.f("%s\t%s\t%d\t%s%s\t%s%s\t%s\t%d\n", name, changed, f.Missed.Count, percent(f.Recall.Rate), signed(recall),
				percent(f.FalseEscalation.Rate), signed(escalation), percent(f.Deferral.Rate), records)
		}
		row("plain run", "", &r.Figures, 0, 0, 0)
		for _, name := range controlOrder {
			if c := r.Controls[name]; c != nil {
				row(name, fmt.Sprint(c.Changed), &c.Figures, c.RecallPoints, c.FalseEscalationPoints, c.Records)
			}
		}
	})
	if c := r.Controls[ControlAlone]; c != nil {
		p.f("\nLinks and folds contribute %+.1f points of recall and %+.1f points of false escalation; they change %d verdicts.\n",
			0-c.RecallPoints, 0-c.FalseEscalationPoints, c.Changed)
	}
	if !verbose {
		return
	}
	for _, name := range controlOrder {
		c := r.Controls[name]
		if c == nil || len(c.Changes) == 0 {
			continue
		}
		p.f("\n%s: %s\n", name, c.Note)
		for _, x := range c.Changes {
			p.f("  %s  %s -> %s  %s\n", x.ID, x.Plain, x.Under, x.Title)
		}
	}
}

func signed(points float64) string {
	if points == 0 {
		return ""
	}
	return fmt.Sprintf(" (%+.1f)", points)
}

func (p *printer) ablation(a *Ablation) {
	p.f("\nRULES REMOVED IN TURN (%d with a match)\n", a.Rules)
	if a.Unreproduced > 0 {
		p.f("  %d stored verdicts are not reproduced from their evidence: what follows is approximate\n", a.Unreproduced)
	}
	if len(a.Above) == 0 {
		p.f("  no rule's removal lowers recall by more than %d points\n", tolerated)
	}
	p.table(func(t *printer) {
		for _, x := range a.Worst {
			t.f("  %+.1f points\t%s\t%s\n", x.RecallPoints, x.Title, x.ID)
		}
	})
}
