package orchestrate

import (
	"fmt"
	"math"
	"slices"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/asset/consequence"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason"
	"github.com/aluskort/aluskort/internal/reason/prior"
	"github.com/aluskort/aluskort/internal/respond"
)

// folding is one touched investigation on its way through a transaction.
type folding struct {
	r      *row
	items  []*item
	opened bool
	change investigate.Change
	before map[string]bool // kinds of evidence for malicious before the fold, links included
}

// decideAll folds the new alerts into their investigations, finds what links lend, and decides
// again wherever that may change anything.
func (w *writer) decideAll(groups map[string][]*item) error {
	var foldings []*folding
	var rows []*row
	before := map[string]standing{}
	l := w.newLinker()
	for _, id := range w.touched {
		r := w.rows[id]
		if len(groups[id]) == 0 {
			continue // only redelivered
		}
		before[id] = standingOf(r.inv)
		err := w.e.guard(id, func() error {
			foldings = append(foldings, w.fold(r, groups[id]))
			return nil
		})
		if err != nil {
			return err
		}
		rows = append(rows, r)
		l.add(r)
	}
	if err := l.read(); err != nil {
		return err
	}
	c := w.newCounter()
	if err := c.write(foldings); err != nil {
		return err
	}
	if err := c.read(rows); err != nil {
		return err
	}
	for _, f := range foldings {
		inv := f.r.inv
		err := w.e.guard(inv.ID, func() error {
			withDerived(inv, append(inv.LinkEvidence(l.neighbours(inv)), c.evidence(f.r)...))
			w.judge(f)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := l.write(rows); err != nil {
		return err
	}
	if err := w.writeRisk(rows, before); err != nil {
		return err
	}
	if err := c.spread(); err != nil {
		return err
	}
	return l.spread(before)
}

func (w *writer) fold(r *row, items []*item) *folding {
	inv := r.inv
	f := &folding{r: r, items: items, opened: inv.Alerts == 0, before: kindsOf(inv)}
	inv.Evidence = inv.OwnEvidence()
	folded := make([]investigate.Folded, len(items))
	for i, it := range items {
		folded[i] = it.folded
	}
	f.change = inv.Fold(folded)
	w.e.weigh(inv)
	return f
}

// kindsOf lists the kinds of evidence that speak for malicious.
func kindsOf(inv *investigate.Investigation) map[string]bool {
	kinds := map[string]bool{}
	for i := range inv.Evidence {
		if inv.Evidence[i].Weight > 0 {
			kinds[inv.Evidence[i].Kind] = true
		}
	}
	return kinds
}

func newKind(before map[string]bool, inv *investigate.Investigation) bool {
	for k := range kindsOf(inv) {
		if !before[k] {
			return true
		}
	}
	return false
}

// judge decides about an investigation after a fold.
func (w *writer) judge(f *folding) {
	inv := f.r.inv
	switch {
	case f.opened && w.shortCircuit(f.r, f.items):
		if n := len(f.items) - 1; n > 0 {
			w.journal.folded(w.now, inv, n)
		}
	case f.opened:
		w.decide(f.r, f.items)
		if n := len(f.items) - 1; n > 0 {
			w.journal.folded(w.now, inv, n)
		}
	case closedByPattern(inv) && !w.ask(f.r, f.items).Close,
		investigate.Reopens(inv.State, f.change.Before, inv.SourceSeverity, newKind(f.before, inv)):
		w.journal.folded(w.now, inv, len(f.items))
		w.reopen(f.r, f.items)
	default:
		w.journal.folded(w.now, inv, len(f.items))
		if revisable(inv) {
			w.revise(f.r)
		}
	}
}

// revisable reports whether the verdict is still the product's own to change: it waits for a
// person, or responds by policy and no person approved anything yet.
func revisable(inv *investigate.Investigation) bool {
	if inv.DecidedByPerson() {
		return false
	}
	return inv.State == investigate.AwaitingHuman ||
		inv.State == investigate.Responding && !slices.ContainsFunc(inv.Tasks, func(t investigate.Task) bool { return t.ApprovedBy != byPolicy })
}

// byPolicy approves what needs no person.
const byPolicy = "policy"

// reopen takes an ended investigation through the states again.
func (w *writer) reopen(r *row, items []*item) {
	inv := r.inv
	inv.Reopened++
	w.journal.reopened(w.now, inv)
	w.decide(r, items)
}

// relinked decides again after neighbours changed and reports whether the verdict did. Links
// alone re-open what was closed only when they bring a new kind of evidence.
func (w *writer) relinked(r *row, lent []evidence.Evidence) bool {
	inv := r.inv
	kinds, revision, reopened, had := kindsOf(inv), inv.Verdict.Revision, inv.Reopened, lentIDs(inv)
	withDerived(inv, lent)
	switch {
	case investigate.Reopens(inv.State, inv.SourceSeverity, inv.SourceSeverity, newKind(kinds, inv)):
		w.reopen(r, nil)
	case revisable(inv):
		w.revise(r)
	}
	w.refreshed = !slices.Equal(had, lentIDs(inv))
	return inv.Verdict.Revision != revision || inv.Reopened != reopened
}

// lentIDs names what rests on other investigations, with the words that people read.
func lentIDs(inv *investigate.Investigation) []string {
	own := map[string]bool{}
	for _, e := range inv.OwnEvidence() {
		own[e.ID] = true
	}
	var out []string
	for i := range inv.Evidence {
		if !own[inv.Evidence[i].ID] {
			out = append(out, inv.Evidence[i].ID+inv.Evidence[i].Statement)
		}
	}
	slices.Sort(out)
	return out
}

// decide takes an investigation from where it begins, or begins anew, to where a gate stops it.
func (w *writer) decide(r *row, items []*item) {
	inv := r.inv
	reopened := inv.Reopened > 0
	inv.Degradation = w.e.level()
	v, actions := w.e.verdict(inv)
	if reopened {
		v.Revision = inv.Verdict.Revision + 1
	}
	inv.Verdict, inv.Actions, inv.PlanVoid = v, actions, false
	if len(items) > 0 {
		w.journal.enriched(w.now, inv, items)
	}
	w.journal.classified(w.now, inv)
	w.settle(inv, investigate.Parsing, investigate.Enriching, investigate.Reasoning)
	w.consult(r)
}

// advance takes an investigation along states, the last of which it is in then, and records the
// path. One that the state machine does not have fails the investigation.
func (w *writer) advance(inv *investigate.Investigation, why []string, to ...investigate.State) bool {
	path := append([]investigate.State{inv.State}, to...)
	if err := investigate.CheckPath(path); err != nil {
		w.fail(inv, path, err)
		return false
	}
	inv.State = path[len(path)-1]
	w.journal.moved(w.now, inv, path, why)
	return true
}

// fail ends an investigation because the product failed: nothing that it planned is left. A fold
// that brings more takes it up again.
func (w *writer) fail(inv *investigate.Investigation, path []investigate.State, why error) {
	w.e.cfg.Log.Error("investigation failed", "investigation", inv.ID, "error", why)
	w.journal.failed(w.now, inv, path, why)
	inv.State, inv.WaitReason, inv.WaitWhy, inv.Actions = investigate.Failed, investigate.WaitNone, nil, nil
	withoutPolicyTasks(inv)
	inv.StopClock()
}

// settle takes an investigation by way of passing to where the gates send it, with reason to
// wait, clock and tasks.
func (w *writer) settle(inv *investigate.Investigation, passing ...investigate.State) {
	next, wait, why := investigate.Gate(&inv.Verdict, investigate.Conditions{
		MaxTier: respond.MaxTier(inv.Actions), Degradation: inv.Degradation,
	})
	if p := inv.Proposal(); p != "" && wait == investigate.WaitVerdict {
		why = append(why, p)
	}
	inv.WaitReason, inv.WaitWhy = wait, why
	if next != inv.State || len(passing) > 0 {
		if !w.advance(inv, why, append(passing, next)...) {
			return
		}
	}
	inv.StartClock(w.now)
	withoutPolicyTasks(inv)
	if next == investigate.Responding {
		assign(inv, byPolicy, w.now)
	}
	if wait == investigate.WaitApproval {
		w.journal.approvalRequested(w.now, inv)
	}
}

func withoutPolicyTasks(inv *investigate.Investigation) {
	inv.Tasks = slices.DeleteFunc(inv.Tasks, func(t investigate.Task) bool { return t.ApprovedBy == byPolicy })
}

// revise decides again after a fold or a link; it writes a revision only when the verdict or
// the plan changed.
func (w *writer) revise(r *row) {
	inv := r.inv
	before, level := inv.Verdict, inv.Degradation
	inv.Degradation = w.e.level()
	defer w.consult(r)
	v, actions := w.e.verdict(inv)
	v.Revision = before.Revision
	// A plan that expired stays void until the verdict changes.
	if same(&before, &v) && (inv.PlanVoid || slices.Equal(inv.Actions, actions)) {
		inv.Verdict.Unknowns, inv.Verdict.Counterfactual = v.Unknowns, v.Counterfactual
		// At another level of ability, or with a proposal, the gates may say something else.
		if level != inv.Degradation || inv.Proposal() != "" && !slices.Contains(inv.WaitWhy, inv.Proposal()) {
			w.settle(inv)
		}
		return
	}
	v.Revision++
	inv.Verdict, inv.Actions, inv.PlanVoid = v, actions, false
	w.journal.revised(w.now, inv, &before)
	w.settle(inv)
}

// verdict is what the evidence says now; it reorders the evidence and sets what each counts.
func (e *Engine) verdict(inv *investigate.Investigation) (evidence.Verdict, []respond.Action) {
	learned := e.cfg.Prior(inv.TenantID, inv.Source, inv.Analytic, inv.SourceSeverity)
	learned = prior.Guard(learned, inv.SourceSeverity, inv.Evidence, e.cfg.Thresholds)
	severity, why := e.severity(inv)
	inv.SeverityWhy = why
	alone := ""
	if own := withoutLinks(inv.Evidence); len(own) < len(inv.Evidence) {
		v := reason.Decide(learned, own, severity, nil, e.cfg.Thresholds)
		alone = fmt.Sprintf("without links: %s at %.0f %%", v.Classification, 100*v.Probability)
	}
	v := reason.Decide(learned, inv.Evidence, severity, inv.Unknowns(), e.cfg.Thresholds)
	v.Counterfactual = alone
	e.credit(&v, inv, learned, severity)
	return v, e.cfg.Planner.PlanIn(e.places(inv), inv.ID, &v, inv.Entities, inv.TechniqueIDs())
}

func (e *Engine) places(inv *investigate.Investigation) respond.Places {
	if e.cfg.Places == nil {
		return nil
	}
	return e.cfg.Places(inv)
}

// severity is ours: the source's, adjusted by what the assets are worth and by what may follow
// from them, one step in all.
func (e *Engine) severity(inv *investigate.Investigation) (alert.Severity, string) {
	severity, why := inv.SourceSeverity, ""
	if e.cfg.Org != nil {
		severity, why = e.cfg.Org.Adjust(inv.TenantID, inv.SourceSeverity, inv.Entities, inv.FirstSeen)
	}
	return consequence.Raise(inv.SourceSeverity, severity, why, inv.Evidence)
}

func withoutLinks(items []evidence.Evidence) []evidence.Evidence {
	return slices.DeleteFunc(slices.Clone(items), func(e evidence.Evidence) bool { return reason.IsLink(&e) })
}

// same reports whether two verdicts say the same on the same grounds.
func same(a, b *evidence.Verdict) bool {
	return a.Classification == b.Classification && math.Abs(a.Probability-b.Probability) < 1e-9 &&
		a.Severity == b.Severity && slices.Equal(a.Citations, b.Citations)
}
