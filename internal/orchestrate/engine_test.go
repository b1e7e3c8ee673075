package orchestrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/respond"
)

var start = time.Date(2026, 4, 5, 6, 7, 8, 0, time.UTC)

// movable is a clock that a test sets.
type movable struct {
	mu  sync.Mutex
	now time.Time
}

func (c *movable) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}
func (c *movable) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
func (c *movable) NewTimer(d time.Duration) *time.Timer { return time.NewTimer(d) }

// recorder keeps the audit events of committed transactions instead of sending them.
type recorder struct {
	types []audit.Type
	list  []audit.Event
}

func (r *recorder) Emit(tx store.Tx, _ string, events []audit.Event) ([]store.Message, error) {
	for i := range events {
		if _, err := events[i].AppendWire(nil); err != nil {
			return nil, err
		}
		if err := checkMoves(&events[i]); err != nil {
			return nil, err
		}
		tx.OnCommit(func() { r.types, r.list = append(r.types, events[i].Type), append(r.list, events[i]) })
	}
	return nil, nil
}

// checkMoves holds every recorded path against the state machine: an engine test that leads an
// investigation where it must not go fails.
func checkMoves(ev *audit.Event) error {
	if ev.Type != audit.InvestigationState {
		return nil
	}
	var outcome struct {
		Path []investigate.State `json:"path"`
	}
	if err := json.Unmarshal([]byte(ev.Outcome.String()), &outcome); err != nil {
		return err
	}
	if len(outcome.Path) < 2 {
		return fmt.Errorf("path %v is no move", outcome.Path)
	}
	return investigate.CheckPath(outcome.Path)
}

// scripted is an evidence source that reads its answer off the alert's description:
// "weight kind" items separated by commas.
type scripted struct{}

func (scripted) Name() string { return "scripted" }

func (scripted) Gather(_ context.Context, subjects []evidence.Subject) ([]evidence.Finding, error) {
	out := make([]evidence.Finding, len(subjects))
	for i, s := range subjects {
		for _, part := range strings.Split(s.Alert.Description, ",") {
			var w float64
			var kind string
			if n, _ := fmt.Sscanf(part, "%g %s", &w, &kind); n != 2 {
				continue
			}
			stance := evidence.For
			if w < 0 {
				stance = evidence.Against
			}
			out[i].Items = append(out[i].Items, evidence.Evidence{ID: kind, Kind: kind, Weight: w, Stance: stance, Statement: kind, Refs: []string{"/x"}})
		}
	}
	return out, nil
}

// broken fails or panics.
type broken struct{ panics bool }

func (b broken) Name() string { return "broken" }
func (b broken) Gather(context.Context, []evidence.Subject) ([]evidence.Finding, error) {
	if b.panics {
		panic("a bug")
	}
	return nil, errors.New("no answer")
}

type known struct{}

func (known) Resolve(ids []string) (out []investigate.Technique, unknown []string) {
	for _, s := range ids {
		if strings.HasPrefix(s, "T1") {
			out = append(out, investigate.Technique{ID: s, Name: "name of " + s, Confidence: 1})
		} else {
			unknown = append(unknown, s)
		}
	}
	return out, unknown
}

type bench struct {
	*Engine
	t     testing.TB
	clock *movable
	audit *recorder
	path  string
	extra []evidence.Source
}

func open(t testing.TB, sources ...evidence.Source) *bench {
	t.Helper()
	b := &bench{t: t, clock: &movable{now: start}, audit: &recorder{}, path: filepath.Join(t.TempDir(), "state.db"), extra: sources}
	b.start()
	t.Cleanup(func() {
		if err := b.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// restart closes the database and opens it again with a new engine.
func (b *bench) restart() {
	b.t.Helper()
	if err := b.db.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.start()
}

func (b *bench) start() {
	t := b.t
	t.Helper()
	db, err := dbtest.Open(t, dbtest.Config{
		Path: b.path, Migrations: schema.FS, SQLiteDir: schema.SQLiteDir, PostgresDir: schema.PostgresDir, Clock: b.clock, CacheKiB: 64 << 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	planner, err := respond.NewPlanner()
	if err != nil {
		t.Fatal(err)
	}
	b.Engine, err = New(Config{
		DB: db, Outbox: store.NewOutbox(b.clock, 0), Audit: b.audit, Taxonomy: known{}, Planner: planner,
		Sources: append([]evidence.Source{scripted{}}, b.extra...), Clock: b.clock,
		Fields: func(string, []byte) (alert.Fields, error) { return alert.Fields{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
}

// message is an alert whose evidence is what its description says.
func message(alertID, fingerprint, items string, change ...func(*alert.Message)) *alert.Message {
	m := &alert.Message{
		Alert: alert.Alert{
			ID: alertID, Source: "test", TenantID: "a", Title: "title " + fingerprint, Timestamp: start, IngestedAt: start, Severity: alert.Medium,
			Description: items, EntitiesRaw: "[]", Techniques: []string{"T1059"}, RawPayload: []byte("{}"),
		},
		Entities:    alert.Entities{List: []alert.Entity{{Type: alert.Host, Value: "ws-1", Confidence: 1, Principal: true}}},
		Fingerprint: "fp1:" + fingerprint,
	}
	for _, f := range change {
		f(m)
	}
	return m
}

func severity(s alert.Severity) func(*alert.Message) {
	return func(m *alert.Message) { m.Alert.Severity = s }
}

func (b *bench) process(msgs ...*alert.Message) []Outcome {
	b.t.Helper()
	out, err := b.Process(context.Background(), Batch{Messages: msgs})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) get(id string) *investigate.Investigation {
	b.t.Helper()
	inv, err := b.Get(context.Background(), "a", id)
	if err != nil {
		b.t.Fatal(err)
	}
	return inv
}

func (b *bench) events(t audit.Type) (n int) {
	for _, x := range b.audit.types {
		if x == t {
			n++
		}
	}
	return n
}

func TestB1RepeatsFoldAndRedeliveriesOnlyCount(t *testing.T) {
	b := open(t)
	out := b.process(message("1", "x", "1 k"), message("2", "x", "1 k"), message("1", "x", "1 k"))
	if out[0].Investigation != out[1].Investigation || out[2].Investigation != out[0].Investigation {
		t.Fatal("repeats went different ways")
	}
	if !out[2].Redelivered || out[2].Sequence != out[0].Sequence || out[1].Redelivered {
		t.Errorf("got %+v", out)
	}
	b.clock.add(400 * 24 * time.Hour)
	b.process(message("1", "x", "1 k"), message("3", "x", "1 k", func(m *alert.Message) { m.Alert.IngestedAt = b.clock.Now() }))
	inv := b.get(out[0].Investigation)
	if inv.Alerts != 3 || inv.Redelivered != 2 {
		t.Errorf("%d alerts, %d redelivered", inv.Alerts, inv.Redelivered)
	}
	n := 0
	if err := b.Alerts(context.Background(), "a", inv.ID, func(*alert.Message) bool { n++; return true }); err != nil || n != 3 {
		t.Errorf("%d alerts kept, %v", n, err)
	}
	if b.events(audit.AlertClassified) != 1 || b.events(audit.AlertFolded) != 2 {
		t.Errorf("events %v", b.audit.types)
	}
}

func TestOtherTenantsAndWindowsAreOtherInvestigations(t *testing.T) {
	b := open(t)
	out := b.process(message("1", "x", ""), message("1", "x", "", func(m *alert.Message) { m.Alert.TenantID = "b" }),
		message("2", "x", "", func(m *alert.Message) { m.Alert.Timestamp = start.Add(2 * time.Hour) }))
	ids := []string{out[0].Investigation, out[1].Investigation, out[2].Investigation}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 3 {
		t.Error("investigations were shared")
	}
	if _, err := b.Get(context.Background(), "b", out[0].Investigation); !errors.Is(err, ErrNotFound) {
		t.Errorf("tenant b reads tenant a: %v", err)
	}
	if _, err := b.Alert(context.Background(), "b", out[0].Sequence); !errors.Is(err, ErrNotFound) {
		t.Errorf("tenant b reads an alert of tenant a: %v", err)
	}
}

func TestFailingSourcesAreBlindAndHoldNothingUp(t *testing.T) {
	b := open(t, broken{}, broken{panics: true})
	inv := b.get(b.process(message("1", "x", "5 k"))[0].Investigation)
	if inv.Verdict.Classification != evidence.TruePositive || len(inv.Blind) != 2 {
		t.Errorf("%s, blind %v", inv.Verdict.Classification, inv.Blind)
	}
}

func TestUnknownTechniquesAreSetAside(t *testing.T) {
	b := open(t)
	inv := b.get(b.process(message("1", "x", "", func(m *alert.Message) { m.Alert.Techniques = []string{"T1059", "T9999"} }))[0].Investigation)
	if len(inv.Techniques) != 1 || !slices.Equal(inv.Quarantined, []string{"T9999"}) || b.events(audit.TechniqueQuarantined) != 1 {
		t.Errorf("%v, %v", inv.Techniques, inv.Quarantined)
	}
}

func TestALaterAlertRevisesAnOpenVerdict(t *testing.T) {
	b := open(t)
	id := b.process(message("1", "x", "1 weak"))[0].Investigation
	if c := b.get(id).Verdict.Classification; c != evidence.InvestigationRequired {
		t.Fatalf("first verdict %s", c)
	}
	b.process(message("2", "x", "5 strong"))
	inv := b.get(id)
	if inv.Verdict.Classification != evidence.TruePositive || inv.Verdict.Revision != 1 || b.events(audit.InvestigationRevised) != 1 {
		t.Errorf("%s revision %d, events %v", inv.Verdict.Classification, inv.Verdict.Revision, b.audit.types)
	}
	b.process(message("3", "x", "5 strong"))
	if got := b.get(id).Verdict.Revision; got != 1 {
		t.Errorf("a repeat that says the same again made revision %d", got)
	}
}

func TestWhatReopensAClosedInvestigation(t *testing.T) {
	decide := HumanDecision{Actor: "ada", Role: "senior_analyst", Reason: "known job"}
	for _, tt := range []struct {
		name, items string
		severity    alert.Severity
		reopens     bool
	}{
		{"the same again", "1 weak", alert.Medium, false},
		{"less severe", "1 weak", alert.Low, false},
		{"more benign evidence", "-3 fine", alert.Medium, false},
		{"a new kind of evidence for malicious", "3 other", alert.Medium, true},
		{"more severe", "1 weak", alert.Critical, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := open(t)
			id := b.process(message("1", "x", "1 weak"))[0].Investigation
			if _, err := b.Conclude(context.Background(), "a", id, evidence.FalsePositive, decide); err != nil {
				t.Fatal(err)
			}
			b.process(message("2", "x", tt.items, severity(tt.severity)))
			inv := b.get(id)
			if (inv.Reopened == 1) != tt.reopens || (inv.State != investigate.Closed) != tt.reopens {
				t.Errorf("%s, reopened %d", inv.State, inv.Reopened)
			}
			if inv.Alerts != 2 {
				t.Errorf("%d alerts", inv.Alerts)
			}
			if tt.reopens && b.events(audit.InvestigationReopened) != 1 {
				t.Error("not recorded")
			}
			if !tt.reopens && inv.Verdict.By != "ada" {
				t.Errorf("the person's verdict was replaced by %q", inv.Verdict.By)
			}
		})
	}
}

func TestB14Approvals(t *testing.T) {
	ctx := context.Background()
	b := open(t)
	id := b.process(message("1", "x", "6 k"))[0].Investigation
	inv := b.get(id)
	if inv.WaitReason != investigate.WaitApproval || b.events(audit.ApprovalRequested) != 1 {
		t.Fatalf("waits for %q", inv.WaitReason)
	}
	good := HumanDecision{Actor: "ada", Reason: "agreed", PlanHash: PlanHash(inv)}
	for name, d := range map[string]HumanDecision{"nobody": {Reason: "x"}, "no reason": {Actor: "ada"}} {
		if _, err := b.Approve(ctx, "a", id, d); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	changed := good
	changed.PlanHash = "0000"
	if _, err := b.Approve(ctx, "a", id, changed); !errors.Is(err, ErrConflict) {
		t.Errorf("changed plan: %v", err)
	}
	if _, err := b.Approve(ctx, "b", id, good); !errors.Is(err, ErrNotFound) {
		t.Errorf("other tenant: %v", err)
	}
	late := good
	late.Version = inv.Version + 1
	if _, err := b.Approve(ctx, "a", id, late); !errors.Is(err, ErrConflict) {
		t.Errorf("another version: %v", err)
	}
	good.Version = inv.Version
	inv, err := b.Approve(ctx, "a", id, good)
	if err != nil || inv.State != investigate.Responding || len(inv.Tasks) == 0 || inv.Tasks[0].ApprovedBy != "ada" {
		t.Fatalf("%v, %+v", err, inv)
	}
	if _, err := b.Approve(ctx, "a", id, good); !errors.Is(err, ErrConflict) {
		t.Errorf("twice: %v", err)
	}
	if n := len(b.get(id).Tasks); n != len(inv.Tasks) {
		t.Errorf("%d tasks after the second approval, %d before", n, len(inv.Tasks))
	}
	good.Version = inv.Version
	if _, err := b.Conclude(ctx, "a", id, evidence.TruePositive, good); err != nil {
		t.Error(err)
	}
	if s := b.get(id).State; s != investigate.Closed {
		t.Errorf("ends %s", s)
	}
}

func TestRejectedPlansAreNotCarriedOut(t *testing.T) {
	b := open(t)
	id := b.process(message("1", "x", "6 k"))[0].Investigation
	inv, err := b.Reject(context.Background(), "a", id, HumanDecision{Actor: "ada", Reason: "known test"})
	if err != nil || inv.State != investigate.Closed || len(inv.Tasks) != 0 || len(inv.Actions) != 0 {
		t.Errorf("%v: %+v", err, inv)
	}
}

// An approval is escalated once, then expires; nothing is executed and nothing is closed.
func TestApprovalTimers(t *testing.T) {
	for _, tt := range []struct {
		severity         alert.Severity
		escalate, expire time.Duration
	}{
		{alert.Critical, 15 * time.Minute, time.Hour},
		{alert.High, 30 * time.Minute, 2 * time.Hour},
		{alert.Medium, 0, 4 * time.Hour},
		{alert.Low, 0, 8 * time.Hour},
	} {
		t.Run(tt.severity.String(), func(t *testing.T) {
			ctx := context.Background()
			b := open(t)
			id := b.process(message("1", "x", "9 k", severity(tt.severity)))[0].Investigation
			sweep := func(at time.Duration, want int) {
				t.Helper()
				b.clock.add(start.Add(at).Sub(b.clock.Now()))
				if n, err := b.Sweep(ctx); err != nil || n != want {
					t.Fatalf("at %s: %d timers, %v; want %d", at, n, err, want)
				}
			}
			if tt.escalate > 0 {
				sweep(tt.escalate-time.Second, 0)
				sweep(tt.escalate, 1)
				if inv := b.get(id); !inv.Escalated || inv.WaitReason != investigate.WaitApproval || b.events(audit.ApprovalEscalated) != 1 {
					t.Fatalf("not escalated: %+v", inv)
				}
			}
			sweep(tt.expire/2-time.Second, 0)
			if b.restart(); !b.get(id).RemindedAt.IsZero() {
				t.Fatal("reminded before half the time was over")
			}
			sweep(tt.expire/2, 1)
			if inv := b.get(id); !inv.RemindedAt.Equal(b.clock.Now()) || inv.WaitReason != investigate.WaitApproval || len(inv.Actions) == 0 {
				t.Fatalf("no reminder at half the time: %+v", inv)
			}
			if n := len(b.reminders()); n != 1 {
				t.Errorf("%d reminders are recorded", n)
			}
			sweep(tt.expire-time.Second, 0)
			sweep(tt.expire, 1)
			inv := b.get(id)
			if len(b.reminders()) != 1 || b.events(audit.ApprovalTimedOut) != 1 {
				t.Errorf("events %v", b.audit.types)
			}
			if inv.State != investigate.AwaitingHuman || inv.WaitReason != investigate.WaitVerdict || !inv.Overdue || len(inv.Actions) != 0 || len(inv.Tasks) != 0 {
				t.Errorf("after expiry: %+v", inv)
			}
			sweep(tt.expire+24*time.Hour, 0)
		})
	}
}

func TestListPagesThroughEverythingOnce(t *testing.T) {
	ctx := context.Background()
	b := open(t)
	var msgs []*alert.Message
	for i := range 25 {
		items := "1 k"
		if i%5 == 0 {
			items = "6 k"
		}
		msgs = append(msgs, message(fmt.Sprint(i), fmt.Sprint(i), items))
	}
	b.process(msgs...)
	seen := map[string]bool{}
	for cursor, pages := int64(0), 0; ; pages++ {
		list, next, err := b.List(ctx, "a", Filter{Before: cursor, Limit: 10})
		if err != nil || pages > 3 {
			t.Fatal(pages, err)
		}
		for _, s := range list {
			if seen[s.ID] {
				t.Errorf("%s twice", s.ID)
			}
			seen[s.ID] = true
		}
		if cursor = next; next == 0 {
			break
		}
	}
	if len(seen) != 25 {
		t.Errorf("%d of 25", len(seen))
	}
	waiting, _, err := b.List(ctx, "a", Filter{WaitReason: investigate.WaitApproval})
	if err != nil || len(waiting) != 5 {
		t.Errorf("%d wait for approval, %v", len(waiting), err)
	}
	if other, _, err := b.List(ctx, "b", Filter{}); err != nil || len(other) != 0 {
		t.Errorf("tenant b sees %d, %v", len(other), err)
	}
}

func TestLinksLendFromAnchorsOnly(t *testing.T) {
	linked := func(kind alert.LinkKind, value string) func(*alert.Message) {
		return func(m *alert.Message) { m.Alert.Links = []alert.Link{{Kind: kind, Value: value, Ref: "/l"}} }
	}
	b := open(t)
	out := b.process(
		message("1", "anchor", "5 k", linked(alert.LinkProcess, "guid")),
		message("2", "child", "1 weak", linked(alert.LinkProcess, "guid")),
		message("3", "weak", "2.9 w", linked(alert.LinkSession, "s")),
		message("4", "besideweak", "1 weak", linked(alert.LinkSession, "s")),
		message("5", "explained", "1 weak,-3.5 fine", linked(alert.LinkProcess, "guid")),
	)
	lent := func(i int) (bits float64) {
		for _, e := range b.get(out[i].Investigation).Evidence {
			if strings.HasPrefix(e.Kind, "link.") {
				bits += e.Counted
			}
		}
		return bits
	}
	for i, want := range []float64{0, 3, 0, 0, 0.75} {
		if got := lent(i); got != want {
			t.Errorf("alert %d: links lend %v, want %v", i+1, got, want)
		}
	}
	if v := b.get(out[1].Investigation).Verdict; !strings.Contains(v.Counterfactual, "investigation_required") {
		t.Errorf("counterfactual %q", v.Counterfactual)
	}
}

func TestACommonKeyLendsNothing(t *testing.T) {
	ctx := context.Background()
	b := open(t)
	link := func(m *alert.Message) { m.Alert.Links = []alert.Link{{Kind: alert.LinkSource, Value: "203.0.113.1"}} }
	first := b.process(message("anchor", "anchor", "5 k", link), message("child", "child", "1 w", link))
	if n := len(b.get(first[1].Investigation).Evidence); n != 2 {
		t.Fatalf("%d items before", n)
	}
	for i := range investigate.MaxNeighbours {
		b.process(message(fmt.Sprint(i), fmt.Sprint(i), "1 w", link))
	}
	for looked := 1; looked > 0; {
		var err error
		if looked, _, err = b.Revise(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range first {
		for _, e := range b.get(o.Investigation).Evidence {
			if strings.HasPrefix(e.Kind, "link.") {
				t.Errorf("a key shared by more than %d investigations still lends: %s", investigate.MaxNeighbours, e.Statement)
			}
		}
	}
}

// counting is a source whose every alert is an occurrence of one counted rule, keyed by the
// alert's title and valued by its id.
type counting struct{ distinct bool }

func (counting) Name() string { return "counting" }
func (c counting) Gather(_ context.Context, subjects []evidence.Subject) ([]evidence.Finding, error) {
	out := make([]evidence.Finding, len(subjects))
	for i, s := range subjects {
		out[i].Tallies = []evidence.Tally{{
			Item: evidence.Evidence{ID: "rule:burst", Kind: "burst", Stance: evidence.For, Weight: 3, Statement: "refused", Refs: []string{"/x"}},
			Key:  s.Alert.Product, Value: s.Alert.Description, WindowSeconds: 600, AtLeast: 4, Distinct: c.distinct,
		}}
	}
	return out, nil
}

func TestRepetitionIsEvidence(t *testing.T) {
	ctx := context.Background()
	at := func(minute int, key, value string) func(*alert.Message) {
		return func(m *alert.Message) {
			m.Alert.Timestamp = start.Add(time.Duration(minute) * time.Minute)
			m.Alert.Product, m.Alert.Description = key, value
		}
	}
	tests := []struct {
		name     string
		distinct bool
		msgs     []func(*alert.Message)
		reached  []bool
	}{
		{"three are not four", false, []func(*alert.Message){at(0, "k", "a"), at(1, "k", "b"), at(2, "k", "c")}, []bool{false, false, false}},
		{"four within the window", false, []func(*alert.Message){at(0, "k", ""), at(3, "k", ""), at(6, "k", ""), at(10, "k", "")}, []bool{true, true, true, true}},
		{"four, spread too far", false, []func(*alert.Message){at(0, "k", ""), at(4, "k", ""), at(8, "k", ""), at(11, "k", "")}, []bool{false, false, false, false}},
		{"other key", false, []func(*alert.Message){at(0, "k", ""), at(1, "k", ""), at(2, "k", ""), at(3, "z", "")}, []bool{false, false, false, false}},
		{"the one outside stays out", false, []func(*alert.Message){at(0, "k", ""), at(1, "k", ""), at(2, "k", ""), at(3, "k", ""), at(40, "k", "")}, []bool{true, true, true, true, false}},
		{"repeats are not distinct", true, []func(*alert.Message){at(0, "k", "a"), at(1, "k", "b"), at(2, "k", "a"), at(3, "k", "c")}, []bool{false, false, false, false}},
		{"four distinct", true, []func(*alert.Message){at(0, "k", "a"), at(1, "k", "b"), at(2, "k", "c"), at(3, "k", "d")}, []bool{true, true, true, true}},
	}
	for _, tt := range tests {
		for _, batches := range []string{"one batch", "a batch each", "backwards"} {
			t.Run(tt.name+", "+batches, func(t *testing.T) {
				b := open(t, counting{tt.distinct})
				var msgs []*alert.Message
				for i, change := range tt.msgs {
					msgs = append(msgs, message(fmt.Sprint(i), fmt.Sprint(i), "", change))
				}
				ids := make([]string, len(msgs))
				for i, m := range msgs {
					ids[i] = investigate.ID("a", m.Fingerprint, investigate.WindowStart(m.Alert.Timestamp, time.Hour))
				}
				switch batches {
				case "one batch":
					b.process(msgs...)
				case "backwards":
					slices.Reverse(msgs)
					fallthrough
				default:
					for _, m := range msgs {
						b.process(m)
					}
				}
				for looked := 1; looked > 0; {
					var err error
					if looked, _, err = b.Revise(ctx); err != nil {
						t.Fatal(err)
					}
				}
				for i, want := range tt.reached {
					if got := len(b.get(ids[i]).Evidence) > 0; got != want {
						t.Errorf("alert %d: evidence %v, want %v", i, got, want)
					}
				}
			})
		}
	}
}
