package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/bench"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/blob/dir"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/llm/simulated"
	"github.com/aluskort/aluskort/internal/ops"
)

// elsewhere is a store that outlives the process and can be away.
type elsewhere struct {
	blob.Engine
	away *atomic.Bool
}

func (e elsewhere) PutMany(ctx context.Context, tenant string, objects [][]byte) ([]string, error) {
	if e.away.Load() {
		return nil, fmt.Errorf("%w: for this test", blob.ErrUnavailable)
	}
	return e.Engine.PutMany(ctx, tenant, objects)
}

func (e elsewhere) Get(ctx context.Context, tenant, ref string) ([]byte, error) {
	if e.away.Load() {
		return nil, fmt.Errorf("%w: for this test", blob.ErrUnavailable)
	}
	return e.Engine.Get(ctx, tenant, ref)
}

// apart opens a folder as a store that can be away.
func apart(root string, away *atomic.Bool) func(context.Context) (blob.Engine, error) {
	return func(context.Context) (blob.Engine, error) {
		if away.Load() {
			return nil, fmt.Errorf("%w: for this test", blob.ErrUnavailable)
		}
		d, err := dir.Open(dir.Config{Root: root})
		if err != nil {
			return nil, err
		}
		return elsewhere{d, away}, nil
	}
}

// large is an alert whose native bytes do not travel along.
func large(t *testing.T, n *Node, g *bench.Generator) alert.Alert {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(g.Next(), &m); err != nil {
		t.Fatal(err)
	}
	m["full_log"] = strings.Repeat("a long log line ", 20<<10)
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	a, err := n.Registry.Normalise(ingest.Record{Raw: raw}, "wazuh", "default", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// keptRefs are the references of prompts and answers in the audit trail.
func keptRefs(ctx context.Context, t *testing.T, n *Node) (refs []string) {
	t.Helper()
	err := n.Audit.Records(ctx, "default", 1, -1, func(r audit.Record) error {
		var v struct {
			Context struct {
				Refs []string `json:"evidence_refs"`
			} `json:"context"`
		}
		err := json.Unmarshal(r.Bytes, &v)
		refs = append(refs, v.Context.Refs...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return refs
}

// While the object store is away, also over a restart, large alerts are taken and get their
// verdicts, models are asked, and every object can be read. When it is back it has all of them.
func TestObjectStoreAway(t *testing.T) {
	models := simulated.NewServer(simulated.Config{})
	defer models.Close()
	root, state := t.TempDir(), filepath.Join(t.TempDir(), "state")
	var away atomic.Bool
	o := asking(models)
	o.Dir, o.objects = state, apart(root, &away)
	g := bench.NewGenerator(7, time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC))
	var refs []string
	run := func(fn func(ctx context.Context, n *Node)) {
		t.Helper()
		n, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		fn(ctx, n)
		stop()
		if err := errors.Join(<-done, n.Close()); err != nil {
			t.Fatal(err)
		}
	}
	settle := func(ctx context.Context, n *Node) {
		t.Helper()
		a := large(t, n, g)
		ref := blob.Ref(a.RawPayload)
		if err := errors.Join(n.Offer(ctx, []alert.Alert{a}), n.Settled(ctx)); err != nil {
			t.Fatal(err)
		}
		verdictOf(ctx, t, n, &a)
		refs = append(keptRefs(ctx, t, n), ref)
		for _, ref := range refs {
			if _, err := n.blobs.Get(ctx, "default", ref); err != nil {
				t.Errorf("while away: %v", err)
			}
		}
	}
	run(func(ctx context.Context, n *Node) {
		away.Store(true)
		settle(ctx, n)
	})
	var first []string
	run(func(ctx context.Context, n *Node) {
		first = refs
		settle(ctx, n)
		refs = append(refs, first...)
		if n.DeadLetters() > 0 {
			t.Errorf("%d alerts died", n.DeadLetters())
		}
		d, err := QueuedObjects(ctx, n.State)
		if err != nil || d.Objects < 2 || d.Since.IsZero() {
			t.Errorf("waiting: %+v, %v", d, err)
		}
		wantMetric(t, n, "aluskort_objects_store_away 1", fmt.Sprintf("aluskort_objects_queued %d", d.Objects), fmt.Sprintf("aluskort_objects_queued_bytes %d", d.Bytes))
	})
	if len(refs) < 6 {
		t.Fatalf("%d objects: no model was asked", len(refs))
	}
	away.Store(false)
	run(func(ctx context.Context, n *Node) {
		if err := n.queued.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		wantMetric(t, n, "aluskort_objects_store_away 0", "aluskort_objects_queued 0", "aluskort_objects_queue_oldest_seconds 0")
	})
	d, err := dir.Open(dir.Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	for _, ref := range refs {
		if _, err := d.Get(t.Context(), "default", ref); err != nil {
			t.Errorf("in the store: %v", err)
		}
	}
}

func wantMetric(t *testing.T, n *Node, lines ...string) {
	t.Helper()
	var b strings.Builder
	r := ops.NewRegistry()
	n.Observe(t.Context(), r)
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if !strings.Contains(b.String(), "\n"+line+"\n") {
			t.Errorf("metrics have no line %q", line)
		}
	}
}

// At the bound the intake refuses what would not fit, so that the sender keeps it, and takes the rest.
func TestObjectQueueFull(t *testing.T) {
	var away atomic.Bool
	o := Options{Config: config.Default(), objects: apart(t.TempDir(), &away)}
	o.Config.Objects.QueueMB = 1
	runNode(t, o, func(ctx context.Context, n *Node) error {
		away.Store(true)
		g := bench.NewGenerator(7, time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC))
		taken := 0
		for ; taken < 10; taken++ {
			if err := n.Offer(ctx, []alert.Alert{large(t, n, g)}); err != nil {
				if !errors.Is(err, blob.ErrUnavailable) {
					t.Errorf("refused with %v", err)
				}
				break
			}
		}
		if taken != 3 {
			t.Errorf("%d large alerts were taken, 3 fit", taken)
		}
		small, err := n.Registry.Normalise(ingest.Record{Raw: g.Next()}, "wazuh", "default", time.Now())
		return errors.Join(err, n.Offer(ctx, []alert.Alert{small}), n.Settled(ctx))
	})
}
