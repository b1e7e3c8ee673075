package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/store"
)

const (
	// A store that is away is tried again after retryFirst, twice as long each time up to retryLast.
	retryFirst = time.Second
	retryLast  = 5 * time.Second
	// lookEvery is how often a process with nothing to do looks for what others left.
	lookEvery = 30 * time.Second
	// What is handed over at once.
	chunkObjects = 64
	chunkBytes   = 8 << 20
)

// Run drains the queue until ctx ends: what is there at the start, and whenever something waits.
func (q *Queue) Run(ctx context.Context) error {
	if q.cfg.DB == nil {
		<-ctx.Done()
		return nil
	}
	for retry := retryFirst; ; {
		pause, wake := lookEvery, q.wake
		switch err := q.Drain(ctx); {
		case err == nil:
			retry = retryFirst
		case errors.Is(err, errStuck):
			q.cfg.Log.Error("objects cannot leave the queue", "error", err)
			retry = retryFirst
		default:
			level := slog.LevelDebug
			if !errors.Is(err, blob.ErrUnavailable) && ctx.Err() == nil {
				level = slog.LevelError // it will not pass by itself
			}
			q.cfg.Log.Log(ctx, level, "objects still wait for the store", "error", err)
			pause, wake, retry = retry, nil, min(2*retry, retryLast)
		}
		if !q.pause(ctx, pause, wake) {
			return nil
		}
	}
}

// pause waits for d, or for wake; false when ctx has ended.
func (q *Queue) pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := q.cfg.Clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-t.C:
	}
	return ctx.Err() == nil
}

func (q *Queue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

var (
	// errStuck says that all but some objects were handed over.
	errStuck = errors.New("objects are refused or damaged")
	// errRows is trouble of the database that holds the queue.
	errRows = errors.New("the queue of objects cannot be read or emptied")
)

// ends reports whether trouble is such that the next object would have it too.
func ends(err error) bool { return errors.Is(err, blob.ErrUnavailable) || errors.Is(err, errRows) }

// Drain hands over everything that waits, oldest first. Trouble of the store or the database ends
// it; an object that the store refuses, or that is damaged, stays in the queue and holds up no other.
func (q *Queue) Drain(ctx context.Context) error {
	s, err := q.reach(ctx)
	if err == nil {
		err = q.drain(ctx, s)
	}
	switch {
	case err == nil, errors.Is(err, errStuck):
		q.found()
	case errors.Is(err, blob.ErrUnavailable) && q.ended(ctx) == nil:
		q.lost(err)
	}
	return err
}

// probe asks a store that was away for what it need not have. With nothing in the queue nothing else
// shows whether it is back: the object whose writer found it away may be on its way into the queue.
func (q *Queue) probe(ctx context.Context, s blob.Engine) error {
	patient, cancel := context.WithTimeout(ctx, q.cfg.Patience)
	defer cancel()
	_, err := s.Get(patient, probeTenant, blob.Ref(nil))
	if errors.Is(err, blob.ErrUnavailable) {
		return err
	}
	return nil
}

// probeTenant is a tenant whose objects nobody has.
const probeTenant = "aluskort-probe"

func (q *Queue) drain(ctx context.Context, s blob.Engine) error {
	var stuck error
	for after := int64(0); ; {
		c, err := q.next(ctx, after)
		if err != nil {
			return err
		}
		if len(c.rows) == 0 && after == 0 && q.away.Load() {
			return q.probe(ctx, s)
		}
		if len(c.rows) == 0 {
			break
		}
		after = c.rows[len(c.rows)-1].seq
		err = q.deliver(ctx, s, c)
		if ends(err) {
			return err
		}
		stuck = errors.Join(stuck, err)
	}
	if stuck != nil {
		return fmt.Errorf("%w: %w", errStuck, stuck)
	}
	return nil
}

// waiting is an object in the queue.
type waiting struct {
	seq    int64
	digest string
	size   int64
	body   []byte
}

// chunk are objects of one tenant that follow each other.
type chunk struct {
	tenant string
	rows   []waiting
}

// next reads the chunk after a row.
func (q *Queue) next(ctx context.Context, after int64) (c chunk, err error) {
	err = q.cfg.DB.View(ctx, func(tx store.Tx) error {
		if c, err = headers(tx, after); err != nil {
			return err
		}
		for i := range c.rows {
			err := tx.QueryRow(`SELECT body FROM object_queue WHERE seq = $1`, c.rows[i].seq).Scan(&c.rows[i].body)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("%w: %w", errRows, err)
	}
	return c, err
}

// headers reads what comes next, without the bodies.
func headers(tx store.Tx, after int64) (c chunk, err error) {
	rows, err := tx.Query(`SELECT seq, tenant, digest, size FROM object_queue WHERE seq > $1 ORDER BY seq LIMIT 64`, after)
	if err != nil {
		return c, err
	}
	var total int64
	for rows.Next() {
		var w waiting
		var tenant []byte
		if err := rows.Scan(&w.seq, &tenant, &w.digest, &w.size); err != nil {
			return c, errors.Join(err, rows.Close())
		}
		total += w.size
		if len(c.rows) > 0 && (string(tenant) != c.tenant || total > chunkBytes) {
			break
		}
		c.tenant, c.rows = string(tenant), append(c.rows, w)
	}
	return c, errors.Join(rows.Err(), rows.Close())
}

// deliver hands over a chunk. When the store refuses it, its objects go one by one.
func (q *Queue) deliver(ctx context.Context, s blob.Engine, c chunk) error {
	var stuck error
	sound := c.rows[:0]
	for _, w := range c.rows {
		if blob.Ref(w.body) != "sha256:"+w.digest {
			stuck = errors.Join(stuck, fmt.Errorf("%w: sha256:%s, in the queue", blob.ErrDamaged, w.digest))
			continue
		}
		sound = append(sound, w)
	}
	err := q.hand(ctx, s, c.tenant, sound)
	if err == nil || ends(err) || len(sound) < 2 {
		return errors.Join(stuck, err)
	}
	for i := range sound {
		err := q.hand(ctx, s, c.tenant, sound[i:i+1])
		if ends(err) {
			return err
		}
		stuck = errors.Join(stuck, err)
	}
	return stuck
}

// hand puts objects into the store and then takes them out of the queue.
func (q *Queue) hand(ctx context.Context, s blob.Engine, tenant string, rows []waiting) error {
	if len(rows) == 0 {
		return nil
	}
	bodies := make([][]byte, len(rows))
	for i := range rows {
		bodies[i] = rows[i].body
	}
	if _, err := s.PutMany(ctx, tenant, bodies); err != nil {
		return fmt.Errorf("hand over %d objects: %w", len(rows), err)
	}
	err := q.cfg.DB.Update(ctx, func(tx store.Tx) error {
		for i := range rows {
			if _, err := tx.Exec(`DELETE FROM object_queue WHERE seq = $1`, rows[i].seq); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errRows, err)
	}
	return nil
}
