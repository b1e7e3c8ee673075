package orchestrate

import (
	"math"
	"slices"

	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason"
	"github.com/aluskort/aluskort/internal/respond"
)

// judge folds the new alerts of one investigation into it and decides again where that may
// change anything.
func (w *writer) judge(r *row, items []*item) {
	if len(items) == 0 {
		return
	}
	inv := r.inv
	opened := inv.Alerts == 0
	folded := make([]investigate.Folded, len(items))
	for i, it := range items {
		folded[i] = it.folded
	}
	ch := inv.Fold(folded)
	switch {
	case opened:
		w.decide(r, items, []investigate.State{investigate.Received, investigate.Parsing, investigate.Enriching, investigate.Reasoning})
		if n := len(items) - 1; n > 0 {
			w.journal.folded(w.now, inv, n)
		}
	case investigate.Reopens(inv.State, ch.Before, inv.SourceSeverity, ch.NewKindFor):
		w.journal.folded(w.now, inv, len(items))
		inv.Reopened++
		w.journal.reopened(w.now, inv)
		w.decide(r, items, []investigate.State{inv.State, investigate.Parsing, investigate.Enriching, investigate.Reasoning})
	case inv.State == investigate.AwaitingHuman && (ch.Evidence || inv.SourceSeverity > ch.Before):
		w.journal.folded(w.now, inv, len(items))
		w.revise(r)
	default:
		w.journal.folded(w.now, inv, len(items))
	}
}

// decide takes an investigation along the path from its start to where a gate stops it.
func (w *writer) decide(r *row, items []*item, path []investigate.State) {
	inv := r.inv
	reopened := inv.Reopened > 0
	v, actions := w.e.verdict(inv)
	if reopened {
		v.Revision = inv.Verdict.Revision + 1
	}
	inv.Verdict, inv.Actions = v, actions
	next, why := w.settle(inv)
	path = append(path, next)
	w.journal.enriched(w.now, inv, items)
	w.journal.classified(w.now, inv)
	w.journal.moved(w.now, inv, path, why)
	if inv.WaitReason == investigate.WaitApproval {
		w.journal.approvalRequested(w.now, inv)
	}
}

// settle sets state, reason to wait and timer from the gates.
func (w *writer) settle(inv *investigate.Investigation) (investigate.State, []string) {
	next, wait, why := investigate.Gate(&inv.Verdict, investigate.Conditions{
		MaxTier: respond.MaxTier(inv.Actions), Degradation: inv.Degradation,
	})
	inv.State, inv.WaitReason, inv.WaitWhy = next, wait, why
	switch {
	case wait == investigate.WaitApproval && inv.WakeAt.IsZero():
		d := investigate.ApprovalDeadlines(inv.Verdict.Severity)
		wake := d.Expire
		if d.Escalate > 0 {
			wake = d.Escalate
		}
		inv.WakeAt = w.now.Add(wake)
	case wait != investigate.WaitApproval:
		inv.WakeAt = zeroTime
	}
	if next == investigate.Responding {
		assign(inv, "policy", w.now)
	}
	return next, why
}

// revise decides again after a fold or a link; it writes a revision only when the verdict or
// the plan changed.
func (w *writer) revise(r *row) {
	inv := r.inv
	if inv.DecidedByPerson() {
		return
	}
	before := inv.Verdict
	v, actions := w.e.verdict(inv)
	v.Revision = before.Revision
	if same(&before, &v) {
		return
	}
	v.Revision++
	inv.Verdict, inv.Actions = v, actions
	from := inv.State
	next, why := w.settle(inv)
	w.journal.revised(w.now, inv, &before)
	if from != next {
		w.journal.moved(w.now, inv, []investigate.State{from, next}, why)
	}
	if inv.WaitReason == investigate.WaitApproval {
		w.journal.approvalRequested(w.now, inv)
	}
}

// verdict is what the evidence says now; it reorders the evidence and sets what each counts.
func (e *Engine) verdict(inv *investigate.Investigation) (evidence.Verdict, []respond.Action) {
	severity := inv.SourceSeverity
	prior := e.cfg.Prior(inv.TenantID, inv.Source, inv.Analytic, severity)
	v := reason.Decide(prior, inv.Evidence, severity, inv.Unknowns(), e.cfg.Thresholds)
	return v, e.cfg.Planner.Plan(inv.ID, &v, inv.Entities, inv.TechniqueIDs())
}

// same reports whether two verdicts say the same on the same grounds.
func same(a, b *evidence.Verdict) bool {
	return a.Classification == b.Classification && math.Abs(a.Probability-b.Probability) < 1e-9 &&
		a.Severity == b.Severity && slices.Equal(a.Citations, b.Citations)
}
