package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// add queues objects in one transaction; cause is why the store has them not.
func (q *Queue) add(ctx context.Context, tenant string, objects [][]byte, cause error) ([]string, error) {
	refs := make([]string, len(objects))
	for i, b := range objects {
		refs[i] = blob.Ref(b)
	}
	now := q.cfg.Clock.Now().UnixMicro()
	err := q.cfg.DB.Update(ctx, func(tx store.Tx) error {
		var total int64
		if err := tx.QueryRow(`SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM object_queue`).Scan(&total); err != nil {
			return err
		}
		for i, b := range objects {
			n, err := insert(tx, tenant, refs[i], b, now)
			if err != nil {
				return err
			}
			if total += n; n > 0 && total > q.cfg.Bytes {
				return ErrFull
			}
		}
		return nil
	})
	switch {
	case err == nil:
		return refs, nil
	case errors.Is(err, ErrFull):
		return nil, fmt.Errorf("%w, at most %d bytes are; the store: %w", ErrFull, q.cfg.Bytes, cause)
	default:
		return nil, fmt.Errorf("%w; it cannot be queued either: %w", cause, err)
	}
}

// insert returns how many bytes the queue has more.
func insert(tx store.Tx, tenant, ref string, body []byte, now int64) (int64, error) {
	digest, err := blob.Digest(ref)
	if err != nil {
		return 0, err
	}
	if body == nil {
		body = []byte{} // nil is NULL
	}
	n, err := tx.Exec(`INSERT INTO object_queue (tenant, digest, size, queued_at, body) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (tenant, digest) DO NOTHING`, []byte(tenant), digest, int64(len(body)), now, body)
	return n * int64(len(body)), err
}

// Get implements blob.Store: the queue is asked first, since an object leaves it only when the
// store has it.
func (q *Queue) Get(ctx context.Context, tenant, ref string) ([]byte, error) {
	if _, err := blob.EscapeTenant(tenant); err != nil {
		return nil, err
	}
	if err := q.ended(ctx); err != nil {
		return nil, err
	}
	b, unread := q.queued(ctx, tenant, ref)
	if unread == nil || errors.Is(unread, blob.ErrDamaged) {
		return b, unread
	}
	b, err := q.fetch(ctx, tenant, ref)
	if errors.Is(err, blob.ErrNotFound) && errors.Is(unread, blob.ErrUnavailable) {
		return nil, unread // it may be in the queue, which nobody can look into now
	}
	return b, err
}

// unreadFor is how long after a read that the store did not answer others fail at once.
const unreadFor = 5 * time.Second

// fetch reads from the store for as long as something comes: a large object may take its time.
func (q *Queue) fetch(ctx context.Context, tenant, ref string) ([]byte, error) {
	if q.cfg.DB == nil {
		s, err := q.reach(ctx)
		if err != nil {
			return nil, err
		}
		return s.Get(ctx, tenant, ref)
	}
	if q.cfg.Clock.Now().UnixNano() < q.unread.Load() {
		return nil, errAway
	}
	s, err := q.inner()
	if err != nil {
		return nil, err
	}
	begun := q.cfg.Clock.Now()
	b, err := s.Get(ctx, tenant, ref)
	now := q.cfg.Clock.Now()
	// A caller that gave up soon says nothing of the store; one that waited for long does.
	if errors.Is(err, blob.ErrUnavailable) && !q.closed.Load() && (ctx.Err() == nil || now.Sub(begun) >= q.cfg.Patience/2) {
		q.unread.Store(now.Add(unreadFor).UnixNano())
	}
	return b, err
}

// queued reads an object of the queue. ErrNotFound says that it is not there.
func (q *Queue) queued(ctx context.Context, tenant, ref string) ([]byte, error) {
	digest, err := blob.Digest(ref)
	if err != nil {
		return nil, err
	}
	if q.cfg.DB == nil {
		return nil, blob.ErrNotFound
	}
	var b []byte
	err = q.cfg.DB.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT body FROM object_queue WHERE tenant = $1 AND digest = $2`, []byte(tenant), digest).Scan(&b)
	})
	switch {
	case errors.Is(err, store.ErrNoRows):
		return nil, fmt.Errorf("%w: %s", blob.ErrNotFound, ref)
	case err != nil:
		return nil, fmt.Errorf("%w: read the queue of objects: %w", blob.ErrUnavailable, err)
	case blob.Ref(b) != ref:
		return nil, fmt.Errorf("%w: %s, in the queue", blob.ErrDamaged, ref)
	}
	return b, nil
}

// Depth is how much waits for the store.
type Depth struct {
	Objects, Bytes int64
	// Since is when the oldest came; zero when nothing waits.
	Since time.Time
}

// Waiting reads the depth of the queue of a database.
func Waiting(ctx context.Context, db store.DB) (d Depth, err error) {
	err = db.View(ctx, func(tx store.Tx) error {
		if err := tx.QueryRow(`SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM object_queue`).Scan(&d.Objects, &d.Bytes); err != nil {
			return err
		}
		var oldest int64
		err := tx.QueryRow(`SELECT queued_at FROM object_queue ORDER BY seq LIMIT 1`).Scan(&oldest)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		d.Since = time.UnixMicro(oldest).UTC()
		return err
	})
	return d, err
}
