package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// patience bounds the wait for something that must happen; it is never spent in a good run.
const patience = 20 * time.Second

var errBusDown = errors.New("bus is down")

// recorder is a Publisher that remembers what it acknowledged.
type recorder struct {
	mu     sync.Mutex
	acked  []store.Outgoing
	calls  int
	refuse func(call int, msgs []store.Outgoing) error // called with mu held; may be nil
	moved  chan struct{}
}

func newRecorder() *recorder { return &recorder{moved: make(chan struct{}, 1)} }

func (r *recorder) Publish(_ context.Context, msgs []store.Outgoing) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if r.refuse != nil {
		if err := r.refuse(r.calls, msgs); err != nil {
			return err
		}
	}
	r.acked = append(r.acked, slices.Clone(msgs)...)
	select {
	case r.moved <- struct{}{}:
	default:
	}
	return nil
}

// payloads returns what was acknowledged for key, in order; an empty key means all.
func (r *recorder) payloads(key string) (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.acked {
		if key == "" || string(m.Key) == key {
			out = append(out, string(m.Payload))
		}
	}
	return out
}

// await blocks until n messages are acknowledged.
func (r *recorder) await(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(patience)
	for {
		got := len(r.payloads(""))
		if got >= n {
			return
		}
		select {
		case <-r.moved:
		case <-deadline:
			t.Fatalf("%d messages published, want %d", got, n)
		}
	}
}

// relayOptions are short pauses, so that idle work happens within a test.
func relayOptions(o *store.Outbox) store.RelayOptions {
	return store.RelayOptions{Outbox: o, MinBackoff: time.Millisecond, MaxBackoff: 4 * time.Millisecond, Idle: time.Millisecond}
}

// start runs a relay until the test or the returned function ends it.
func start(t *testing.T, db store.DB, pub store.Publisher, opts store.RelayOptions) (relay *store.Relay, stop func()) {
	t.Helper()
	relay = store.NewRelay(db, pub, clock.System{}, opts)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("relay ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return relay, stop
}

func message(key, payload string) store.Message {
	return store.Message{Topic: "audit.events", Key: []byte(key), Tenant: "default", Payload: []byte(payload)}
}

func appendAll(t *testing.T, db store.DB, o *store.Outbox, msgs ...store.Message) {
	t.Helper()
	update(t, db, func(tx store.Tx) error { return o.Append(tx, msgs...) })
}

// awaitEmpty blocks until the table of the outbox is empty.
func awaitEmpty(t *testing.T, db store.DB) {
	t.Helper()
	for deadline := time.Now().Add(patience); number(t, db, countOutbox) > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("published rows stay in the table")
		}
	}
}

const countOutbox = `SELECT COUNT(*) FROM outbox`

func testOutbox(t *testing.T, open Open) {
	t.Run("published after commit, table empty at rest", func(t *testing.T) {
		db, pub, o := fresh(t, open), newRecorder(), store.NewOutbox(clock.System{}, 0)
		relay, _ := start(t, db, pub, relayOptions(o))
		want := store.Message{Topic: "audit.events", Key: []byte{0, 0xff}, Tenant: "acme", Payload: []byte{1, 0, 0xfe}}
		appendAll(t, db, o, want)
		pub.await(t, 1)
		got := pub.acked[0]
		if got.Topic != want.Topic || !bytes.Equal(got.Key, want.Key) || got.Tenant != want.Tenant || !bytes.Equal(got.Payload, want.Payload) || got.Seq < 1 {
			t.Errorf("published %+v, want %+v", got, want)
		}
		awaitEmpty(t, db)
		if rows, age := relay.Lag(); rows != 0 || age != 0 {
			t.Errorf("lag %d rows, %v at rest", rows, age)
		}
	})
	t.Run("nothing on rollback", func(t *testing.T) {
		db, pub, o := fresh(t, open), newRecorder(), store.NewOutbox(clock.System{}, 0)
		start(t, db, pub, relayOptions(o))
		err := db.Update(t.Context(), func(tx store.Tx) error {
			return errors.Join(o.Append(tx, message("k", "never")), errOwn)
		})
		if !errors.Is(err, errOwn) {
			t.Fatal(err)
		}
		appendAll(t, db, o, message("k", "after"))
		pub.await(t, 1)
		if got := pub.payloads(""); !slices.Equal(got, []string{"after"}) {
			t.Errorf("published %q", got)
		}
	})
	t.Run("order per key", func(t *testing.T) {
		db, pub, o := fresh(t, open), newRecorder(), store.NewOutbox(clock.System{}, 8)
		pub.refuse = func(call int, _ []store.Outgoing) error {
			if call%3 == 0 {
				return errBusDown
			}
			return nil
		}
		start(t, db, pub, relayOptions(o))
		const keys, each = 4, 40
		var wg sync.WaitGroup
		for k := range keys {
			wg.Go(func() {
				for i := range each {
					msg := message(fmt.Sprint("key", k), fmt.Sprintf("%02d", i))
					if err := db.Update(t.Context(), func(tx store.Tx) error { return o.Append(tx, msg) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		pub.await(t, keys*each)
		for k := range keys {
			got := pub.payloads(fmt.Sprint("key", k))
			if !slices.IsSorted(got) || len(slices.Compact(got)) != each {
				t.Errorf("key %d was published as %q", k, got)
			}
		}
		awaitEmpty(t, db)
	})
	t.Run("repeated until acknowledged", func(t *testing.T) {
		db, pub, o := fresh(t, open), newRecorder(), store.NewOutbox(clock.System{}, 0)
		pub.refuse = func(call int, _ []store.Outgoing) error {
			if call <= 5 {
				return errBusDown
			}
			return nil
		}
		var failures []int
		opts := relayOptions(o)
		opts.OnError = func(err error, attempt int) {
			if !errors.Is(err, errBusDown) {
				t.Errorf("reported %v", err)
			}
			failures = append(failures, attempt)
		}
		_, stop := start(t, db, pub, opts)
		appendAll(t, db, o, message("k", "1"), message("k", "2"))
		pub.await(t, 2)
		stop()
		if got := pub.payloads(""); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("published %q", got)
		}
		if !slices.Equal(failures, []int{1, 2, 3, 4, 5}) {
			t.Errorf("failures reported: %v", failures)
		}
	})
	t.Run("lag while the bus is down", func(t *testing.T) {
		db, pub := fresh(t, open), newRecorder()
		at := &manual{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
		o := store.NewOutbox(at, 2)
		refused := make(chan struct{}, 1)
		healed := false
		pub.refuse = func(int, []store.Outgoing) error {
			if healed {
				return nil
			}
			select {
			case refused <- struct{}{}:
			default:
			}
			return errBusDown
		}
		relay, _ := start(t, db, pub, relayOptions(o))
		for i := range 5 { // more than the hand-over queue holds
			appendAll(t, db, o, message("k", fmt.Sprint(i)))
		}
		<-refused
		at.advance(time.Minute)
		if rows, age := relay.Lag(); rows != 5 || age != time.Minute {
			t.Errorf("lag %d rows, %v; want 5 rows, 1m", rows, age)
		}
		pub.mu.Lock()
		healed = true
		pub.mu.Unlock()
		pub.await(t, 5)
		awaitEmpty(t, db)
		if got := pub.payloads(""); !slices.Equal(got, []string{"0", "1", "2", "3", "4"}) {
			t.Errorf("published %q", got)
		}
		if rows, age := relay.Lag(); rows != 0 || age != 0 {
			t.Errorf("lag %d rows, %v after recovery", rows, age)
		}
	})
	t.Run("published again after a restart", func(t *testing.T) {
		db := fresh(t, open)
		lost := store.NewOutbox(clock.System{}, 0) // its memory dies with the process
		appendAll(t, db, lost, message("a", "1"), message("b", "2"))
		mustClose(t, db)
		db, err := open(t, Migrations(db.Dialect()))
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, db)
		pub, o := newRecorder(), store.NewOutbox(clock.System{}, 0)
		_, stop := start(t, db, pub, relayOptions(o))
		defer stop()
		appendAll(t, db, o, message("a", "3"))
		pub.await(t, 3)
		if got := pub.payloads(""); !slices.Equal(got, []string{"1", "2", "3"}) {
			t.Errorf("published %q", got)
		}
		awaitEmpty(t, db)
	})
	t.Run("acknowledged rows go with the next append", func(t *testing.T) {
		db, pub, o := fresh(t, open), newRecorder(), store.NewOutbox(clock.System{}, 0)
		rest, _ := startResting(t, db, pub, o)
		for i := range 10 {
			appendAll(t, db, o, message("k", fmt.Sprint(i)))
			rest()
			if n := number(t, db, countOutbox); n != left(db) {
				t.Fatalf("%d rows after append %d, want the last one only", n, i)
			}
		}
	})
	t.Run("acknowledged rows stay when the next append rolls back", func(t *testing.T) {
		db, pub, o := fresh(t, open), newRecorder(), store.NewOutbox(clock.System{}, 0)
		rest, stop := startResting(t, db, pub, o)
		appendAll(t, db, o, message("k", "1"))
		rest()
		err := db.Update(t.Context(), func(tx store.Tx) error { return errors.Join(o.Append(tx), errOwn) })
		if !errors.Is(err, errOwn) {
			t.Fatal(err)
		}
		if n := number(t, db, countOutbox); n != left(db) {
			t.Errorf("%d rows, want the one whose deletion was rolled back", n)
		}
		stop() // deletes what is published
		if n := number(t, db, countOutbox); n != 0 {
			t.Errorf("%d rows after the relay ended", n)
		}
		if got := pub.payloads(""); !slices.Equal(got, []string{"1"}) {
			t.Errorf("published %q", got)
		}
	})
	t.Run("a lower number that appears later", func(t *testing.T) {
		// Another process commits number 5 after number 9 was published here.
		db, pub, o := fresh(t, open), newRecorder(), store.NewOutbox(clock.System{}, 0)
		insert := func(seq int, payload string) {
			override := ""
			if db.Dialect() == store.Postgres {
				override = "OVERRIDING SYSTEM VALUE "
			}
			exec(t, db, `INSERT INTO outbox (seq, topic, key, tenant, payload, created_at) `+override+`VALUES ($1, $2, $3, $4, $5, $6)`,
				seq, "audit.events", []byte("k"), "default", []byte(payload), 1)
		}
		insert(9, "nine")
		opts := relayOptions(o)
		opts.Poll = time.Millisecond
		start(t, db, pub, opts)
		pub.await(t, 1)
		insert(5, "five")
		pub.await(t, 2)
		awaitEmpty(t, db)
		if got := pub.payloads(""); !slices.Equal(got, []string{"nine", "five"}) {
			t.Errorf("published %q", got)
		}
	})
	t.Run("a long table is read in pages", func(t *testing.T) {
		db, pub, o := fresh(t, open), newRecorder(), store.NewOutbox(clock.System{}, 0)
		var want []string
		for i := range 30 {
			want = append(want, fmt.Sprintf("%04d", i))
			appendAll(t, db, store.NewOutbox(clock.System{}, 0), message("k", want[i]))
		}
		largest := 0
		pub.refuse = func(_ int, msgs []store.Outgoing) error { largest = max(largest, len(msgs)); return nil }
		opts := relayOptions(o)
		opts.PageRows, opts.PageBytes = 7, 4*5
		start(t, db, pub, opts)
		pub.await(t, 30)
		awaitEmpty(t, db)
		if got := pub.payloads(""); !slices.Equal(got, want) {
			t.Errorf("published %q", got)
		}
		if largest > 5 {
			t.Errorf("a page had %d rows, beyond its 20 bytes", largest)
		}
	})
	t.Run("messages that do not fit are refused", func(t *testing.T) {
		db, o := fresh(t, open), store.NewOutbox(clock.System{}, 0)
		for name, m := range map[string]store.Message{
			"too large": {Topic: "audit.events", Payload: make([]byte, store.MaxPayload+1)},
			"no topic":  {Payload: []byte("x")},
		} {
			err := db.Update(t.Context(), func(tx store.Tx) error { return o.Append(tx, m) })
			if !errors.Is(err, store.ErrMessage) {
				t.Errorf("%s: got %v, want ErrMessage", name, err)
			}
		}
		appendAll(t, db, o, store.Message{Topic: "audit.events", Payload: make([]byte, store.MaxPayload)})
		if n := number(t, db, countOutbox); n != 1 {
			t.Errorf("%d rows, want the largest message that fits", n)
		}
	})
	t.Run("one relay at a time", func(t *testing.T) {
		db, pub, o := fresh(t, open), newRecorder(), store.NewOutbox(clock.System{}, 0)
		relay, _ := start(t, db, pub, relayOptions(o))
		appendAll(t, db, o, message("k", "1"))
		pub.await(t, 1)
		if err := relay.Run(t.Context()); !errors.Is(err, store.ErrMisuse) {
			t.Errorf("second Run returned %v", err)
		}
	})
}

// left is how many published rows are in the table at rest: the last one, which the next append
// deletes, or none where the relay deletes at once because processes share the database.
func left(db store.DB) int64 {
	if _, ok := db.(store.Shared); ok {
		return 0
	}
	return 1
}

// alarm is a clock that tells when somebody starts to wait; its timers never fire in a test.
type alarm struct {
	clock.System
	set chan struct{}
}

func (a alarm) NewTimer(time.Duration) *time.Timer {
	select {
	case a.set <- struct{}{}:
	default: // the last one was not heard yet
	}
	return a.System.NewTimer(time.Hour)
}

// startResting runs a relay that has read the empty table; rest blocks until it has published
// what was appended before and waits for more.
func startResting(t *testing.T, db store.DB, pub *recorder, o *store.Outbox) (rest, stop func()) {
	t.Helper()
	a := alarm{set: make(chan struct{}, 1)}
	relay := store.NewRelay(db, pub, a, relayOptions(o))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("relay ended with %v", err)
		}
	})
	t.Cleanup(stop)
	rest = func() {
		t.Helper()
		for {
			select {
			case <-a.set:
			case <-time.After(patience):
				t.Fatal("the relay does not come to rest")
			}
			if rows, _ := relay.Lag(); rows == 0 {
				return
			}
		}
	}
	rest()
	return rest, stop
}

// manual is a clock that a test moves; its timers are those of the machine.
type manual struct {
	clock.System
	mu  sync.Mutex
	now time.Time
}

func (m *manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *manual) advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
}
