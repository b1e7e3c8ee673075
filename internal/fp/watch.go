package fp

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/cache"
)

// Hot is what this package needs of a cache: a bell. Patterns and kill switches are read from the
// database alone. A cached pattern would let whoever writes to the cache close alerts, and a cached
// switch that is off would let the loss of a write allow what was stopped; so the cache carries a
// sign that something changed, and no answer. Without it a change is seen at the next reading.
type Hot interface {
	Get(ctx context.Context, s cache.Space, name string) ([]byte, error)
	Set(ctx context.Context, s cache.Space, entries ...cache.Entry) error
}

// bell is where the sign lies. It belongs to no tenant: switches may be of all.
var bell = cache.Space{Tenant: "*", Name: "fp"}

const (
	bellName = "changed"
	bellLife = time.Hour // longer than anybody goes without reading the database
)

// ring tells the other processes that patterns or switches changed. That it fails is no error of
// the change: they read the database every few seconds anyway.
func (s *Store) ring(ctx context.Context) {
	if s.cfg.Hot == nil {
		return
	}
	sign, err := s.cfg.IDs.New()
	if err == nil {
		_ = s.cfg.Hot.Set(ctx, bell, cache.Entry{Name: bellName, Value: []byte(sign), Life: bellLife})
	}
}

// Watch keeps a gate up to what is stored: it reads the database every few seconds, and at once
// when the cache says that something changed.
type Watch struct {
	Store *Store
	Gate  *Gate
	Clock clock.Clock // required
	// Hot may be nil.
	Hot Hot
	// Every is how often the database is read, 0 means 5 s; Peek how often the cache is, 0 means
	// 250 ms.
	Every, Peek time.Duration
	// OnError, if set, gets what went wrong. When the database cannot be read for MaxSwitchAge, the
	// gate allows nothing.
	OnError func(err error)

	sign []byte // seen last
}

// Run watches until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	every, peek := w.Every, w.Peek
	if every <= 0 {
		every = 5 * time.Second
	}
	if peek <= 0 {
		peek = 250 * time.Millisecond
	}
	if w.Hot == nil {
		peek = every
	}
	next := w.Clock.Now()
	for {
		// The sign is read before the database: what rings in between is heard again.
		if rung := w.rung(ctx); rung || !w.Clock.Now().Before(next) {
			next = w.Clock.Now().Add(every)
			if !w.refresh(ctx) {
				next = w.Clock.Now().Add(min(every, time.Second)) // the news is heard and not yet read
			}
		}
		t := w.Clock.NewTimer(peek)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

func (w *Watch) refresh(ctx context.Context) bool {
	err := w.Store.Refresh(ctx, w.Gate.Patterns, w.Gate.Switches)
	if err != nil && ctx.Err() == nil && w.OnError != nil {
		w.OnError(err)
	}
	return err == nil
}

// rung reports whether the sign is another than last time. A cache that fails says nothing.
func (w *Watch) rung(ctx context.Context) bool {
	if w.Hot == nil {
		return false
	}
	sign, err := w.Hot.Get(ctx, bell, bellName)
	if err != nil && !errors.Is(err, cache.ErrMiss) {
		return false
	}
	changed := !bytes.Equal(sign, w.sign)
	w.sign = bytes.Clone(sign)
	return changed
}
