package orchestrate

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
)

// reminders lists the requests for approval that went to a second reviewer.
func (b *bench) reminders() (out []audit.Event) {
	for _, ev := range b.audit.list {
		if ev.Type == audit.ApprovalRequested && strings.Contains(ev.Outcome.String(), `"requested_from":"secondary_reviewer"`) {
			out = append(out, ev)
		}
	}
	return out
}

// sweepAt sets the clock and carries out what is due until nothing is left.
func (b *bench) sweepAt(at time.Duration) (due int) {
	b.t.Helper()
	b.clock.add(start.Add(at).Sub(b.clock.Now()))
	for {
		n, err := b.Sweep(context.Background())
		if err != nil {
			b.t.Fatal(err)
		}
		if due += n; n == 0 {
			return due
		}
		if due > 1000 {
			b.t.Fatal("the same timers ring again and again")
		}
	}
}

// A verdict that waits becomes overdue, once, also over a restart; time never fails or closes it.
func TestWaitingVerdictsBecomeOverdue(t *testing.T) {
	for _, tt := range []struct {
		severity alert.Severity
		after    time.Duration
	}{
		{alert.Critical, time.Hour}, {alert.High, 2 * time.Hour}, {alert.Medium, 4 * time.Hour}, {alert.Low, 8 * time.Hour}, {alert.Informational, 8 * time.Hour},
	} {
		t.Run(tt.severity.String(), func(t *testing.T) {
			b := open(t)
			id := b.process(message("1", "x", "1 weak", severity(tt.severity)))[0].Investigation
			b.restart()
			if n := b.sweepAt(tt.after - time.Second); n != 0 || b.get(id).Overdue {
				t.Fatalf("%d timers before the time was over", n)
			}
			for range 3 {
				b.sweepAt(tt.after)
				b.restart()
			}
			b.sweepAt(1000 * time.Hour)
			inv := b.get(id)
			if !inv.Overdue || inv.State != investigate.AwaitingHuman || inv.WaitReason != investigate.WaitVerdict {
				t.Errorf("%s/%s, overdue %v", inv.State, inv.WaitReason, inv.Overdue)
			}
			if n := b.events(audit.AlertEscalated); n != 1 {
				t.Errorf("recorded %d times", n)
			}
		})
	}
}

func TestOverdueEndsWithTheWait(t *testing.T) {
	b := open(t)
	id := b.process(message("1", "x", "1 weak"))[0].Investigation
	b.sweepAt(100 * time.Hour)
	inv, err := b.Conclude(context.Background(), "a", id, evidence.FalsePositive, HumanDecision{Actor: "ada", Reason: "known job"})
	if err != nil || inv.Overdue || !inv.WakeAt.IsZero() {
		t.Fatalf("%v: overdue %v, wakes at %v", err, inv.Overdue, inv.WakeAt)
	}
	b.process(message("2", "x", "1.5 other"))
	if inv = b.get(id); inv.State != investigate.AwaitingHuman || inv.Overdue || !inv.DueAt.Equal(b.clock.Now().Add(4*time.Hour)) {
		t.Errorf("re-opened: %s, overdue %v, due at %v", inv.State, inv.Overdue, inv.DueAt)
	}
}

// A verdict that grows more severe shortens the wait; one that grows less so never lengthens it.
func TestTheClockOfAVerdictOnlyShortens(t *testing.T) {
	b := open(t)
	id := b.process(message("1", "x", "1 weak"))[0].Investigation
	if due := b.get(id).DueAt; !due.Equal(start.Add(4 * time.Hour)) {
		t.Fatalf("due at %v", due)
	}
	b.clock.add(time.Hour)
	b.process(message("2", "x", "1 weak", severity(alert.Critical)))
	if due := b.get(id).DueAt; !due.Equal(start.Add(2 * time.Hour)) {
		t.Errorf("grew critical after an hour: due at %v", due)
	}
	b.clock.add(30 * time.Minute)
	b.process(message("3", "x", "1 weak,-1 fine"))
	if due := b.get(id).DueAt; !due.Equal(start.Add(2 * time.Hour)) {
		t.Errorf("a revision moved the end to %v", due)
	}
}

// What expired stays void while the verdict says the same; one that changed is planned anew.
func TestAVoidPlanComesBackOnlyWithAnotherVerdict(t *testing.T) {
	b := open(t)
	id := b.process(message("1", "x", "6 k"))[0].Investigation
	b.sweepAt(100 * time.Hour)
	b.process(message("2", "x", "6 k"))
	if inv := b.get(id); len(inv.Actions) != 0 || !inv.Overdue || inv.WaitReason != investigate.WaitVerdict {
		t.Fatalf("the same again brought the plan back: %+v", inv)
	}
	b.process(message("3", "x", "4 other"))
	inv := b.get(id)
	if len(inv.Actions) == 0 || inv.WaitReason != investigate.WaitApproval || !inv.DueAt.Equal(b.clock.Now().Add(4*time.Hour)) {
		t.Errorf("waits for %q with %d actions until %v", inv.WaitReason, len(inv.Actions), inv.DueAt)
	}
}

// Waits that were stored before there were clocks get one; they are not overdue at once.
func TestWaitsFromBeforeThereWereClocksGetOne(t *testing.T) {
	b := open(t)
	id := b.process(message("1", "x", "1 weak"))[0].Investigation
	err := b.update(context.Background(), func(w *writer) error {
		r, err := b.loadOne(w.tx, "a", id)
		if err != nil {
			return err
		}
		r.inv.StopClock()
		r.inv.WakeAt = start
		w.rows[id] = r
		w.touch(id)
		return w.save()
	})
	if err != nil {
		t.Fatal(err)
	}
	b.sweepAt(50 * time.Hour)
	if inv := b.get(id); inv.Overdue || !inv.DueAt.Equal(start.Add(54*time.Hour)) {
		t.Errorf("overdue %v, due at %v", inv.Overdue, inv.DueAt)
	}
	b.sweepAt(54 * time.Hour)
	if !b.get(id).Overdue {
		t.Error("not overdue after its time")
	}
}
