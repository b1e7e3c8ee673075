package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
)

// fragile is an organisation whose code fails on the host "boom".
type fragile struct {
	naming
	armed bool
}

func (f *fragile) Adjust(_ string, s alert.Severity, entities []alert.Entity, _ time.Time) (alert.Severity, string) {
	for i := range entities {
		if f.armed && entities[i].Value == "boom" {
			panic("a bug")
		}
	}
	return s, ""
}

func onHost(name string) func(*alert.Message) {
	return func(m *alert.Message) { m.Alert.Links = nil; m.Entities.List[0].Value = name }
}

// refusedBy processes a batch and returns the ids of the messages that were refused.
func (b *bench) refusedBy(msgs ...*alert.Message) (out []Outcome, refused []string, why []error) {
	b.t.Helper()
	out, err := b.Process(context.Background(), Batch{Messages: msgs, Offsets: []Offset{{Consumer: "c", Topic: "t", From: 99, Next: 99}}})
	var list *RefusedError
	if err != nil && !errors.As(err, &list) {
		b.t.Fatal(err)
	}
	if list != nil {
		for _, r := range list.Refused {
			refused, why = append(refused, r.Message.Alert.ID), append(why, r.Err)
		}
	}
	slices.Sort(refused)
	return out, refused, why
}

// B4: a message that cannot be evaluated, decided or stored is taken out alone; everybody else in
// its batch, also of the same investigation, gets a verdict, and the offset moves.
func TestB4PoisonedMessagesAreTakenOutOfTheBatch(t *testing.T) {
	poison := map[string]*alert.Message{
		"not a number": message("not a number", "5", "NaN nan"),
		"infinite":     message("infinite", "6", "Inf inf"),
		"no text":      message("no text", "7", "5 k", entitled("\xff\xfe")),
		"boom":         message("boom", "boom", "5 k", onHost("boom")),
	}
	for name, bad := range poison {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.cfg.Org = &fragile{armed: true}
			b.process(message("before", "5", "5 k"))
			var msgs []*alert.Message
			for i := range 40 {
				msgs = append(msgs, message(fmt.Sprint(i), fmt.Sprint(i%10), "5 k"))
			}
			msgs = slices.Insert(msgs, 17, bad)
			out, refused, _ := b.refusedBy(msgs...)
			if !slices.Equal(refused, []string{name}) || len(out) != 40 {
				t.Fatalf("refused %v, %d verdicts", refused, len(out))
			}
			for i, o := range out {
				inv := b.get(o.Investigation)
				if inv.Verdict.Classification != evidence.TruePositive {
					t.Errorf("alert %d: %s", i, inv.Verdict.Classification)
				}
				want := 4
				if o.Message.Fingerprint == "fp1:5" {
					want = 5
				}
				if inv.Alerts != want {
					t.Errorf("alert %d: %d alerts are folded, want %d", i, inv.Alerts, want)
				}
			}
			if _, err := b.Locate(context.Background(), "a", "test", name); !errors.Is(err, ErrNotFound) {
				t.Errorf("the refused message is known: %v", err)
			}
			at, err := b.Offsets(context.Background(), "c")
			if err != nil || len(at) != 1 || at[0].Next != 99 {
				t.Errorf("offset %+v, %v", at, err)
			}
		})
	}
}

func TestB4ABatchOfPoisonOnly(t *testing.T) {
	b := open(t)
	var msgs []*alert.Message
	for i := range 9 {
		msgs = append(msgs, message(fmt.Sprint(i), fmt.Sprint(i%2), "NaN k"))
	}
	out, refused, _ := b.refusedBy(msgs...)
	if len(out) != 0 || len(refused) != 9 {
		t.Errorf("%d verdicts, refused %v", len(out), refused)
	}
	if at, err := b.Offsets(context.Background(), "c"); err != nil || len(at) != 1 {
		t.Errorf("offset %+v, %v", at, err)
	}
}

// damage makes the stored document of an investigation unreadable.
func (b *bench) damage(id, how string) {
	b.t.Helper()
	err := b.db.Update(context.Background(), func(tx store.Tx) error {
		_, err := tx.Exec(how, id)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

const (
	scribble = `UPDATE doc SET codec = 1, bytes = (SELECT key FROM alert_identity LIMIT 1) WHERE id = (SELECT doc FROM investigation WHERE id = $1)`
	noJSON   = `UPDATE doc SET codec = 0, bytes = (SELECT key FROM alert_identity LIMIT 1) WHERE id = (SELECT doc FROM investigation WHERE id = $1)`
	lose     = `DELETE FROM doc WHERE id = (SELECT doc FROM investigation WHERE id = $1)`
)

func TestB4AnUnreadableInvestigationIsSetAside(t *testing.T) {
	ctx := context.Background()
	for name, how := range map[string]string{"damaged": scribble, "no JSON": noJSON, "lost": lose} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			first := b.process(message("1", "x", "1 weak"), message("2", "y", "1 weak"))
			b.damage(first[0].Investigation, how)
			for i := range 2 {
				out, refused, why := b.refusedBy(message(fmt.Sprint("new x ", i), "x", "5 k"), message(fmt.Sprint("new y ", i), "y", "5 k"), message("1", "x", "1 weak"))
				if len(refused) != 1 || !strings.HasPrefix(refused[0], "new x") || !errors.Is(why[0], ErrDamaged) {
					t.Fatalf("refused %v: %v", refused, why)
				}
				if len(out) != 2 || out[0].Verdict != evidence.TruePositive || !out[1].Redelivered {
					t.Errorf("the others: %+v", out)
				}
			}
			if n, err := b.SetAside(ctx); err != nil || n != 1 || b.events(audit.InvestigationFailed) != 1 {
				t.Errorf("%d set aside, %v; events %v", n, err, b.audit.types)
			}
			failed, _, err := b.List(ctx, "a", Filter{State: investigate.Failed})
			if err != nil || len(failed) != 1 || failed[0].ID != first[0].Investigation {
				t.Errorf("failed are %+v, %v", failed, err)
			}
			if _, err := b.Get(ctx, "a", first[0].Investigation); !errors.Is(err, ErrDamaged) {
				t.Errorf("reading it: %v", err)
			}
			if _, err := b.Get(ctx, "b", first[0].Investigation); !errors.Is(err, ErrNotFound) {
				t.Errorf("another tenant: %v", err)
			}
		})
	}
}

// B4: neither the reviser nor the timers stop at a row that cannot be read.
func TestB4TheReviserAndTheTimersGoOnPastDamage(t *testing.T) {
	link := withLink(alert.LinkProcess, "guid")
	b := open(t)
	out := b.process(message("1", "1", "1 w", link), message("2", "2", "1 w", link), message("3", "3", "1 w", link))
	b.process(message("anchor", "anchor", "5 k", link)) // marks the three
	b.damage(out[1].Investigation, scribble)
	b.settle()
	for _, i := range []int{0, 2} {
		if len(b.lent(out[i].Investigation)) != 1 {
			t.Errorf("investigation %d was not revised", i)
		}
	}
	if n, err := b.Dirty(context.Background()); err != nil || n != 0 {
		t.Errorf("%d still to be revised, %v", n, err)
	}
	b.process(message("anchor 2", "anchor 2", "5 k", link)) // marks all three again
	b.settle()
	if n := b.events(audit.InvestigationFailed); n != 1 || len(b.lent(out[0].Investigation)) != 2 {
		t.Errorf("set aside %d times, %d links lend", n, len(b.lent(out[0].Investigation)))
	}
	b.damage(out[0].Investigation, lose)
	b.sweepAt(100 * time.Hour)
	if !b.get(out[2].Investigation).Overdue {
		t.Error("a timer did not ring")
	}
	if n, err := b.SetAside(context.Background()); err != nil || n != 2 {
		t.Errorf("%d set aside, %v", n, err)
	}
}

// B4: an investigation whose revision fails inside is set aside; the fold that can be decided
// takes it up again.
func TestB4ARevisionThatFailsInsideIsSetAside(t *testing.T) {
	org := &fragile{}
	link := withLink(alert.LinkProcess, "guid")
	host := func(m *alert.Message) { m.Entities.List[0].Value = "boom" }
	b := open(t)
	b.cfg.Org = org
	out := b.process(message("1", "1", "1 w", link), message("2", "2", "1 w", link, host), message("3", "3", "1 w", link))
	b.process(message("anchor", "anchor", "5 k", link))
	org.armed = true
	b.settle()
	if len(b.lent(out[0].Investigation)) != 1 || len(b.lent(out[2].Investigation)) != 1 {
		t.Error("the others were not revised")
	}
	inv := b.get(out[1].Investigation)
	if inv.State != investigate.Failed || b.events(audit.InvestigationFailed) != 1 {
		t.Errorf("%s, events %v", inv.State, b.audit.types)
	}
	b.process(message("anchor 2", "anchor 2", "5 k", link)) // marks it again
	b.settle()
	if n := b.events(audit.InvestigationFailed); n != 1 {
		t.Errorf("set aside %d times", n)
	}
	org.armed = false
	b.process(message("4", "2", "3 other", host))
	inv = b.get(out[1].Investigation)
	n, err := b.SetAside(context.Background())
	if inv.State != investigate.AwaitingHuman || inv.Reopened != 1 || n != 0 || err != nil {
		t.Errorf("%s, reopened %d, %d set aside, %v", inv.State, inv.Reopened, n, err)
	}
}

// The state machine is kept at run time: a path that it does not have fails the investigation and
// says so, whoever asked for it.
func TestAnIllegalPathFailsTheInvestigation(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		name, items string
		to          []investigate.State
	}{
		{"backwards", "1 weak", []investigate.State{investigate.Enriching}},
		{"over the gates", "1 weak", []investigate.State{investigate.Parsing, investigate.Responding}},
		{"an unknown state", "6 k", []investigate.State{"limbo"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := open(t)
			id := b.process(message("1", "x", tt.items))[0].Investigation
			inv, err := b.human(ctx, "a", id, HumanDecision{Actor: "ada", Reason: "test"}, func(w *writer, inv *investigate.Investigation) error {
				w.advance(inv, nil, tt.to...)
				return nil
			})
			if err != nil || inv.State != investigate.Failed {
				t.Fatalf("%v: %+v", err, inv)
			}
			inv = b.get(id)
			if inv.State != investigate.Failed || inv.WaitReason != investigate.WaitNone || len(inv.Actions) != 0 || !inv.WakeAt.IsZero() {
				t.Errorf("stored: %s waits for %q, %d actions, wakes at %v", inv.State, inv.WaitReason, len(inv.Actions), inv.WakeAt)
			}
			last := b.audit.list[len(b.audit.list)-1]
			if last.Type != audit.InvestigationFailed || !strings.Contains(last.Outcome.String(), `"state_before":"awaiting_human"`) || !strings.Contains(last.Outcome.String(), "cannot go from") {
				t.Errorf("recorded %s: %s", last.Type, last.Outcome.String())
			}
			if n := b.sweepAt(1000 * time.Hour); n != 0 {
				t.Errorf("%d timers of a failed investigation", n)
			}
			b.process(message("2", "x", "5 other"))
			if inv = b.get(id); inv.State != investigate.AwaitingHuman || inv.Reopened != 1 {
				t.Errorf("what came after: %s, reopened %d", inv.State, inv.Reopened)
			}
		})
	}
}

// A batch that meets an investigation in a state that does not exist fails that one and goes on.
func TestAnIllegalPathDoesNotStopTheBatch(t *testing.T) {
	b := open(t)
	out := b.process(message("1", "x", "1 weak"))
	err := b.update(context.Background(), func(w *writer) error {
		r, err := b.loadOne(w.tx, "a", out[0].Investigation)
		if err != nil {
			return err
		}
		r.inv.State = investigate.Responding
		w.rows[r.inv.ID] = r
		w.touch(r.inv.ID)
		w.settle(r.inv, investigate.Reasoning) // as if it had not responded
		return w.save()
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := b.get(out[0].Investigation).State; s != investigate.Failed {
		t.Fatalf("%s", s)
	}
	out, refused, _ := b.refusedBy(message("2", "x", "1 weak"), message("3", "y", "5 k"))
	if len(refused) != 0 || out[1].Verdict != evidence.TruePositive || b.get(out[0].Investigation).Alerts != 2 {
		t.Errorf("refused %v, %+v", refused, out)
	}
}
