package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/investigate"
)

// dying is a database whose nth transaction does everything and is not committed, as when the
// process dies before the commit is durable.
type dying struct {
	store.DB
	left int
}

func (d *dying) Update(ctx context.Context, fn func(store.Tx) error) error {
	if d.left--; d.left != 0 {
		return d.DB.Update(ctx, fn)
	}
	return d.DB.Update(ctx, func(tx store.Tx) error {
		return errors.Join(fn(tx), fmt.Errorf("%w: the process died", store.ErrUnavailable))
	})
}

// life leads investigations over every transition: opened and closed by a pattern, opened and
// waiting, revised, approved, rejected, concluded, escalated, expired, overdue, re-opened by a
// fold and by a revoked pattern. step runs each part until it succeeds.
func life(b *bench, s *shelf, step func(func() error)) map[string]string {
	ctx := context.Background()
	link := withLink(alert.LinkProcess, "guid")
	batch := func(msgs ...*alert.Message) func() error {
		return func() error {
			_, err := b.Process(ctx, Batch{Messages: msgs})
			return err
		}
	}
	decide := func(fingerprint string, do func(id string, d HumanDecision) error) func() error {
		return func() error {
			id := investigate.ID("a", "fp1:"+fingerprint, investigate.WindowStart(start, time.Hour))
			err := do(id, HumanDecision{Actor: "ada", Reason: "seen"})
			if errors.Is(err, ErrConflict) {
				return nil // it was done, and only the answer was lost
			}
			return err
		}
	}
	approve := func(id string, d HumanDecision) error { _, err := b.Approve(ctx, "a", id, d); return err }
	reject := func(id string, d HumanDecision) error { _, err := b.Reject(ctx, "a", id, d); return err }
	conclude := func(id string, d HumanDecision) error {
		_, err := b.Conclude(ctx, "a", id, evidence.FalsePositive, d)
		return err
	}
	revise := func() error {
		for {
			if n, _, err := b.Revise(ctx); n == 0 || err != nil {
				return err
			}
		}
	}
	sweep := func() error {
		for {
			if n, err := b.Sweep(ctx); n == 0 || err != nil {
				return err
			}
		}
	}
	step(batch(message("1", "known", "1 k"), message("2", "approved", "6 k"), message("3", "rejected", "6 k"), message("4", "expires", "9 k", severity(alert.High)),
		message("5", "child", "1 w", link), message("6", "concluded", "1 w"), message("9", "late", "1 w")))
	step(batch(message("7", "anchor", "5 k", link)))
	step(revise)
	step(decide("approved", approve))
	step(decide("rejected", reject))
	step(decide("concluded", conclude))
	step(batch(message("8", "concluded", "3 other"), message("1", "known", "1 k")))
	for _, at := range []time.Duration{31 * time.Minute, 61 * time.Minute, 3 * time.Hour, 30 * time.Hour} {
		b.clock.add(start.Add(at).Sub(b.clock.Now()))
		step(sweep)
	}
	step(decide("approved", conclude))
	id := investigate.ID("a", "fp1:known", investigate.WindowStart(start, time.Hour))
	s.pending = []fp.Pending{{Pattern: "p1", Investigation: id}}
	b.cfg.ShortCircuit.Gate.Switches.Replace(nil, 1, b.clock.Now())
	step(func() error { _, err := b.Rollback(ctx); return err })

	end := map[string]string{}
	for _, fingerprint := range []string{"known", "approved", "rejected", "expires", "child", "concluded", "anchor", "late"} {
		inv := b.get(investigate.ID("a", "fp1:"+fingerprint, investigate.WindowStart(start, time.Hour)))
		end[fingerprint] = fmt.Sprintf("%s/%s %s by %s revision %d reopened %d overdue %v escalated %v alerts %d tasks %d decisions %d due %v",
			inv.State, inv.WaitReason, inv.Verdict.Classification, inv.Verdict.By, inv.Verdict.Revision, inv.Reopened, inv.Overdue, inv.Escalated,
			inv.Alerts, len(inv.Tasks), len(inv.Decisions), inv.DueAt)
	}
	return end
}

// B13: died in any transaction of any transition, before it was durable, the same end is reached
// and every event is emitted once.
func TestB13DiedInEveryTransaction(t *testing.T) {
	run := func(t *testing.T, died int) (end map[string]string, types []audit.Type, left int) {
		s := &shelf{}
		b := withPattern(open(t), s)
		d := &dying{DB: b.db, left: died}
		b.db, b.cfg.DB = d, d
		failures := 0
		end = life(b, s, func(do func() error) {
			for {
				err := do()
				if err == nil {
					return
				}
				if failures++; !errors.Is(err, store.ErrUnavailable) || failures > 1 {
					t.Fatal(err)
				}
			}
		})
		return end, b.audit.types, d.left
	}
	want, events, left := run(t, -1)
	transactions := -1 - left
	if transactions < 15 {
		t.Fatalf("only %d transactions", transactions)
	}
	for _, state := range []string{"awaiting_human/verdict", "closed/"} {
		if !slices.ContainsFunc(mapValues(want), func(s string) bool { return strings.HasPrefix(s, state) }) {
			t.Errorf("no investigation ends %s: %v", state, want)
		}
	}
	for _, typ := range []audit.Type{audit.AlertAutoClosed, audit.ApprovalGranted, audit.ApprovalDenied, audit.ApprovalEscalated, audit.ApprovalTimedOut, audit.AlertEscalated, audit.InvestigationReopened, audit.InvestigationRevised} {
		if !slices.Contains(events, typ) {
			t.Errorf("the life does not pass %s", typ)
		}
	}
	step := 1
	if testing.Short() {
		step = 4
	}
	for n := 1; n <= transactions; n += step {
		end, got, _ := run(t, n)
		if d := cmp.Diff(want, end); d != "" {
			t.Errorf("died in transaction %d:\n%s", n, d)
		}
		if d := cmp.Diff(events, got); d != "" {
			t.Errorf("died in transaction %d, other events:\n%s", n, d)
		}
	}
}

func mapValues(m map[string]string) (out []string) {
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// B1: the same alert a thousand times, at once and a day apart, is one investigation with one
// alert; the repeats are counted.
func TestB1TheSameAlertAThousandTimes(t *testing.T) {
	for _, times := range []int{1, 2, 1000} {
		b := open(t)
		var msgs []*alert.Message
		for range times {
			msgs = append(msgs, message("1", "x", "5 k"))
		}
		id := b.process(msgs...)[0].Investigation
		b.clock.add(24 * time.Hour)
		for part := range slices.Chunk(msgs, 300) {
			b.process(part...)
		}
		inv := b.get(id)
		counts, err := b.Counts(context.Background(), "a")
		if err != nil || len(counts) != 1 || inv.Alerts != 1 || inv.Redelivered != 2*times-1 || inv.Verdict.Revision != 0 {
			t.Errorf("%d times: %d alerts, %d redelivered, revision %d, %v", times, inv.Alerts, inv.Redelivered, inv.Verdict.Revision, err)
		}
	}
}

// B4: hostile alerts become verdicts or are refused alone; a good one beside them is not touched.
func TestB4HostileAlerts(t *testing.T) {
	many := func(m *alert.Message) {
		for i := range 100_000 {
			m.Entities.List = append(m.Entities.List, alert.Entity{Type: alert.Host, Value: fmt.Sprint("h", i), Confidence: 1})
		}
	}
	for name, change := range map[string]func(*alert.Message){
		"year 9999":         func(m *alert.Message) { m.Alert.Timestamp = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) },
		"before Christ":     func(m *alert.Message) { m.Alert.Timestamp = time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"NUL":               func(m *alert.Message) { m.Alert.Title, m.Alert.Analytic = "a\x00b", "\x00" },
		"invalid UTF-8":     func(m *alert.Message) { m.Entities.List[0].Value = "\xc3\x28" },
		"100,000 entities":  many,
		"a huge link":       withLink(alert.LinkToken, strings.Repeat("x", 1<<20)),
		"no tenant":         func(m *alert.Message) { m.Alert.TenantID = "" },
		"a severity beyond": func(m *alert.Message) { m.Alert.Severity = 77 },
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			out, refused, _ := b.refusedBy(message("good", "good", "5 k"), message("bad", "bad", "5 k", change))
			if len(out)+len(refused) != 2 || slices.Contains(refused, "good") {
				t.Fatalf("%d verdicts, refused %v", len(out), refused)
			}
			if v := b.get(out[0].Investigation).Verdict; v.Classification != evidence.TruePositive {
				t.Errorf("the good one is %s", v.Classification)
			}
			b.settle()
			b.sweepAt(1000 * time.Hour)
		})
	}
}

// FuzzA10InvestigationsRoundTrip: an investigation comes back from the store as it went in, or
// its alert is refused before anything is stored.
func FuzzA10InvestigationsRoundTrip(f *testing.F) {
	f.Add("title", "ws-1", int64(1), 1.5)
	f.Add("e\u0301 \u00e9 \u212a \u2028 \x00 \"\\ \U0001f600", "WS-1\u0130", int64(1_234_567), -2.25)
	f.Add("\xff", "\xed\xa0\x80", int64(-1), 1e300)
	b, n := open(f), 0
	f.Fuzz(func(t *testing.T, title, host string, micros int64, bits float64) {
		b.t = t
		n++
		id := fmt.Sprint(n)
		rng := rand.New(rand.NewPCG(uint64(micros), 1))
		at := start.Add(time.Duration(micros%3_600_000_000) * time.Microsecond)
		m := message(id, id, fmt.Sprintf("%g k", bits), entitled(title), onHost(host), severity(alert.Severity(rng.IntN(5))), func(m *alert.Message) { m.Alert.Timestamp = at })
		out, refused, _ := b.refusedBy(m)
		if len(refused) > 0 {
			if _, err := b.Locate(context.Background(), "a", "test", id); !errors.Is(err, ErrNotFound) {
				t.Errorf("refused and yet stored: %v", err)
			}
			return
		}
		inv := b.get(out[0].Investigation)
		if inv.Title != title || inv.Entities[0].Value != host || !inv.FirstSeen.Equal(at) {
			t.Errorf("went in as %q %q %v, came back as %q %q %v", title, host, at, inv.Title, inv.Entities[0].Value, inv.FirstSeen)
		}
		err := b.Alerts(context.Background(), "a", inv.ID, func(got *alert.Message) bool {
			if got.Alert.Title != title || !got.Alert.Timestamp.Equal(at) {
				t.Errorf("the alert came back as %q %v", got.Alert.Title, got.Alert.Timestamp)
			}
			return true
		})
		if err != nil {
			t.Error(err)
		}
	})
}
