package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/crash"
)

// Publisher puts messages on the bus. Publish returns nil only when every message is
// acknowledged durably. Any error is transient: the whole slice is published again, so
// delivery is at least once. Messages of equal topic and key must keep their order. Publish
// does not keep or change msgs.
type Publisher interface {
	Publish(ctx context.Context, msgs []Outgoing) error
}

// RelayOptions are the settings of a Relay; the zero value is usable.
type RelayOptions struct {
	Outbox     *Outbox        // the outbox to empty; nil makes one of default size
	MinBackoff time.Duration  // pause after the first error; 0 means 50 ms
	MaxBackoff time.Duration  // longest pause; 0 means 10 s
	Idle       time.Duration  // rest after which published rows are deleted; 0 means 1 s
	Poll       time.Duration  // rest after which the table is looked at; 0 means 30 s, 1 s on a shared database
	Takeover   time.Duration  // rest after which a relay that stands by tries to take over; 0 means 1 s
	PageRows   int            // rows read from the table at once; 0 means 256
	PageBytes  int            // payload bytes read from the table at once; 0 means 8 MiB
	Jitter     func() float64 // random number in [0,1); nil means math/rand
	// OnError is told about every failed attempt, numbered from 1 since the last success.
	OnError func(err error, attempt int)
}

func (o RelayOptions) withDefaults(clk clock.Clock) RelayOptions {
	if o.Outbox == nil {
		o.Outbox = NewOutbox(clk, 0)
	}
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.MinBackoff, 50*time.Millisecond)
	set(&o.MaxBackoff, 10*time.Second)
	set(&o.Idle, time.Second)
	set(&o.Poll, 30*time.Second)
	set(&o.Takeover, time.Second)
	if o.PageRows <= 0 {
		o.PageRows = 256
	}
	if o.PageBytes <= 0 {
		o.PageBytes = 8 << 20
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.OnError == nil {
		o.OnError = func(error, int) {}
	}
	return o
}

const (
	stockOutbox = `SELECT COUNT(*), COALESCE(MAX(seq), 0) FROM outbox`
	probeOutbox = `SELECT seq FROM outbox LIMIT 1`
	pageOutbox  = `SELECT seq, topic, key, tenant, payload, created_at FROM outbox ORDER BY seq LIMIT $1`
)

// Relay publishes the rows of one outbox table. Rows come in memory from the Outbox after
// their commit. The table is read only at start, after an error, after an overflow of the
// hand-over and rarely while idle, always from its lowest number: a remembered position would
// skip a lower number that commits later. One batch is in flight at a time, which keeps the
// order of every key.
//
// One Relay may run per database and process. On a database that processes share (Shared) the
// relay of one of them publishes for all; the others wake it after their commits and stand by.
// There the table is read for every batch, because only it has the rows of all in order.
type Relay struct {
	db      DB
	pub     Publisher
	clock   clock.Clock
	out     *Outbox
	opts    RelayOptions
	running atomic.Bool
}

// NewRelay returns a relay from db to publisher.
func NewRelay(db DB, publisher Publisher, clk clock.Clock, opts RelayOptions) *Relay {
	if _, ok := db.(Shared); ok && opts.Poll <= 0 {
		opts.Poll = time.Second // a process that dies after its commit wakes nobody
	}
	opts = opts.withDefaults(clk)
	if _, ok := db.(Shared); ok {
		opts.Outbox.share()
	}
	return &Relay{db: db, pub: publisher, clock: clk, out: opts.Outbox, opts: opts}
}

// Outbox returns the outbox that this relay empties.
func (r *Relay) Outbox() *Outbox { return r.out }

// Lag returns how many committed rows are not published and how old the oldest of them is.
// Until Run has read the table once it knows only the rows of this process. It touches no
// database and may be called at any rate.
func (r *Relay) Lag() (rows int, oldest time.Duration) { return r.out.lag() }

// Run publishes until ctx ends and then returns nil. Errors of the database and of the
// publisher are retried without limit. It refuses to run twice at a time.
func (r *Relay) Run(ctx context.Context) error {
	if !r.running.CompareAndSwap(false, true) {
		return fmt.Errorf("%w: relay is already running", ErrMisuse)
	}
	defer r.running.Store(false)
	if shared, ok := r.db.(Shared); ok {
		r.runShared(ctx, shared)
		return nil
	}
	defer r.finish(ctx)
	scan, failures := true, 0
	for ctx.Err() == nil {
		again, err := r.step(ctx, scan)
		if err == nil {
			scan, failures = again, 0
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		scan = true
		failures++
		r.opts.OnError(err, failures)
		r.wait(ctx, r.backoff(failures), nil)
	}
	return nil
}

// step does the next piece of work; scan says whether the table must be read now, the result
// whether it must be read next.
func (r *Relay) step(ctx context.Context, scan bool) (again bool, err error) {
	if scan {
		return false, r.drainTable(ctx)
	}
	batch, overflow := r.out.take()
	switch {
	case overflow:
		return true, nil
	case len(batch) > 0:
		return false, r.publish(ctx, batch)
	default:
		return r.rest(ctx)
	}
}

func (r *Relay) publish(ctx context.Context, batch []Outgoing) error {
	crash.Point(crash.BeforeRelay)
	if err := r.pub.Publish(ctx, batch); err != nil {
		return fmt.Errorf("publish outbox rows %d to %d: %w", batch[0].Seq, batch[len(batch)-1].Seq, err)
	}
	crash.Point(crash.AfterRelay)
	r.out.ack(batch)
	return nil
}

// drainTable publishes the table page by page until it holds nothing unpublished. Deleting
// before each page lets every page start at the lowest number.
func (r *Relay) drainTable(ctx context.Context) error {
	r.out.startScan()
	for first := true; ; first = false {
		if err := r.sweep(ctx); err != nil {
			return err
		}
		page, err := r.page(ctx, first)
		if err != nil {
			return fmt.Errorf("read outbox: %w", err)
		}
		if page = r.out.unpublished(page); len(page) == 0 {
			r.out.endScan()
			return nil
		}
		if err := r.publish(ctx, page); err != nil {
			return err
		}
	}
}

// page reads the lowest rows; with count it also takes stock for Lag.
func (r *Relay) page(ctx context.Context, count bool) (page []Outgoing, err error) {
	err = r.db.View(ctx, func(tx Tx) error {
		page = page[:0]
		if count {
			var n int
			var highest int64
			r.out.startStock()
			if err := tx.QueryRow(stockOutbox).Scan(&n, &highest); err != nil {
				return err
			}
			r.out.takeStock(n, highest)
		}
		rows, err := tx.Query(pageOutbox, r.opts.PageRows)
		if err != nil {
			return err
		}
		for size := 0; size < r.opts.PageBytes && rows.Next(); {
			var m Outgoing
			if err := rows.Scan(&m.Seq, &m.Topic, &m.Key, &m.Tenant, &m.Payload, &m.created); err != nil {
				return errors.Join(err, rows.Close())
			}
			size += len(m.Payload)
			page = append(page, m)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return page, err
}

// sweep deletes every published row in a transaction of its own.
func (r *Relay) sweep(ctx context.Context) error {
	for r.out.dirty() {
		err := r.db.Update(ctx, func(tx Tx) error { return r.out.deleteAcked(tx, 16*deleteSpans) })
		if err != nil {
			return err
		}
	}
	return nil
}

// rest waits for the next hand-over. After Idle it deletes what is published, after Poll it
// looks for rows that no hand-over announced: those of another process, or of a commit that
// was reported as failed and had happened.
func (r *Relay) rest(ctx context.Context) (scan bool, _ error) {
	pause := r.opts.Poll
	if r.out.dirty() {
		pause = r.opts.Idle
	}
	if r.wait(ctx, pause, r.out.wake) || ctx.Err() != nil {
		return false, nil
	}
	if err := r.sweep(ctx); err != nil {
		return true, err
	}
	return r.unannounced(ctx)
}

// unannounced tells whether the table holds a row at all.
func (r *Relay) unannounced(ctx context.Context) (bool, error) {
	err := r.db.View(ctx, func(tx Tx) error {
		var seq int64
		return tx.QueryRow(probeOutbox).Scan(&seq)
	})
	if errors.Is(err, ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// finish deletes published rows at the end, so that the next start does not repeat them. It
// is best effort: what it leaves is published twice, which consumers bear.
func (r *Relay) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := r.sweep(ctx); err != nil {
		r.opts.OnError(err, 0)
	}
}

// wait pauses for d or until ctx ends; it returns true when wake came first.
func (r *Relay) wait(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := r.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-wake:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// backoff doubles from MinBackoff to MaxBackoff and takes a random half off.
func (r *Relay) backoff(failures int) time.Duration {
	d := r.opts.MaxBackoff
	if shift := failures - 1; shift < 20 {
		d = min(d, r.opts.MinBackoff<<shift)
	}
	return d/2 + time.Duration(r.opts.Jitter()*float64(d/2))
}
