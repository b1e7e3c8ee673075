package orchestrate

import (
	"context"
	"fmt"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/investigate"
)

const selectWaking = `SELECT id FROM investigation WHERE wake_at IS NOT NULL AND wake_at <= $1 ORDER BY wake_at LIMIT $2`

// sweepAtOnce is how many timers one transaction takes.
const sweepAtOnce = 100

// Sweep carries out timers that are due: an unanswered approval of high or critical severity
// goes to the next person once, with a new deadline; one that stays unanswered expires. Then
// its plan is void and the investigation waits for a person's verdict, marked overdue. Nothing
// is executed and nothing is closed. It returns how many timers were due; 0 means none is left.
func (e *Engine) Sweep(ctx context.Context) (due int, err error) {
	err = e.db.Update(ctx, func(tx store.Tx) error {
		w := &writer{e: e, tx: tx, now: e.cfg.Clock.Now(), dirty: map[string]bool{}}
		var ids []string
		err := query1(tx, selectWaking, []any{w.now.UnixMicro(), sweepAtOnce}, func(rows store.Rows) error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
		if due = len(ids); err != nil || due == 0 {
			return err
		}
		if w.rows, err = e.loadRows(tx, ids); err != nil {
			return err
		}
		for _, id := range ids {
			w.touch(id)
			w.wake(w.rows[id].inv)
		}
		if err := w.save(); err != nil {
			return err
		}
		return w.send()
	})
	if err != nil {
		return 0, fmt.Errorf("carry out timers: %w", err)
	}
	return due, nil
}

func (w *writer) wake(inv *investigate.Investigation) {
	if inv.State != investigate.AwaitingHuman || inv.WaitReason != investigate.WaitApproval {
		inv.WakeAt = zeroTime
		return
	}
	d := investigate.ApprovalDeadlines(inv.Verdict.Severity)
	if d.Escalate > 0 && !inv.Escalated {
		inv.Escalated = true
		inv.WakeAt = w.now.Add(d.Expire - d.Escalate)
		w.journal.timer(w.now, inv, audit.ApprovalEscalated)
		return
	}
	w.journal.timer(w.now, inv, audit.ApprovalTimedOut)
	inv.Actions, inv.Overdue, inv.WakeAt = nil, true, zeroTime
	inv.WaitReason, inv.WaitWhy = investigate.WaitVerdict, []string{"the approval expired unanswered: its plan is void"}
	w.journal.moved(w.now, inv, []investigate.State{investigate.AwaitingHuman, investigate.AwaitingHuman}, inv.WaitWhy)
}
