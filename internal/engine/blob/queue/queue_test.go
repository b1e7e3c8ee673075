package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/blob/blobtest"
	"github.com/aluskort/aluskort/internal/engine/blob/dir"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
)

func TestMain(m *testing.M) {
	if root := os.Getenv(killedEnv); root != "" {
		os.Exit(killed(root))
	}
	os.Exit(dbtest.Main(m))
}

func database(t *testing.T, path string) store.DB {
	t.Helper()
	return dbtest.MustOpen(t, dbtest.Config{Path: path, Migrations: schema.FS, SQLiteDir: schema.SQLiteDir, PostgresDir: schema.PostgresDir})
}

var errAwayForTest = fmt.Errorf("%w: for this test", blob.ErrUnavailable)

// flaky is a store that can be away, and that can refuse an object for good.
type flaky struct {
	blob.Engine
	away   atomic.Bool
	refuse func(b []byte) error
	mu     sync.Mutex
	puts   [][]byte      // in order
	failed chan struct{} // told of each failure, as far as somebody listens
	stored chan struct{} // the same of successes
}

func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (f *flaky) PutMany(ctx context.Context, tenant string, objects [][]byte) ([]string, error) {
	if f.away.Load() {
		tell(f.failed)
		return nil, errAwayForTest
	}
	for _, b := range objects {
		if f.refuse != nil {
			if err := f.refuse(b); err != nil {
				return nil, err
			}
		}
	}
	f.mu.Lock()
	f.puts = append(f.puts, objects...)
	f.mu.Unlock()
	defer tell(f.stored)
	return f.Engine.PutMany(ctx, tenant, objects)
}

func (f *flaky) Get(ctx context.Context, tenant, ref string) ([]byte, error) {
	if f.away.Load() {
		return nil, errAwayForTest
	}
	return f.Engine.Get(ctx, tenant, ref)
}

func (f *flaky) Put(context.Context, string, []byte) (string, error) {
	panic("one way to put is enough")
}

func folder(t *testing.T, root string) blob.Engine {
	t.Helper()
	d, err := dir.Open(dir.Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func newFlaky(t *testing.T) *flaky {
	t.Helper()
	return &flaky{Engine: folder(t, t.TempDir())}
}

func opened(t *testing.T, cfg Config, s blob.Engine) *Queue {
	t.Helper()
	if cfg.Open == nil {
		cfg.Open = func(context.Context) (blob.Engine, error) { return s, nil }
	}
	q, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// movable is a clock that a test moves.
type movable struct {
	clock.System
	ahead atomic.Int64
}

func (c *movable) Now() time.Time { return c.System.Now().Add(time.Duration(c.ahead.Load())) }

// tampered changes a byte of what is stored in a file.
func tampered(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, b, 0o600))
}

// fullStore takes no object of content, as one whose disk is full: every object of the suite is
// then read from the queue.
type fullStore struct{ blob.Engine }

func (f fullStore) PutMany(ctx context.Context, _ string, _ [][]byte) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
	}
	return nil, errAwayForTest
}

func TestSuite(t *testing.T) {
	for _, queued := range []bool{false, true} {
		t.Run(fmt.Sprintf("queued %t", queued), func(t *testing.T) {
			blobtest.Run(t, func(t *testing.T) *blobtest.Fixture {
				root, c, db := t.TempDir(), &movable{}, database(t, "")
				d, err := dir.Open(dir.Config{Root: root, Clock: c})
				if err != nil {
					t.Fatal(err)
				}
				var s blob.Engine = d
				if queued {
					s = fullStore{d}
				}
				q := opened(t, Config{DB: db, Clock: c}, s)
				return &blobtest.Fixture{
					Engine: q, Now: c.Now, Advance: func(d time.Duration) { c.ahead.Add(int64(d)) },
					DamageContent: func(tenant, ref string) error {
						if queued {
							return db.Update(t.Context(), func(tx store.Tx) error {
								_, err := tx.Exec(`UPDATE object_queue SET body = $1 WHERE digest = $2`, []byte("Evidence"), ref[7:])
								return err
							})
						}
						return tampered(filepath.Join(root, "content", tenant, ref[7:9], ref[7:]))
					},
					DamageNamed: func(tenant, name string) error {
						return tampered(filepath.Join(root, "named", tenant, name+"@", "body"))
					},
				}
			})
		})
	}
}

func mustPut(t *testing.T, q *Queue, texts ...string) (refs []string) {
	t.Helper()
	for _, s := range texts {
		ref, err := q.Put(t.Context(), "acme", []byte(s))
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	return refs
}

func wantTexts(t *testing.T, s blob.Store, refs []string, texts ...string) {
	t.Helper()
	for i, ref := range refs {
		if b, err := s.Get(t.Context(), "acme", ref); err != nil || string(b) != texts[i] {
			t.Errorf("%s: %q, %v, want %q", ref, b, err, texts[i])
		}
	}
}

func depth(t *testing.T, db store.DB) Depth {
	t.Helper()
	d, err := Waiting(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestStoreAwayAndBack(t *testing.T) {
	s, db := newFlaky(t), database(t, "")
	q := opened(t, Config{DB: db}, s)
	s.away.Store(true)
	before := clock.System{}.Now()
	texts := []string{"one", "two", "three", ""}
	refs := mustPut(t, q, texts...)
	mustPut(t, q, "two") // again, which is harmless
	wantTexts(t, q, refs, texts...)
	// Another process on the same database reads them too.
	wantTexts(t, opened(t, Config{DB: db}, s), refs, texts...)
	if d := depth(t, db); d.Objects != 4 || d.Bytes != 11 || d.Since.Before(before) || !q.Away() {
		t.Errorf("waiting: %+v, away: %t", d, q.Away())
	}
	if err := q.Drain(t.Context()); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("drained without a store: %v", err)
	}
	s.away.Store(false)
	if err := q.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := depth(t, db); d != (Depth{}) || q.Away() {
		t.Errorf("after the return: %+v, away: %t", d, q.Away())
	}
	wantTexts(t, s, refs, texts...)
	wantTexts(t, q, refs, texts...)
	if got := bytes.Join(s.puts, []byte(",")); string(got) != "one,two,three," {
		t.Errorf("handed over in the order %q", got)
	}
	mustPut(t, q, "after")
	if d := depth(t, db); d.Objects != 0 {
		t.Errorf("queued although the store is there: %+v", d)
	}
}

// A process that starts while the store is away works, and hands over what an earlier one left.
func TestRestartWhileTheStoreIsAway(t *testing.T) {
	path, root := filepath.Join(t.TempDir(), "state.db"), t.TempDir()
	s := &flaky{Engine: folder(t, root)}
	s.away.Store(true)
	first := opened(t, Config{DB: database(t, path)}, s)
	texts := []string{"of the first", "of the second"}
	refs := mustPut(t, first, texts[0])
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	reachable := false
	second := opened(t, Config{DB: database(t, path), Open: func(context.Context) (blob.Engine, error) {
		if !reachable {
			return nil, errAwayForTest
		}
		return &flaky{Engine: folder(t, root)}, nil
	}}, nil)
	refs = append(refs, mustPut(t, second, texts[1])...)
	wantTexts(t, second, refs, texts...)
	if _, err := second.Stat(t.Context(), "acme", "x"); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("a named object while the store is away: %v", err)
	}
	if _, err := second.Get(t.Context(), "acme", blob.Ref([]byte("elsewhere"))); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("what may be in the store: %v, want that it cannot be told", err)
	}
	reachable = true
	if err := second.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, folder(t, root), refs, texts...)
}

func TestRefusedForGood(t *testing.T) {
	bad := fmt.Errorf("%w: no such bucket", blob.ErrNotFound)
	_, err := Open(t.Context(), Config{DB: database(t, ""), Open: func(context.Context) (blob.Engine, error) { return nil, bad }})
	if !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("a store that says no is not one that is away: %v", err)
	}
}

func TestBound(t *testing.T) {
	s, db := newFlaky(t), database(t, "")
	q := opened(t, Config{DB: db, Bytes: 10}, s)
	s.away.Store(true)
	refs := mustPut(t, q, "0123456789")
	mustPut(t, q, "0123456789") // it is there already
	_, err := q.PutMany(t.Context(), "acme", [][]byte{{}, []byte("x")})
	if !errors.Is(err, ErrFull) || !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("above the bound: %v", err)
	}
	if d := depth(t, db); d.Objects != 1 {
		t.Errorf("a part of what was refused is queued: %+v", d)
	}
	wantTexts(t, q, refs, "0123456789")
	s.away.Store(false)
	if err := q.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, q, mustPut(t, q, "x"), "x")
}

// Writers that come at the same time do not pass the bound together.
func TestBoundUnderConcurrency(t *testing.T) {
	s, db := newFlaky(t), database(t, "")
	q := opened(t, Config{DB: db, Bytes: 50}, s)
	s.away.Store(true)
	var wg sync.WaitGroup
	var taken atomic.Int64
	for i := range 20 {
		wg.Go(func() {
			_, err := q.Put(t.Context(), "acme", fmt.Appendf(nil, "%010d", i))
			switch {
			case err == nil:
				taken.Add(10)
			case !errors.Is(err, ErrFull):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if d := depth(t, db); d.Bytes != 50 || taken.Load() != 50 {
		t.Errorf("%d bytes are queued, %d were acknowledged, 50 are allowed", d.Bytes, taken.Load())
	}
}

// An object that the store refuses, or that is damaged, stays and holds up no other.
func TestStuckObjects(t *testing.T) {
	s, db := newFlaky(t), database(t, "")
	s.refuse = func(b []byte) error {
		if string(b) == "refused" {
			return blob.ErrUnsupported
		}
		return nil
	}
	q := opened(t, Config{DB: db}, s)
	s.away.Store(true)
	refs := mustPut(t, q, "first", "refused", "damaged", "last")
	err := db.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`UPDATE object_queue SET body = $1 WHERE digest = $2`, []byte("Damaged"), refs[2][7:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.away.Store(false)
	err = q.Drain(t.Context())
	if !errors.Is(err, blob.ErrUnsupported) || !errors.Is(err, blob.ErrDamaged) || q.Away() {
		t.Errorf("drained with %v, away: %t", err, q.Away())
	}
	if d := depth(t, db); d.Objects != 2 {
		t.Errorf("%d objects wait, want the two that are stuck", d.Objects)
	}
	wantTexts(t, s, []string{refs[0], refs[3]}, "first", "last")
	wantTexts(t, q, refs[1:2], "refused")
}

// Tenants are kept apart, also those whose names no text column takes.
func TestTenantsInTheQueue(t *testing.T) {
	s := newFlaky(t)
	q := opened(t, Config{DB: database(t, "")}, s)
	s.away.Store(true)
	tenants := []string{"acme", "a\x00b", strings.Repeat("ä", 64)}
	for _, tenant := range tenants {
		if _, err := q.Put(t.Context(), tenant, []byte(tenant)); err != nil {
			t.Fatal(err)
		}
	}
	s.away.Store(false)
	if err := q.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, of := range tenants {
		for _, tenant := range tenants {
			b, err := s.Get(t.Context(), tenant, blob.Ref([]byte(of)))
			if of == tenant && (err != nil || string(b) != of) || of != tenant && !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("%q of %q: %q, %v", of, tenant, b, err)
			}
		}
	}
}

// hasty is a clock whose timers fire at once.
type hasty struct{ clock.System }

func (hasty) NewTimer(time.Duration) *time.Timer { return time.NewTimer(0) }

// The loop needs nobody to tell it that the store is back.
func TestRun(t *testing.T) {
	s, db := newFlaky(t), database(t, "")
	s.failed, s.stored = make(chan struct{}), make(chan struct{}, 1)
	q := opened(t, Config{DB: db, Clock: hasty{}}, s)
	s.away.Store(true)
	refs := mustPut(t, q, "waits")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	<-s.failed
	<-s.failed
	s.away.Store(false)
	<-s.stored
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	wantTexts(t, s, refs, "waits")
}

// A store that a writer found away is away until it answers, also while nothing waits yet.
func TestAwayUntilItAnswers(t *testing.T) {
	s, db := newFlaky(t), database(t, "")
	q := opened(t, Config{DB: db}, s)
	s.away.Store(true)
	q.lost(errAwayForTest)
	if err := q.Drain(t.Context()); !errors.Is(err, blob.ErrUnavailable) || !q.Away() {
		t.Errorf("drained nothing from a store that is away: %v, away: %t", err, q.Away())
	}
	s.away.Store(false)
	if err := q.Drain(t.Context()); err != nil || q.Away() {
		t.Errorf("the store is back: %v, away: %t", err, q.Away())
	}
}

// After a read that the store did not answer, others fail at once for a while, and what is queued is
// read all the same.
func TestReadsDoNotWaitOneAfterTheOther(t *testing.T) {
	s, db, c := newFlaky(t), database(t, ""), &movable{}
	q := opened(t, Config{DB: db, Clock: c}, s)
	there := mustPut(t, q, "there")
	s.away.Store(true)
	queued := mustPut(t, q, "queued")
	if _, err := q.Get(t.Context(), "acme", there[0]); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("read from a store that is away: %v", err)
	}
	s.away.Store(false)
	if _, err := q.Get(t.Context(), "acme", there[0]); !errors.Is(err, errAway) {
		t.Errorf("asked again at once: %v", err)
	}
	wantTexts(t, q, queued, "queued")
	c.ahead.Add(int64(unreadFor))
	wantTexts(t, q, there, "there")
}

// slow is a store that does not answer before the caller gives up, after it waited.
type slow struct {
	*flaky
	clock  *movable
	waits  time.Duration
	giveUp context.CancelFunc
	asked  int
}

func (s *slow) Get(ctx context.Context, _, _ string) ([]byte, error) {
	s.asked++
	s.clock.ahead.Add(int64(s.waits))
	s.giveUp()
	return nil, fmt.Errorf("%w: %w", blob.ErrUnavailable, ctx.Err())
}

// The same holds where the caller gave up, if it had waited for long: else each of several callers
// waits anew. One that gave up at once says nothing of the store.
func TestReadsDoNotWaitForAStoreThatNobodyOutwaits(t *testing.T) {
	for _, tc := range []struct {
		waits time.Duration
		asked int
	}{{3 * time.Second, 1}, {100 * time.Millisecond, 2}} {
		c := &movable{}
		s := &slow{flaky: newFlaky(t), clock: c, waits: tc.waits}
		q := opened(t, Config{DB: database(t, ""), Clock: c}, s)
		there := mustPut(t, q, "there")
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			s.giveUp = cancel
			if _, err := q.Get(ctx, "acme", there[0]); !errors.Is(err, blob.ErrUnavailable) {
				t.Errorf("read from a store that does not answer: %v", err)
			}
			cancel()
		}
		if s.asked != tc.asked {
			t.Errorf("asked %d times by callers that gave up after %s, want %d", s.asked, tc.waits, tc.asked)
		}
	}
}

// A call whose context has ended is not the fault of the store.
func TestContextOfTheWriter(t *testing.T) {
	s, db := newFlaky(t), database(t, "")
	q := opened(t, Config{DB: db}, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Put(ctx, "acme", []byte("x")); !errors.Is(err, context.Canceled) || q.Away() {
		t.Errorf("%v, away: %t", err, q.Away())
	}
	if d := depth(t, db); d.Objects != 0 {
		t.Errorf("queued: %+v", d)
	}
}

// Without a database nothing is queued; a process can still start before its store.
func TestWithoutDatabase(t *testing.T) {
	s, up := newFlaky(t), false
	q := opened(t, Config{Open: func(context.Context) (blob.Engine, error) {
		if !up {
			return nil, errAwayForTest
		}
		return s, nil
	}}, nil)
	if _, err := q.Put(t.Context(), "acme", []byte("x")); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	up = true
	wantTexts(t, q, mustPut(t, q, "x"), "x")
	if q.Away() || !slices.EqualFunc(s.puts, [][]byte{[]byte("x")}, bytes.Equal) {
		t.Errorf("away: %t, put: %q", q.Away(), s.puts)
	}
}
