package route

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/clock"
)

// Queue is where calls wait for their turn, by severity. Queues do not share turns, so that a
// flood of one cannot hold up another.
type Queue string

// The queues.
const (
	QueueCritical Queue = "critical"
	QueueHigh     Queue = "high"
	QueueNormal   Queue = "normal"
	QueueLow      Queue = "low"
)

// Queues returns all queues, most urgent first.
func Queues() []Queue { return []Queue{QueueCritical, QueueHigh, QueueNormal, QueueLow} }

// QueueOf returns the queue of a severity.
func QueueOf(s alert.Severity) Queue {
	switch s {
	case alert.Critical:
		return QueueCritical
	case alert.High:
		return QueueHigh
	case alert.Medium:
		return QueueNormal
	}
	return QueueLow
}

// QueueLimit is how many attempts run at once and begin in any minute.
type QueueLimit struct {
	Concurrent, PerMinute int
}

// Unhurried is a QueueLimit.PerMinute that bounds nothing: no beginnings are remembered.
const Unhurried = math.MaxInt

// DefaultQueues returns the limits of REFERENCE section 11.2.
func DefaultQueues() map[Queue]QueueLimit {
	return map[Queue]QueueLimit{QueueCritical: {8, 200}, QueueHigh: {4, 100}, QueueNormal: {2, 50}, QueueLow: {1, 20}}
}

// queue gives turns. What begins in a minute is counted exactly, over the last PerMinute turns.
type queue struct {
	clock clock.Clock
	turns chan struct{} // holds one entry per attempt that runs

	mu   sync.Mutex
	last []time.Time // when the last attempts began; empty without a bound
	next int         // index in last of the oldest
}

func newQueue(clk clock.Clock, l QueueLimit) *queue {
	q := &queue{clock: clk, turns: make(chan struct{}, max(1, l.Concurrent))}
	if l.PerMinute != Unhurried {
		q.last = make([]time.Time, max(1, l.PerMinute))
	}
	return q
}

// enter waits for a turn; leave ends it. It fails with ErrNotNow when the wait would pass the
// deadline of ctx, and with the error of ctx when that ends first.
func (q *queue) enter(ctx context.Context) error {
	select {
	case q.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	wait, err := q.reserve(ctx)
	if err == nil {
		err = pause(ctx, q.clock, wait)
	}
	if err != nil {
		q.leave()
	}
	return err
}

func (q *queue) leave() { <-q.turns }

// reserve takes the next beginning that the minute allows and returns how far away it is.
func (q *queue) reserve(ctx context.Context) (time.Duration, error) {
	if len(q.last) == 0 {
		return 0, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	wait := time.Duration(0)
	if oldest := q.last[q.next]; !oldest.IsZero() {
		// More than a minute away can only be when the clock went back.
		wait = min(max(0, oldest.Add(time.Minute).Sub(now)), time.Minute)
	}
	if tooLong(ctx, now, wait) {
		return 0, ErrNotNow
	}
	q.last[q.next] = now.Add(wait)
	q.next = (q.next + 1) % len(q.last)
	return wait, nil
}

// tooLong reports whether ctx ends within the wait.
func tooLong(ctx context.Context, now time.Time, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && wait > 0 && now.Add(wait).After(deadline)
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, clk clock.Clock, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := clk.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
