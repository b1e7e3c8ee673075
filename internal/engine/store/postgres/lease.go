package postgres

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// channel is what LISTEN and NOTIFY speak on: one per schema and name.
func (db *DB) channel(name string) string { return "aluskort_" + db.schema + "_" + name }

// TryLease implements store.Shared: a session advisory lock on a connection of its own. The
// server gives it away when that connection or this process dies.
func (db *DB) TryLease(ctx context.Context, name string) (store.Lease, error) {
	if db.isClosed() {
		return nil, errClosed
	}
	if !plainName(name) {
		return nil, fmt.Errorf("%w: lease %q: lower-case letters, digits and underscores are allowed", store.ErrMisuse, name)
	}
	c, err := db.dedicated(ctx)
	if err != nil {
		return nil, err
	}
	l, err := db.lease(ctx, c, name)
	if l == nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		_ = c.Close(closing) // the caller has the reason, or lost to another holder
		return nil, err
	}
	return l, nil
}

// dedicated opens a connection outside the pool.
func (db *DB) dedicated(ctx context.Context) (*pgx.Conn, error) {
	settings := db.pool.Config()
	connect := settings.ConnConfig
	if err := settings.BeforeConnect(ctx, connect); err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	c, err := pgx.ConnectConfig(ctx, connect)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: connect: %w", store.ErrUnavailable, err)
	}
	return c, nil
}

// lease returns nil and no error when somebody else holds the lock.
func (db *DB) lease(ctx context.Context, c *pgx.Conn, name string) (*lease, error) {
	run, cancel := context.WithTimeout(ctx, db.patience)
	defer cancel()
	var got bool
	err := c.QueryRow(run, `SELECT pg_try_advisory_lock($1, $2)`, lockLease, lockNumber(db.schema+"/"+name)).Scan(&got)
	if err == nil && got {
		_, err = c.Exec(run, `LISTEN `+db.channel(name))
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, classify("take lease "+name, err)
	}
	if !got {
		return nil, nil
	}
	listening, stop := context.WithCancel(context.WithoutCancel(ctx)) // it outlives the call
	l := &lease{conn: c, wake: make(chan struct{}, 1), lost: make(chan struct{}), stop: stop}
	l.ended.Add(1)
	go l.listen(listening) //nolint:gosec // see above; Release ends it
	return l, nil
}

// Notify implements store.Shared.
func (db *DB) Notify(ctx context.Context, name string) error {
	if !plainName(name) {
		return fmt.Errorf("%w: lease %q", store.ErrMisuse, name)
	}
	c, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	run, cancel := context.WithTimeout(ctx, db.patience)
	defer cancel()
	if _, err := c.Exec(run, `NOTIFY `+db.channel(name)); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return classify("notify "+name, err)
	}
	return nil
}

// lease implements store.Lease.
type lease struct {
	conn  *pgx.Conn
	wake  chan struct{}
	lost  chan struct{}
	stop  context.CancelFunc
	ended sync.WaitGroup
}

// listen owns the connection until it ends: then the lock is gone.
func (l *lease) listen(ctx context.Context) {
	defer l.ended.Done()
	defer close(l.lost)
	for {
		if _, err := l.conn.WaitForNotification(ctx); err != nil {
			break
		}
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	closing, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	_ = l.conn.Close(closing) // either way the lease is lost
}

func (l *lease) Wake() <-chan struct{} { return l.wake }

func (l *lease) Lost() <-chan struct{} { return l.lost }

func (l *lease) Release() {
	l.stop()
	l.ended.Wait()
}
