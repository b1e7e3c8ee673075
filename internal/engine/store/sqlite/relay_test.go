package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/storetest"
)

type publisherFunc func(msgs []store.Outgoing) error

func (f publisherFunc) Publish(_ context.Context, msgs []store.Outgoing) error { return f(msgs) }

// runRelay runs a relay with default pauses in a bubble of its own time.
func runRelay(t *testing.T, pub store.Publisher, opts store.RelayOptions, body func(db *DB, relay *store.Relay)) {
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(context.Background(), config(filepath.Join(t.TempDir(), "state.db"), storetest.Migrations(store.SQLite)))
		if err != nil {
			t.Fatal(err)
		}
		relay := store.NewRelay(db, pub, clock.System{}, opts)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- relay.Run(ctx) }()
		synctest.Wait()
		body(db, relay)
		cancel()
		if err := errors.Join(<-ended, db.Close()); err != nil {
			t.Error(err)
		}
	})
}

func appendOne(t *testing.T, db *DB, relay *store.Relay) {
	t.Helper()
	err := db.Update(context.Background(), func(tx store.Tx) error {
		return relay.Outbox().Append(tx, store.Message{Topic: "audit.events", Payload: []byte("x")})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRelayBacksOff(t *testing.T) {
	for name, tt := range map[string]struct {
		jitter float64
		want   []time.Duration
	}{
		"least": {0, []time.Duration{25, 50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000}},
		"half":  {0.5, []time.Duration{37, 75, 150, 300, 600, 1200, 2400, 4800, 7500, 7500, 7500}},
	} {
		t.Run(name, func(t *testing.T) {
			var attempts []time.Time
			done := false
			pub := publisherFunc(func([]store.Outgoing) error {
				attempts = append(attempts, time.Now())
				if len(attempts) <= len(tt.want) {
					return errors.New("bus is down")
				}
				done = true
				return nil
			})
			opts := store.RelayOptions{Jitter: func() float64 { return tt.jitter }}
			runRelay(t, pub, opts, func(db *DB, relay *store.Relay) {
				appendOne(t, db, relay)
				time.Sleep(time.Hour)
			})
			if !done {
				t.Fatal("never published")
			}
			var pauses []time.Duration
			for i, at := range attempts[1:] {
				pauses = append(pauses, at.Sub(attempts[i]).Truncate(time.Millisecond)/time.Millisecond)
			}
			if !slices.Equal(pauses, tt.want) {
				t.Errorf("pauses of %v ms, want %v", pauses, tt.want)
			}
		})
	}
}

func TestRelayEmptiesTheTableAfterASecondOfRest(t *testing.T) {
	rows := func(db *DB) (n int) {
		err := db.View(context.Background(), func(tx store.Tx) error {
			return tx.QueryRow(`SELECT COUNT(*) FROM outbox`).Scan(&n)
		})
		if err != nil {
			t.Error(err)
		}
		return n
	}
	pub := publisherFunc(func([]store.Outgoing) error { return nil })
	runRelay(t, pub, store.RelayOptions{}, func(db *DB, relay *store.Relay) {
		appendOne(t, db, relay)
		synctest.Wait()
		time.Sleep(900 * time.Millisecond)
		synctest.Wait()
		if n := rows(db); n != 1 {
			t.Errorf("%d rows after 0.9 s, want 1", n)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if n := rows(db); n != 0 {
			t.Errorf("%d rows after 1.1 s, want 0", n)
		}
	})
}

func TestRelayHandsOverWhatQueuedInOneCall(t *testing.T) {
	var batches []int
	var held chan struct{} // made inside the bubble, whose clock it would stop otherwise
	pub := publisherFunc(func(msgs []store.Outgoing) error {
		batches = append(batches, len(msgs))
		if len(batches) == 1 {
			<-held
		}
		return nil
	})
	runRelay(t, pub, store.RelayOptions{}, func(db *DB, relay *store.Relay) {
		held = make(chan struct{})
		appendOne(t, db, relay)
		synctest.Wait()
		for range 5 {
			appendOne(t, db, relay)
		}
		close(held)
		synctest.Wait()
		if !slices.Equal(batches, []int{1, 5}) {
			t.Errorf("published in batches of %v, want 1 and 5", batches)
		}
	})
}
