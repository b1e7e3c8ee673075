package store

import (
	"context"
	"fmt"
)

// leaseRelay is held by the process whose relay publishes.
const leaseRelay = "relay"

const observeOutbox = `SELECT COUNT(*), COALESCE(MAX(seq), 0), COALESCE(MIN(created_at), 0) FROM outbox`

// runShared publishes while this process holds the lease and stands by while another does.
func (r *Relay) runShared(ctx context.Context, shared Shared) {
	for failures := 0; ctx.Err() == nil; {
		lease, err := shared.TryLease(ctx, leaseRelay)
		switch {
		case err == nil && lease != nil:
			failures = 0
			r.lead(ctx, lease)
			continue
		case err == nil:
			err = r.standBy(ctx, shared)
		}
		if err == nil || ctx.Err() != nil {
			failures = 0
			continue
		}
		failures++
		r.opts.OnError(fmt.Errorf("relay: %w", err), failures)
		r.wait(ctx, r.backoff(failures), nil)
	}
}

// standBy wakes the publishing process after commits of this one, until it is time to try to
// take over.
func (r *Relay) standBy(ctx context.Context, shared Shared) error {
	if err := r.observe(ctx); err != nil {
		return err
	}
	timer := r.clock.NewTimer(r.opts.Takeover)
	defer timer.Stop()
	for {
		select {
		case <-r.out.wake:
			if err := shared.Notify(ctx, leaseRelay); err != nil {
				return err
			}
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// observe reads how much waits in the table, for Lag.
func (r *Relay) observe(ctx context.Context) error {
	return r.db.View(ctx, func(tx Tx) error {
		var rows int
		var highest, oldest int64
		r.out.startStock()
		if err := tx.QueryRow(observeOutbox).Scan(&rows, &highest, &oldest); err != nil {
			return fmt.Errorf("read outbox: %w", err)
		}
		r.out.observe(rows, highest, oldest)
		return nil
	})
}

// lead publishes until the lease or ctx ends.
func (r *Relay) lead(ctx context.Context, lease Lease) {
	led, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		select {
		case <-lease.Lost():
		case <-led.Done():
		}
	}()
	defer func() {
		cancel()
		<-watched
		r.finish(ctx)
		lease.Release()
	}()
	for failures := 0; led.Err() == nil; {
		err := r.drainTable(led)
		switch {
		case err == nil:
			failures = 0
			r.waitShared(led, lease)
		case led.Err() == nil:
			failures++
			r.opts.OnError(err, failures)
			r.wait(led, r.backoff(failures), nil)
		}
	}
}

// waitShared waits until somebody committed, or for the time after which the table is looked at
// anyway.
func (r *Relay) waitShared(ctx context.Context, lease Lease) {
	timer := r.clock.NewTimer(r.opts.Poll)
	defer timer.Stop()
	select {
	case <-r.out.wake:
	case <-lease.Wake():
	case <-timer.C:
	case <-ctx.Done():
	}
}
