package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/orchestrate"
	"github.com/aluskort/aluskort/internal/respond"
)

// hasty is a clock whose timers fire at once: a back-off costs no time.
type hasty struct{ clock.System }

func (hasty) NewTimer(time.Duration) *time.Timer { return time.NewTimer(0) }

// flaky is a database that is down for some transactions.
type flaky struct {
	store.DB
	mu   sync.Mutex
	down int
}

func (f *flaky) Update(ctx context.Context, fn func(store.Tx) error) error {
	f.mu.Lock()
	down := f.down > 0
	f.down--
	f.mu.Unlock()
	if down {
		return fmt.Errorf("%w: disk full", store.ErrUnavailable)
	}
	return f.DB.Update(ctx, fn)
}

// weights is an evidence source that weighs an alert by its title.
type weights map[string]float64

func (weights) Name() string { return "weights" }
func (w weights) Gather(_ context.Context, subjects []evidence.Subject) ([]evidence.Finding, error) {
	out := make([]evidence.Finding, len(subjects))
	for i, s := range subjects {
		if bits, ok := w[s.Alert.Title]; ok {
			out[i].Items = []evidence.Evidence{{ID: "w", Kind: "w", Weight: bits, Stance: evidence.For, Statement: "w", Refs: []string{"/x"}}}
		}
	}
	return out, nil
}

type noTaxonomy struct{}

func (noTaxonomy) Resolve([]string) ([]investigate.Technique, []string) { return nil, nil }

type noAudit struct{}

func (noAudit) Emit(store.Tx, string, []audit.Event) ([]store.Message, error) { return nil, nil }

// path is an orchestrator with engines of its own.
type path struct {
	*Orchestrator
	db *flaky
	// done receives what became of every message, the dead letters as a number.
	done chan int
}

func openPath(t *testing.T, w weights) *path {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	db, err := dbtest.Open(t, dbtest.Config{Migrations: schema.FS, SQLiteDir: schema.SQLiteDir, PostgresDir: schema.PostgresDir, Clock: clock.System{}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := bus.Open(ctx, bus.Config{Dir: filepath.Join(dir, "bus"), Clock: clock.System{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(b.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	planner, err := respond.NewPlanner()
	if err != nil {
		t.Fatal(err)
	}
	p := &path{db: &flaky{DB: db}, done: make(chan int, 100)}
	fields := func(_ string, raw []byte) (alert.Fields, error) {
		if string(raw) == `"panic"` {
			panic("a bug")
		}
		return alert.Fields{}, nil
	}
	engine, err := orchestrate.New(orchestrate.Config{
		DB: p.db, Outbox: store.NewOutbox(clock.System{}, 0), Audit: noAudit{}, Taxonomy: noTaxonomy{}, Planner: planner,
		Sources: []evidence.Source{w}, Fields: fields,
		OnCommit: func(out []orchestrate.Outcome) { p.done <- len(out) },
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Orchestrator = &Orchestrator{
		Stage: Stage{Bus: b, Clock: hasty{}, Log: slog.New(slog.DiscardHandler)}, Engine: engine, Fields: fields,
		OnDead: func(n int) { p.done <- n },
	}
	return p
}

// run works until n messages came to an end, one way or the other.
func (p *path) run(t *testing.T, n int) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for n > 0 {
		select {
		case k := <-p.done:
			n -= k
		case err := <-ended:
			t.Fatalf("ended with %d messages to go: %v", n, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// normalised is a record as the entity-parser makes it.
func normalised(t *testing.T, id, title string) bus.Record {
	t.Helper()
	at := time.Date(2026, 4, 5, 6, 7, 8, 0, time.UTC)
	b, err := alert.AppendFrame(nil, &alert.Message{
		Alert:       alert.Alert{ID: id, Source: "test", TenantID: "a", Title: title, Timestamp: at, IngestedAt: at, Severity: alert.Medium, RawPayload: []byte(`{}`)},
		Fingerprint: "fp1:" + title,
	})
	if err != nil {
		t.Fatal(err)
	}
	return bus.Record{Topic: bus.AlertsNormalized, Key: []byte(id), Value: b}
}

// B4: what cannot be stored goes to the dead letters with its bytes and a reason while the engine
// is retried for as long as it takes; nobody else is held up and no engine makes a dead letter.
func TestB4PoisonGoesToTheDeadLettersAndEnginesAreRetried(t *testing.T) {
	ctx := context.Background()
	p := openPath(t, weights{"good": 5, "poison": math.NaN()})
	p.db.down = 40
	var recs []bus.Record
	for i := range 30 {
		recs = append(recs, normalised(t, fmt.Sprint("good ", i), "good"))
	}
	recs = append(recs, normalised(t, "poison", "poison"), bus.Record{Topic: bus.AlertsNormalized, Value: []byte("no frame")}, normalised(t, "last", "good"))
	if err := p.Bus.Produce(ctx, recs); err != nil {
		t.Fatal(err)
	}
	p.run(t, len(recs))

	letters, _, _, err := p.Bus.ListDead(ctx, bus.AlertsNormalized, bus.Position{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, l := range letters {
		found[string(l.Original.Value)] = l.Reason
		if l.Err == "" || l.Stage != "orchestrator" || strings.Contains(l.Err, "disk full") {
			t.Errorf("letter %q from %q: %s", l.Reason, l.Stage, l.Err)
		}
	}
	if len(letters) != 2 || found[string(recs[30].Value)] != "payload" || found["no frame"] != "frame" {
		t.Errorf("letters %v", found)
	}
	loc, err := p.Engine.Locate(ctx, "a", "test", "last")
	if err != nil {
		t.Fatal(err)
	}
	inv, err := p.Engine.Get(ctx, "a", loc.Investigation)
	if err != nil || inv.Alerts != 31 || inv.Verdict.Classification != evidence.TruePositive {
		t.Errorf("%v: %+v", err, inv)
	}
	if !p.Ready() {
		t.Error("not ready although everything was worked off")
	}
}

// B4: an adapter that fails inside on one record makes a dead letter of that record.
func TestB4ACodeFaultInTheParserIsADeadLetter(t *testing.T) {
	p := &Parser{
		Stage: Stage{Clock: clock.System{}, Log: slog.New(slog.DiscardHandler)}, Entities: swelling(1),
		Fields: func(_ string, raw []byte) (alert.Fields, error) {
			if len(raw) > 2 {
				panic("a bug")
			}
			return nil, nil
		},
	}
	bad := frame(t, "bad")
	b, err := alert.AppendFrame(nil, &alert.Message{Alert: alert.Alert{ID: "bad", Source: "test", TenantID: "a", RawPayload: []byte(`{"a":1}`)}})
	if err != nil {
		t.Fatal(err)
	}
	bad.Value = b
	work, err := p.parse(context.Background(), regular, bus.Batch{Records: []bus.Record{frame(t, "1"), bad, frame(t, "2")}})
	if err != nil || len(work.out) != 2 || len(work.letters) != 1 || work.letters[0].Reason != "panic" || string(work.letters[0].Original.Value) != string(b) {
		t.Errorf("%v: %d records, letters %+v", err, len(work.out), work.letters)
	}
}
