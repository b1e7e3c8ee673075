package auditlog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
)

func openState(t testing.TB) store.DB {
	t.Helper()
	return dbtest.MustOpen(t, dbtest.Config{Migrations: fstest.MapFS{"0001_state.sql": {Data: []byte(SequenceDDL)}}, Clock: testClock})
}

// emit runs one transaction that emits b, and fails with fail after that.
func emit(t testing.TB, db store.DB, e *Emitter, b *Batch, fail error) (msgs []store.Message, tickets []Ticket) {
	t.Helper()
	err := db.Update(context.Background(), func(tx store.Tx) (err error) {
		if msgs, tickets, err = e.Emit(tx, b); err != nil {
			return err
		}
		return fail
	})
	if !errors.Is(err, fail) {
		t.Fatal(err)
	}
	return msgs, tickets
}

func TestEmitNumbersWithoutGap(t *testing.T) {
	state := openState(t)
	e, err := NewEmitter(state.Origin())
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t, openAudit(t, ""))
	rolledBack := errors.New("rolled back")
	n := int64(0)
	for round := range 4 {
		b := e.NewBatch()
		for range 3 {
			n++
			for _, tenant := range []string{"acme", "globex"} {
				ev := event(t, "a", n)
				if err := b.Add(tenant, &ev); err != nil {
					t.Fatal(err)
				}
			}
		}
		if b.Len() != 6 {
			t.Errorf("batch of %d", b.Len())
		}
		emit(t, state, e, b, rolledBack) // the first run of the transaction fails
		msgs, tickets := emit(t, state, e, b, nil)
		if want := fmt.Sprintf("[{acme %d} {globex %d}]", n, n); fmt.Sprint(tickets) != want {
			t.Errorf("tickets %v, want %s", tickets, want)
		}
		if len(msgs) != 2 || msgs[0].Topic != Topic || string(msgs[0].Key) != "acme" || msgs[0].Tenant != "acme" {
			t.Fatalf("round %d: messages %v", round, msgs)
		}
		if err := s.Append(t.Context(), [][]byte{msgs[0].Payload, msgs[1].Payload}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tenant := range []string{"acme", "globex"} {
		if last, err := s.OriginSequence(t.Context(), tenant, state.Origin()); err != nil || last != n {
			t.Errorf("%s: origin at %d, %v; want %d", tenant, last, err, n)
		}
		for i, id := range contents(t, s, tenant)[1:] {
			if id != fmt.Sprintf("a/%d", i+1) {
				t.Errorf("%s: event %d is %s", tenant, i+1, id)
			}
		}
	}
}

func TestEmitSplitsAtTheLimitOfTheOutbox(t *testing.T) {
	state := openState(t)
	e, err := NewEmitter(state.Origin())
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t, openAudit(t, ""))
	b := e.NewBatch()
	const events = 40
	for n := range int64(events) {
		ev := event(t, "a", n+1)
		size := 60_000
		if n%10 == 0 {
			size = audit.MaxEvent - 1000
		}
		if ev.Outcome, err = new(audit.Object).Str("error_details", strings.Repeat("x", size)).Finish(); err != nil {
			t.Fatal(err)
		}
		if err := b.Add("acme", &ev); err != nil {
			t.Fatal(err)
		}
	}
	msgs, _ := emit(t, state, e, b, nil)
	if len(msgs) < 6 {
		t.Errorf("%d messages", len(msgs))
	}
	next := int64(1)
	for i, m := range msgs {
		if len(m.Payload) > store.MaxPayload {
			t.Errorf("message %d has %d bytes", i, len(m.Payload))
		}
		d, err := DecodeMessage(m.Payload)
		if err != nil || d.From != next {
			t.Fatalf("message %d starts at %d, want %d: %v", i, d.From, next, err)
		}
		next = d.To + 1
		if err := s.Append(t.Context(), [][]byte{m.Payload}); err != nil {
			t.Fatal(err)
		}
	}
	if report := mustVerify(t, s, "acme"); report.Records != events+1 {
		t.Errorf("%d records", report.Records)
	}
}

func TestBatchRefuses(t *testing.T) {
	e, err := NewEmitter("origin-1")
	if err != nil {
		t.Fatal(err)
	}
	b := e.NewBatch()
	good := event(t, "a", 1)
	bad := good
	bad.Type = "alert.classifed"
	if err := b.Add("acme", &bad); !errors.Is(err, audit.ErrEvent) {
		t.Errorf("unknown type: %v", err)
	}
	if err := b.Add("", &good); !errors.Is(err, audit.ErrTenant) {
		t.Errorf("no tenant: %v", err)
	}
	if msgs, tickets := emit(t, openState(t), e, b, nil); b.Len() != 0 || len(msgs) != 0 || len(tickets) != 0 {
		t.Errorf("nothing was added, and %d events, %d messages came out", b.Len(), len(msgs))
	}
	other, err := NewEmitter("origin-2")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.Emit(nil, b); err == nil {
		t.Error("batch of another origin was emitted")
	}
	if _, err := NewEmitter(""); err == nil {
		t.Error("emitter without origin")
	}
}
