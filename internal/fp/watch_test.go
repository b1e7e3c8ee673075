package fp

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/cache"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// line is a cache that can be away, or lie.
type line struct {
	away  atomic.Bool
	value atomic.Pointer[[]byte]
}

func (l *line) Get(context.Context, cache.Space, string) ([]byte, error) {
	if l.away.Load() {
		return nil, cache.ErrUnavailable
	}
	if v := l.value.Load(); v != nil {
		return *v, nil
	}
	return nil, cache.ErrMiss
}

func (l *line) Set(_ context.Context, _ cache.Space, entries ...cache.Entry) error {
	if l.away.Load() {
		return cache.ErrUnavailable
	}
	l.value.Store(&entries[0].Value)
	return nil
}

// broken is a database that can be away.
type broken struct {
	store.DB
	away  atomic.Bool
	views atomic.Int64
}

func (b *broken) View(ctx context.Context, fn func(store.Tx) error) error {
	b.views.Add(1)
	if b.away.Load() {
		return store.ErrUnavailable
	}
	return b.DB.View(ctx, fn)
}

// watching is another process: a gate of its own that watches the database of a fixture.
type watching struct {
	hot  *line
	db   *broken
	gate *Gate
	errs atomic.Int64
}

func (w *watching) allows() bool {
	ok, _ := w.gate.Switches.Allowed(clock.System{}.Now(), "acme", "", "wazuh", nil)
	return ok
}

// watch runs test beside a Watch in a bubble of its own time.
func watch(t *testing.T, test func(t *testing.T, f *fixture, w *watching)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		w := &watching{hot: &line{}, db: &broken{DB: f.db}, gate: &Gate{Patterns: &Matcher{}, Switches: &Switches{}}}
		here, err := NewStore(Config{DB: f.db, Outbox: store.NewOutbox(clock.System{}, 0), Audit: f.trail, Clock: clock.System{}, Hot: w.hot})
		if err != nil {
			t.Fatal(err)
		}
		f.Store = here
		there, err := NewStore(Config{DB: w.db, Outbox: store.NewOutbox(clock.System{}, 0), Audit: f.trail, Clock: clock.System{}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- (&Watch{Store: there, Gate: w.gate, Clock: clock.System{}, Hot: w.hot, OnError: func(error) { w.errs.Add(1) }}).Run(ctx)
		}()
		time.Sleep(time.Second) // of the bubble
		test(t, f, w)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := f.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func kill(t *testing.T, f *fixture) {
	t.Helper()
	if _, err := f.KillOn(t.Context(), DimensionTenant, "acme", Act{Actor: "ana", Reason: "too wide"}); err != nil {
		t.Fatal(err)
	}
}

func TestWatchHearsOfAChange(t *testing.T) {
	watch(t, func(t *testing.T, f *fixture, w *watching) {
		if !w.allows() {
			t.Fatal("nothing is allowed")
		}
		kill(t, f)
		time.Sleep(300 * time.Millisecond) // of the bubble
		if w.allows() {
			t.Error("a kill switch is not seen within 300 ms")
		}
		if err := f.KillOff(t.Context(), DimensionTenant, "acme", Act{Actor: "ana", Reason: "narrowed"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		if !w.allows() {
			t.Error("a switch that was turned off is not seen")
		}
	})
}

func TestWatchWithoutCache(t *testing.T) {
	watch(t, func(t *testing.T, f *fixture, w *watching) {
		w.hot.away.Store(true)
		kill(t, f)
		time.Sleep(5500 * time.Millisecond)
		if w.allows() {
			t.Error("without the cache a kill switch is not seen within the period of reading")
		}
	})
}

// TestWatchAllowsNothingByCache takes the database away and lets the cache say what it likes.
func TestWatchAllowsNothingByCache(t *testing.T) {
	watch(t, func(t *testing.T, f *fixture, w *watching) {
		kill(t, f)
		time.Sleep(300 * time.Millisecond)
		w.db.away.Store(true)
		for i := range 10 {
			lie := []byte{byte('0' + i)}
			w.hot.value.Store(&lie)
			time.Sleep(time.Second)
			if w.allows() {
				t.Fatal("allowed by a cache")
			}
		}
		if w.errs.Load() == 0 {
			t.Error("nobody was told that the database is away")
		}
	})
	watch(t, func(t *testing.T, _ *fixture, w *watching) {
		w.db.away.Store(true)
		time.Sleep(MaxSwitchAge + 10*time.Second)
		if w.allows() {
			t.Error("allowed although the switches cannot be read")
		}
		w.db.away.Store(false)
		time.Sleep(6 * time.Second)
		if !w.allows() {
			t.Error("not allowed again when the database is back")
		}
	})
}

// TestWatchReadsLittle counts the queries of a quiet minute.
func TestWatchReadsLittle(t *testing.T) {
	watch(t, func(t *testing.T, _ *fixture, w *watching) {
		before := w.db.views.Load()
		time.Sleep(time.Minute)
		if n := w.db.views.Load() - before; n < 11 || n > 13 {
			t.Errorf("%d readings in a minute", n)
		}
	})
}
