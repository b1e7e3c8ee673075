package pipeline

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
	"github.com/aluskort/aluskort/internal/engine/faultproxy"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/engine/store/sqlite"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/id"
	"github.com/aluskort/aluskort/internal/orchestrate"
	"github.com/aluskort/aluskort/internal/respond"
)

// gated is a database whose transactions wait while the gate is shut, as those of a process that
// stands still.
type gated struct {
	store.DB
	mu   sync.Mutex
	shut chan struct{}
}

func (g *gated) Update(ctx context.Context, fn func(store.Tx) error) error {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		<-shut
	}
	return g.DB.Update(ctx, fn)
}

func (g *gated) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

func (g *gated) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut = nil
}

// tally counts what the orchestrators of a group committed of one run of a test.
type tally struct {
	mu      sync.Mutex
	run     string
	by      map[string]int
	judged  map[string]int // batches that were evaluated
	again   int            // outcomes of alerts that were known
	changed chan struct{}
}

// witness is a source of evidence that tells when its member evaluates a batch.
type witness struct {
	weights
	count *tally
	who   string
}

func (w witness) Gather(ctx context.Context, subjects []evidence.Subject) ([]evidence.Finding, error) {
	w.count.mu.Lock()
	w.count.judged[w.who]++
	close(w.count.changed)
	w.count.changed = make(chan struct{})
	w.count.mu.Unlock()
	return w.weights.Gather(ctx, subjects)
}

func (c *tally) add(who string, out []orchestrate.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range out {
		if strings.HasPrefix(out[i].Message.Alert.ID, c.run) {
			c.by[who]++
			if out[i].Redelivered {
				c.again++
			}
		}
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *tally) total() (n int) {
	for _, k := range c.by {
		n += k
	}
	return n
}

func (c *tally) until(ctx context.Context, t *testing.T, what string, cond func() bool) {
	t.Helper()
	for {
		c.mu.Lock()
		met, changed := cond(), c.changed
		c.mu.Unlock()
		if met {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			c.mu.Lock()
			defer c.mu.Unlock()
			t.Fatalf("waited for %s; committed %v", what, c.by)
		}
	}
}

// lines is a log that a test reads.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.b.Bytes(), []byte(text))
}

// B10: of two orchestrators on one database one stands still in the middle of its work until the
// other owns its partitions, and wakes up: every alert is counted once, none is lost, and both go
// on.
func TestB10TwoOrchestratorsShareADatabase(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	shareADatabase(t, cluster.ListenAddrs()[0])
}

// The same with a real broker.
func TestB10KafkaTwoOrchestratorsShareADatabase(t *testing.T) {
	shareADatabase(t, enginetest.Address(t, "kafka"))
}

func shareADatabase(t *testing.T, broker string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db"), Migrations: schema.FS, MigrationsDir: schema.SQLiteDir, Clock: clock.System{}, IDs: id.NewSource(nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	planner, err := respond.NewPlanner()
	if err != nil {
		t.Fatal(err)
	}
	count := &tally{run: "run " + rand.Text() + " ", by: map[string]int{}, judged: map[string]int{}, changed: make(chan struct{})}
	log := new(lines)
	fields := func(string, []byte) (alert.Fields, error) { return alert.Fields{}, nil }

	var running sync.WaitGroup
	defer running.Wait()
	work, stop := context.WithCancel(ctx)
	defer stop()
	join := func(name string) (*gated, *faultproxy.Proxy, *orchestrate.Engine, *bus.Bus) {
		t.Helper()
		p, err := faultproxy.Start(broker, clock.System{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := bus.Open(ctx, bus.Config{Brokers: []string{broker}, Dial: p.Dial, Clock: clock.System{}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Apply(ctx); err != nil {
			t.Fatal(err)
		}
		g := &gated{DB: db}
		engine, err := orchestrate.New(orchestrate.Config{
			DB: g, Outbox: store.NewOutbox(clock.System{}, 0), Audit: noAudit{}, Taxonomy: noTaxonomy{}, Planner: planner,
			Sources: []evidence.Source{witness{weights{}, count, name}}, Fields: fields,
			OnCommit: func(out []orchestrate.Outcome) { count.add(name, out) },
		})
		if err != nil {
			t.Fatal(err)
		}
		o := &Orchestrator{Stage: Stage{Bus: b, Clock: hasty{}, Log: slog.New(slog.NewTextHandler(log, nil)).With("member", name)}, Engine: engine, Fields: fields}
		running.Go(func() {
			if err := errors.Join(o.Run(work), b.Close(), p.Close()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		return g, p, engine, b
	}

	_, _, engine, b := join("one")
	sent := 0
	send := func(n int) {
		t.Helper()
		recs := make([]bus.Record, n)
		for i := range recs {
			title := fmt.Sprint(count.run, "title ", sent%40)
			recs[i] = normalised(t, fmt.Sprint(count.run, sent), title)
			recs[i].Key = []byte(title)
			sent++
		}
		if err := b.Produce(ctx, recs); err != nil {
			t.Fatal(err)
		}
	}
	send(400)
	count.until(ctx, t, "the first wave", func() bool { return count.total() == sent })

	gate, link, _, _ := join("two")
	for both := false; !both; {
		send(200)
		count.until(ctx, t, "a wave", func() bool { both = count.by["two"] > 0; return count.total() == sent })
	}
	gate.close()
	count.mu.Lock()
	before, judged := count.by["two"], count.judged["two"]
	count.mu.Unlock()
	send(2000)
	count.until(ctx, t, "the work of one beside the frozen two", func() bool { return count.by["one"] > before && count.judged["two"] > judged })
	link.Stall()
	count.until(ctx, t, "one to do what two stands still over", func() bool { return count.total() == sent })
	gate.open()
	if err := link.Pass(); err != nil {
		t.Fatal(err)
	}
	for again := false; !again; {
		send(200)
		count.until(ctx, t, "the last waves", func() bool { again = count.by["two"] > before; return count.total() >= sent })
	}
	if count.total() != sent || count.again > 0 {
		t.Errorf("%d alerts were sent and %d counted, %d of them again", sent, count.total(), count.again)
	}
	if !log.has("another member of the group was faster") {
		t.Error("the frozen member was never turned away; the test shows nothing")
	}
	alerts := 0
	for i := range 40 {
		loc, err := engine.Locate(ctx, "a", "test", fmt.Sprint(count.run, i))
		if err != nil {
			t.Fatal(err)
		}
		inv, err := engine.Get(ctx, "a", loc.Investigation)
		if err != nil {
			t.Fatal(err)
		}
		if inv.Redelivered != 0 {
			t.Errorf("%d redelivered", inv.Redelivered)
		}
		alerts += inv.Alerts
	}
	if alerts != sent {
		t.Errorf("the investigations hold %d alerts, %d were sent", alerts, sent)
	}
}
