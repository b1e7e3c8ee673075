package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/investigate"
)

// Patterns is what the orchestrator needs of the store of false-positive patterns.
type Patterns interface {
	// Current fails when patterns or switches changed after the gate's snapshots were read.
	Current(tx store.Tx, g *fp.Gate) error
	RecordClosures(tx store.Tx, list []fp.Closure) error
	RecordShadow(tx store.Tx, pattern string, decisions, disagreed int) error
	PendingReopen(ctx context.Context, limit int) ([]fp.Pending, error)
	MarkReopened(tx store.Tx, pattern, investigation string, at time.Time) error
}

// ShortCircuit is how approved patterns close what they fit. Both fields or none are set.
type ShortCircuit struct {
	Gate  *fp.Gate
	Store Patterns
}

// ask asks the gate about alerts of an investigation. Every one must fit; whatever is in doubt
// closes nothing.
func (w *writer) ask(r *row, items []*item) (d fp.Decision) {
	sc := w.e.cfg.ShortCircuit
	if sc.Gate == nil || w.stale {
		return d
	}
	inv := r.inv
	severity, _ := w.e.severity(inv)
	for i, it := range items {
		m := it.msg
		one := sc.Gate.Decide(&fp.Input{
			Tenant: inv.TenantID, Alert: &m.Alert, Entities: &m.Entities, AssetClasses: w.e.classes(it), Techniques: inv.TechniqueIDs(), Evidence: inv.Evidence,
			Checked: true, Blind: it.failing, Severity: severity, Degradation: string(inv.Degradation), At: w.now,
		})
		if i == 0 || !one.Close {
			d = one
		}
		if !one.Close {
			break
		}
	}
	return d
}

// classes are those of the assets that an alert is about, as far as the organisation knows them.
func (e *Engine) classes(it *item) []string {
	if e.cfg.Org == nil {
		return nil
	}
	return e.cfg.Org.Classes(it.msg.Alert.TenantID, it.msg.Entities.List, it.folded.At)
}

// closedByPattern reports whether a pattern and not a person closed an investigation.
func closedByPattern(inv *investigate.Investigation) bool {
	return inv.State == investigate.Closed && strings.HasPrefix(inv.Verdict.By, byPattern)
}

// byPattern begins the author of a verdict that a pattern gave.
const byPattern = "pattern "

// shortCircuit closes a newly opened investigation where a pattern fits all its alerts.
func (w *writer) shortCircuit(r *row, items []*item) bool {
	inv, d := r.inv, w.ask(r, items)
	switch {
	case d.SafetyBlock:
		w.journal.pattern(w.now, inv, audit.PatternSafetyBlock, &d)
	case d.Shadow:
		w.journal.pattern(w.now, inv, audit.ShadowDecisionLogged, &d)
		w.shadowed = append(w.shadowed, d.Pattern)
	case d.Close:
		w.closeBy(inv, items, &d)
	}
	return d.Close
}

// closeBy closes an investigation by a pattern: received, parsing, closed. The evidence stays
// with what it counts, so that a reader sees what the pattern overrode.
func (w *writer) closeBy(inv *investigate.Investigation, items []*item, d *fp.Decision) {
	v, _ := w.e.verdict(inv)
	v.Classification, v.Reason, v.Confidence, v.By = evidence.FalsePositive, "logic", d.Confidence, byPattern+d.Pattern
	inv.Verdict, inv.Actions = v, nil
	inv.WaitReason, inv.WaitWhy = investigate.WaitNone, nil
	w.closures = append(w.closures, fp.Closure{Pattern: d.Pattern, Investigation: inv.ID, At: w.now})
	w.journal.enriched(w.now, inv, items)
	w.journal.pattern(w.now, inv, audit.AlertShortCircuited, d)
	w.journal.classified(w.now, inv)
	w.journal.pattern(w.now, inv, audit.AlertAutoClosed, d)
	w.advance(inv, []string{d.Why}, investigate.Parsing, investigate.Closed)
}

func (j *journal) pattern(now time.Time, inv *investigate.Investigation, t audit.Type, d *fp.Decision) {
	j.add(now, inv, t, func(ev *audit.Event) {
		if t == audit.PatternSafetyBlock {
			ev.Severity = audit.SeverityWarning
		}
		ev.Context = j.fragment(func(o *audit.Object) {
			o.Str("degradation_level", string(inv.Degradation))
			o.Str("fp_pattern_matched", text(d.Pattern))
		})
		ev.Decision = j.fragment(func(o *audit.Object) {
			o.Int("confidence", micros(d.Confidence))
			o.Str("pattern_name", text(d.Name))
			o.Str("reasoning_summary", text(d.Why))
			o.Int("threshold", micros(d.Threshold))
		})
	})
}

// checkPatterns notes whether the gate's snapshots are those of this transaction. Stale ones
// close nothing; the next batch finds them refreshed.
func (w *writer) checkPatterns() error {
	sc := w.e.cfg.ShortCircuit
	if sc.Gate == nil {
		return nil
	}
	err := sc.Store.Current(w.tx, sc.Gate)
	w.stale = errors.Is(err, fp.ErrStale)
	if w.stale {
		return nil
	}
	return err
}

// recordPatterns stores what patterns closed and would have closed.
func (w *writer) recordPatterns() error {
	sc := w.e.cfg.ShortCircuit
	if len(w.closures) > 0 {
		if err := sc.Store.RecordClosures(w.tx, w.closures); err != nil {
			return err
		}
	}
	slices.Sort(w.shadowed)
	for len(w.shadowed) > 0 {
		n := 1
		for n < len(w.shadowed) && w.shadowed[n] == w.shadowed[0] {
			n++
		}
		if err := sc.Store.RecordShadow(w.tx, w.shadowed[0], n, 0); err != nil {
			return err
		}
		w.shadowed = w.shadowed[n:]
	}
	return nil
}

// reopenAtOnce is how many investigations one rolling-back transaction takes.
const reopenAtOnce = 50

// Rollback re-opens investigations that a revoked pattern had closed: each is decided again
// without it. It returns how many there were; 0 means that none is left.
func (e *Engine) Rollback(ctx context.Context) (int, error) {
	sc := e.cfg.ShortCircuit
	if sc.Gate == nil {
		return 0, nil
	}
	pending, err := sc.Store.PendingReopen(ctx, reopenAtOnce)
	if err != nil || len(pending) == 0 {
		return 0, err
	}
	_, err = e.each(ctx, func(store.Tx) ([]string, error) {
		ids := make([]string, len(pending))
		for i, p := range pending {
			ids[i] = p.Investigation
		}
		return ids, nil
	}, func(w *writer, ids []string) error {
		for _, p := range pending {
			if !slices.Contains(ids, p.Investigation) {
				continue
			}
			if err := sc.Store.MarkReopened(w.tx, p.Pattern, p.Investigation, w.now); err != nil {
				return err
			}
			if r := w.rows[p.Investigation]; r != nil && r.inv.State == investigate.Closed && r.inv.Verdict.By == byPattern+p.Pattern {
				w.touch(p.Investigation)
				w.reopen(r, nil)
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("re-open what revoked patterns closed: %w", err)
	}
	return len(pending), nil
}
