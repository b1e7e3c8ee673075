package s3

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/blob/queue"
	"github.com/aluskort/aluskort/internal/engine/faultproxy"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
)

// broken is a new bucket, reached through a proxy that breaks.
func broken(t *testing.T) (Config, *faultproxy.Proxy) {
	t.Helper()
	cfg := real(t).bucket(t, true)
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p, err := faultproxy.Start(u.Host, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	cfg.Endpoint, cfg.Timeout, cfg.Attempts = "http://"+p.Addr(), 300*time.Millisecond, 1
	return cfg, p
}

func queued(t *testing.T, cfg Config, db store.DB) *queue.Queue {
	t.Helper()
	q, err := queue.Open(t.Context(), queue.Config{DB: db, Open: func(ctx context.Context) (blob.Engine, error) { return Open(ctx, cfg) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func mustPut(t *testing.T, q *queue.Queue, text string) string {
	t.Helper()
	ref, err := q.Put(t.Context(), "acme", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func wantTexts(t *testing.T, s blob.Store, refs, texts []string) {
	t.Helper()
	for i, ref := range refs {
		if b, err := s.Get(t.Context(), "acme", ref); err != nil || string(b) != texts[i] {
			t.Errorf("%s: %q, %v, want %q", ref, b, err, texts[i])
		}
	}
}

// TestQueueBeforeTheServer takes a real server away in every way, restarts the process, and brings it back.
func TestQueueBeforeTheServer(t *testing.T) {
	for _, fault := range []struct {
		name string
		set  func(p *faultproxy.Proxy) error
	}{
		{"refuses", (*faultproxy.Proxy).Refuse},
		{"half open", func(p *faultproxy.Proxy) error { p.Stall(); return nil }},
		{"answers late", func(p *faultproxy.Proxy) error { p.Delay(time.Minute); return nil }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			cfg, p := broken(t)
			db := dbtest.MustOpen(t, dbtest.Config{Migrations: schema.FS, SQLiteDir: schema.SQLiteDir, PostgresDir: schema.PostgresDir})
			q := queued(t, cfg, db)
			texts := []string{"before", "during", "after a restart"}
			refs := []string{mustPut(t, q, texts[0])}
			if err := fault.set(p); err != nil {
				t.Fatal(err)
			}
			p.Cut()
			refs = append(refs, mustPut(t, q, texts[1]))
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			q = queued(t, cfg, db)
			refs = append(refs, mustPut(t, q, texts[2]))
			wantTexts(t, q, refs[1:], texts[1:])
			if err := q.Drain(t.Context()); !errors.Is(err, blob.ErrUnavailable) {
				t.Errorf("drained without a store: %v", err)
			}
			p.Delay(0)
			if err := p.Pass(); err != nil {
				t.Fatal(err)
			}
			p.Cut()
			if err := q.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if d, err := queue.Waiting(t.Context(), db); err != nil || d.Objects != 0 {
				t.Errorf("%+v still waits, %v", d, err)
			}
			wantTexts(t, open(t, cfg), refs, texts)
		})
	}
}
