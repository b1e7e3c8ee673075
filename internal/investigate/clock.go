package investigate

import (
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// VerdictDeadline is how long a deferred verdict may wait for a person before it is overdue. It
// is never failed by time.
func VerdictDeadline(s alert.Severity) time.Duration { return ApprovalDeadlines(s).Expire }

// Alarm is what a clock of a wait asks for.
type Alarm int

// The alarms.
const (
	NoAlarm Alarm = iota
	// Escalate: the approval goes to the next person, with a new deadline.
	Escalate
	// Remind: half the time is over; a second reviewer is told, once.
	Remind
	// Expire: the approval and its plan are void.
	Expire
	// MarkOverdue: the verdict waited for longer than its severity allows.
	MarkOverdue
)

// StartClock starts the clock of a wait that begins, stops that of one that ended, and shortens
// that of a wait whose severity grew. Nothing lengthens a wait.
func (inv *Investigation) StartClock(now time.Time) {
	limit, clocked := inv.limit()
	if !clocked {
		inv.StopClock()
		return
	}
	if inv.ClockOf != inv.WaitReason {
		overdue := inv.Overdue // whoever waited for a verdict in vain still does
		inv.StopClock()
		inv.Overdue = overdue
		inv.ClockOf = inv.WaitReason
	}
	if due := now.Add(limit); inv.DueAt.IsZero() || due.Before(inv.DueAt) {
		inv.WaitingSince, inv.DueAt = now, due
	}
	inv.wake()
}

// StopClock ends the wait.
func (inv *Investigation) StopClock() {
	inv.ClockOf, inv.Escalated, inv.Overdue = WaitNone, false, false
	inv.WaitingSince, inv.DueAt, inv.WakeAt, inv.RemindedAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
}

// limit is how long a wait of this kind may last; only those for a verdict and an approval end.
func (inv *Investigation) limit() (time.Duration, bool) {
	switch {
	case inv.State != AwaitingHuman:
		return 0, false
	case inv.WaitReason == WaitApproval:
		return ApprovalDeadlines(inv.Verdict.Severity).Expire, true
	case inv.WaitReason == WaitVerdict:
		return VerdictDeadline(inv.Verdict.Severity), true
	}
	return 0, false
}

// wake sets when the clock asks for something next.
func (inv *Investigation) wake() { inv.WakeAt, _ = inv.next() }

// next is the next alarm of a running clock and its time, zero when there is none.
func (inv *Investigation) next() (time.Time, Alarm) {
	if inv.ClockOf == WaitVerdict {
		if inv.Overdue {
			return time.Time{}, NoAlarm
		}
		return inv.DueAt, MarkOverdue
	}
	if inv.ClockOf != WaitApproval {
		return time.Time{}, NoAlarm
	}
	at, what := inv.DueAt, Expire
	if half := inv.WaitingSince.Add(inv.DueAt.Sub(inv.WaitingSince) / 2); inv.RemindedAt.IsZero() && half.Before(at) {
		at, what = half, Remind
	}
	d := ApprovalDeadlines(inv.Verdict.Severity)
	if up := inv.WaitingSince.Add(d.Escalate); d.Escalate > 0 && !inv.Escalated && up.Before(at) {
		at, what = up, Escalate
	}
	return at, what
}

// Ring takes the next alarm that is due and sets the clock on. A reminder that nobody could have
// read before the end is left out; an escalation after it, when nothing ran meanwhile, still
// gives the next person time.
func (inv *Investigation) Ring(now time.Time) Alarm {
	if _, clocked := inv.limit(); !clocked || inv.ClockOf != inv.WaitReason {
		inv.StartClock(now) // a wait from before there were clocks, or one that ended
		return NoAlarm
	}
	at, what := inv.next()
	if what == NoAlarm || at.After(now) {
		inv.wake()
		return NoAlarm
	}
	if what == Remind && !inv.DueAt.After(now) {
		what = Expire
	}
	switch what {
	case Escalate:
		d := ApprovalDeadlines(inv.Verdict.Severity)
		inv.Escalated = true
		inv.DueAt = now.Add(d.Expire - d.Escalate)
	case Remind:
		inv.RemindedAt = now
	case Expire:
		inv.Actions, inv.PlanVoid = nil, true
		inv.WaitReason, inv.WaitWhy = WaitVerdict, []string{"the approval expired unanswered: its plan is void"}
		inv.StopClock()
		inv.ClockOf, inv.WaitingSince, inv.DueAt, inv.Overdue = WaitVerdict, now, now, true
	case MarkOverdue:
		inv.Overdue = true
	}
	inv.wake()
	return what
}
