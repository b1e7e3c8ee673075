package orchestrate

import (
	"context"
	"fmt"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/investigate"
)

const selectWaking = `SELECT id FROM investigation WHERE wake_at IS NOT NULL AND wake_at <= $1 ORDER BY wake_at LIMIT $2`

// sweepAtOnce is how many timers one transaction takes.
const sweepAtOnce = 100

// Sweep carries out timers that are due. An unanswered approval of high or critical severity
// goes to the next person once, with a new deadline; at half its time a second reviewer is told;
// one that stays unanswered expires: its plan is void and the investigation waits for a person's
// verdict, marked overdue. A verdict that waits for too long is marked overdue. Nothing is
// executed, closed or failed. It returns how many timers were due; 0 means none is left.
func (e *Engine) Sweep(ctx context.Context) (due int, err error) {
	due, err = e.each(ctx, pickIDs(selectWaking, e.cfg.Clock.Now().UnixMicro(), sweepAtOnce), func(w *writer, ids []string) error {
		for _, id := range ids {
			if r := w.rows[id]; r != nil {
				w.touch(id)
				w.ring(r.inv)
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("carry out timers: %w", err)
	}
	return due, nil
}

func (w *writer) ring(inv *investigate.Investigation) {
	plan := planHash(inv)
	switch inv.Ring(w.now) {
	case investigate.Escalate:
		w.journal.timer(w.now, inv, audit.ApprovalEscalated, plan, "")
	case investigate.Remind:
		w.journal.timer(w.now, inv, audit.ApprovalRequested, plan, secondReviewer)
	case investigate.Expire:
		w.journal.timer(w.now, inv, audit.ApprovalTimedOut, plan, "")
		w.advance(inv, inv.WaitWhy, investigate.AwaitingHuman)
	case investigate.MarkOverdue:
		w.journal.timer(w.now, inv, audit.AlertEscalated, plan, "")
	}
}

// secondReviewer is whom a reminder asks.
const secondReviewer = "secondary_reviewer"
