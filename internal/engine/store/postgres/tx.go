package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// tx is one running transaction.
type tx struct {
	store.Frame
	db       *DB
	conn     *pgx.Conn
	view     bool
	conflict bool // the first failure is an abort because of another transaction
}

// fail records a failure of the engine.
func (t *tx) fail(query string, err error) error {
	if err == nil {
		return nil
	}
	switch {
	case t.Caller.Err() != nil:
		err = t.Caller.Err()
	case conflicts(err) && !t.view:
		err = fmt.Errorf("%w: %s: %w: %w", store.ErrUnavailable, store.Brief(query), errConflict, err)
		t.conflict = t.conflict || t.Failure() == nil
	case t.misused(err):
		err = fmt.Errorf("%w: %s: %w", store.ErrMisuse, store.Brief(query), err)
	default:
		err = classify(store.Brief(query), err)
	}
	return t.Doom(err)
}

// misused tells whether err is the caller's: an argument that the driver cannot encode, a wrong
// number of them, or a write in View. The driver has no type for the first two; they are what
// fails although neither the server complained nor the connection broke.
func (t *tx) misused(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return t.view && e.Code == readOnlyTransaction
	}
	return !t.conn.IsClosed() && !errors.Is(err, context.DeadlineExceeded)
}

// bound limits one round trip: a server that accepts and never answers must not hold the caller.
func (t *tx) bound() (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Caller, t.db.patience)
}

// Exec implements store.Tx.
func (t *tx) Exec(query string, args ...any) (int64, error) {
	args, err := t.Start(query, args)
	if err != nil {
		return 0, err
	}
	ctx, cancel := t.bound()
	defer cancel()
	tag, err := t.conn.Exec(ctx, query, args...)
	if err != nil {
		return 0, t.fail(query, err)
	}
	return tag.RowsAffected(), nil
}

// Query implements store.Tx.
func (t *tx) Query(query string, args ...any) (store.Rows, error) {
	r, err := t.query(query, args)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (t *tx) query(query string, args []any) (*rows, error) {
	args, err := t.Start(query, args)
	if err != nil {
		return nil, err
	}
	ctx, cancel := t.bound()
	pr, err := t.conn.Query(ctx, query, args...)
	if err != nil {
		cancel()
		return nil, t.fail(query, err)
	}
	r := &rows{tx: t, query: query, pgx: pr, cancel: cancel}
	t.Opened(r)
	return r, nil
}

// QueryRow implements store.Tx.
func (t *tx) QueryRow(query string, args ...any) store.Row {
	r, err := t.query(query, args)
	return store.RowOf(r, err)
}

// rows implements store.Rows.
type rows struct {
	tx     *tx
	query  string
	pgx    pgx.Rows
	cancel context.CancelFunc
	misfit bool // a destination did not fit, which ended the cursor and nothing else
}

func (r *rows) Next() bool { return r.pgx.Next() }

func (r *rows) Scan(dest ...any) error {
	if err := r.pgx.Scan(dest...); err != nil {
		r.misfit = true
		return fmt.Errorf("scan %s: %w", store.Brief(r.query), err)
	}
	return nil
}

func (r *rows) Err() error {
	if r.misfit {
		return nil
	}
	return r.tx.fail(r.query, r.pgx.Err())
}

// Close also reports what ended the cursor early, so that a caller who forgets Err cannot
// commit on half a result.
func (r *rows) Close() error {
	if !r.tx.Closed(r) {
		return nil
	}
	r.pgx.Close()
	r.cancel()
	return r.Err()
}
