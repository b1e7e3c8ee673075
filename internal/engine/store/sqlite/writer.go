package sqlite

import (
	"context"
	"fmt"
	"runtime"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// request is one Update on its way through the writer.
type request struct {
	ctx  context.Context
	fn   func(tx store.Tx) error
	done chan struct{}

	// The outcome; the writer sets it before it closes done.
	err      error
	panicked any
	exited   bool // fn called runtime.Goexit
}

// Update implements store.DB.
func (db *DB) Update(ctx context.Context, fn func(tx store.Tx) error) error {
	if db.readOnly {
		return fmt.Errorf("%w: %s", store.ErrReadOnly, db.path)
	}
	if err := store.Nested(ctx, db); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{ctx: ctx, fn: fn, done: make(chan struct{})}
	queue := db.requests
	if store.IsAhead(ctx) {
		queue = db.ahead
	}
	select {
	case queue <- r:
	case <-db.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	<-r.done
	switch {
	case r.panicked != nil:
		panic(r.panicked)
	case r.exited:
		runtime.Goexit()
	}
	return r.err
}

// write is the writer: it alone touches db.writer until it ends. It serves one request after
// the other and does not wait for a caller to wake up.
func (db *DB) write() {
	ended := false
	defer func() {
		if !ended { // fn called runtime.Goexit, as t.FailNow does; it ends this goroutine
			go db.write()
			return
		}
		close(db.idle)
	}()
	for last := db.requests; ; {
		r, queue := db.next(last)
		if r == nil {
			ended = true
			return
		}
		last = queue
		db.serve(r)
	}
}

// next waits for the request whose turn it is, and says which queue it came from; nil when the
// database closes. Both queues have every other turn when both have somebody in them: who is ahead
// waits for at most one of the others, and those are not starved.
func (db *DB) next(last chan *request) (*request, chan *request) {
	first, second := db.ahead, db.requests
	if last == db.ahead {
		first, second = second, first
	}
	select {
	case <-db.closing:
		return nil, nil
	default:
	}
	select {
	case r := <-first:
		return r, first
	default:
	}
	select {
	case r := <-first:
		return r, first
	case r := <-second:
		return r, second
	case <-db.closing:
		return nil, nil
	}
}

func (db *DB) serve(r *request) {
	returned := false
	defer func() {
		if !returned {
			r.panicked = recover()
			r.exited = r.panicked == nil
		}
		close(r.done)
	}()
	r.err = db.transact(r.ctx, r.fn)
	returned = true
}

// transact runs one transaction from BEGIN to the hooks after its commit.
func (db *DB) transact(ctx context.Context, fn func(tx store.Tx) error) error {
	c, err := db.begin(ctx)
	if err != nil {
		return err
	}
	t := &tx{Frame: store.NewFrame(ctx, db), conn: c, run: context.Background()}
	committed := false
	defer func() {
		t.End()
		if !committed {
			db.rollback(t)
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	t.End()
	if err := t.Failure(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.exec("COMMIT"); err != nil {
		// Nothing is known about the file now. A second COMMIT could succeed without the
		// pages of the first having reached the disk, so the connection goes.
		t.lost = true
		return classify("commit", err)
	}
	committed = true
	db.changed()
	t.Committed()
	return nil
}

// begin starts a transaction, on a new connection if the last one was given up.
func (db *DB) begin(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if db.writer == nil {
		c, err := open(context.WithoutCancel(ctx), db.writePool)
		if err != nil {
			return nil, err
		}
		db.writer = c
	}
	db.writer.trim()
	if err := db.writer.exec("BEGIN IMMEDIATE"); err != nil {
		if suspect(err) {
			db.drop()
		}
		return nil, classify("begin", err)
	}
	return db.writer, nil
}

// rollback undoes t. SQLite may have rolled back already, which makes ROLLBACK fail: then the
// connection is replaced, which undoes everything as well.
func (db *DB) rollback(t *tx) {
	if err := t.conn.exec("ROLLBACK"); err != nil || t.lost {
		db.drop()
	}
}

// drop gives up the writer's connection; its error adds nothing to the one that led here.
func (db *DB) drop() {
	_ = db.writer.close()
	db.writer = nil
}
