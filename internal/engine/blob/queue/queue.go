// Package queue keeps objects while the object store is away: a wrapper over any engine of blob
// that takes what the store cannot into a table of the state database, and hands it over when the
// store is back.
//
//   - A write tries the store for some seconds, and the queue after that. While the store is known
//     to be away it goes to the queue at once. It succeeds when either has the object durably.
//   - A read looks into the queue first: every process that shares the database finds there what
//     another one queued. For some seconds after a read that the store did not answer, a read of
//     something else fails at once.
//   - The queue is drained in the order in which it was filled. An object leaves it after the store
//     has taken it; what a crash repeats has the same name and the same bytes.
//   - The queue is bounded. At the bound a write fails with ErrFull, which is an ErrUnavailable:
//     the writer waits, nothing is dropped.
//
// Named objects are not queued: whether a name is taken, only the store can say.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// ErrFull says that the store is away and the queue has no room left.
var ErrFull = fmt.Errorf("%w: the queue of objects is full", blob.ErrUnavailable)

// Config says what to wrap. Open is required.
type Config struct {
	// Open opens the store. While it fails with blob.ErrUnavailable it is called again.
	Open func(ctx context.Context) (blob.Engine, error)
	// DB has the migrations of store/schema. Without one nothing is queued, and a process can still
	// start while the store is away.
	DB store.DB
	// Bytes bounds what is queued; 0 means 1 GiB.
	Bytes int64
	// Patience is how long a write waits for the store before it goes to the queue; 0 means 5 s.
	Patience time.Duration
	Clock    clock.Clock
	Log      *slog.Logger
}

// DefaultBytes is the bound of a queue that is not given one.
const DefaultBytes = 1 << 30

// Queue implements blob.Engine. It is safe for concurrent use.
type Queue struct {
	cfg    Config
	wake   chan struct{}
	closed atomic.Bool
	// away says that the store failed and was not heard of since.
	away atomic.Bool
	// unread is until when, in ns since 1970, reads are not tried: one just failed.
	unread atomic.Int64

	mu    sync.Mutex // guards store
	store blob.Engine
}

var _ blob.Engine = (*Queue)(nil)

// Open opens the store. One that is away is no error; one that refuses for good is.
func Open(ctx context.Context, cfg Config) (*Queue, error) {
	if cfg.Bytes <= 0 {
		cfg.Bytes = DefaultBytes
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 5 * time.Second
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	q := &Queue{cfg: cfg, wake: make(chan struct{}, 1)}
	s, err := cfg.Open(ctx)
	switch {
	case err == nil:
		q.store = s
	case errors.Is(err, blob.ErrUnavailable) && ctx.Err() == nil:
		q.lost(err)
	default:
		return nil, err
	}
	return q, nil
}

// Close implements blob.Engine. What is queued stays in the database.
func (q *Queue) Close() error {
	if q.closed.Swap(true) {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.store == nil {
		return nil
	}
	return q.store.Close()
}

// Away reports whether the store failed and was not heard of since.
func (q *Queue) Away() bool { return q.away.Load() }

func (q *Queue) lost(err error) {
	if !q.away.Swap(true) {
		q.cfg.Log.Warn("the object store is away: objects are queued", "error", err)
	}
	q.rouse()
}

func (q *Queue) found() {
	if q.away.Swap(false) {
		q.cfg.Log.Info("the object store is back and has what was queued")
	}
}

// ended returns why nothing should be begun any more.
func (q *Queue) ended(ctx context.Context) error {
	if q.closed.Load() {
		return fmt.Errorf("%w: the store is closed", blob.ErrUnavailable)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
	}
	return nil
}

// inner is the store as far as it was opened.
func (q *Queue) inner() (blob.Engine, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed.Load():
		return nil, fmt.Errorf("%w: the store is closed", blob.ErrUnavailable)
	case q.store == nil:
		return nil, fmt.Errorf("%w: it was not reached since the start", blob.ErrUnavailable)
	}
	return q.store, nil
}

// reach opens the store when that failed before.
func (q *Queue) reach(ctx context.Context) (blob.Engine, error) {
	if s, err := q.inner(); err == nil || q.closed.Load() {
		return s, err
	}
	s, err := q.cfg.Open(ctx)
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.store != nil || q.closed.Load() { // another caller was first, or it is over
		err = s.Close()
		return q.store, err
	}
	q.store = s
	if q.cfg.DB == nil {
		q.found()
	}
	return s, nil
}

// Put implements blob.Store.
func (q *Queue) Put(ctx context.Context, tenant string, b []byte) (string, error) {
	refs, err := q.PutMany(ctx, tenant, [][]byte{b})
	if err != nil {
		return "", err
	}
	return refs[0], nil
}

// PutMany implements blob.Store.
func (q *Queue) PutMany(ctx context.Context, tenant string, objects [][]byte) ([]string, error) {
	if _, err := blob.EscapeTenant(tenant); err != nil {
		return nil, err
	}
	if err := q.ended(ctx); err != nil {
		return nil, err
	}
	refs, err := q.put(ctx, tenant, objects)
	if err == nil || !errors.Is(err, blob.ErrUnavailable) || q.ended(ctx) != nil {
		return refs, err
	}
	if q.cfg.DB == nil {
		return nil, err
	}
	if refs, err = q.add(ctx, tenant, objects, err); err == nil {
		q.rouse()
	}
	return refs, err
}

// errAway stands for an attempt that was not made.
var errAway = fmt.Errorf("%w: it failed a moment ago", blob.ErrUnavailable)

// put tries the store, unless it is known to be away.
func (q *Queue) put(ctx context.Context, tenant string, objects [][]byte) ([]string, error) {
	if q.cfg.DB == nil {
		s, err := q.reach(ctx)
		if err != nil {
			return nil, err
		}
		return s.PutMany(ctx, tenant, objects)
	}
	if q.away.Load() {
		return nil, errAway
	}
	s, err := q.inner()
	if err != nil {
		return nil, err
	}
	patient, cancel := context.WithTimeout(ctx, q.cfg.Patience)
	defer cancel()
	refs, err := s.PutMany(patient, tenant, objects)
	if errors.Is(err, blob.ErrUnavailable) && q.ended(ctx) == nil {
		q.lost(err)
	}
	return refs, err
}
