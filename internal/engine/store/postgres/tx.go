package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// tx is one running transaction.
type tx struct {
	db       *DB
	conn     *pgx.Conn
	ctx      context.Context // of the caller
	view     bool
	args     []any // reused between statements
	open     *rows // the cursor that is not closed yet
	hooks    []func()
	err      error // the first failure of a statement; it dooms the transaction
	conflict bool  // err is an abort because of another transaction
	ended    bool
}

// ready checks what must hold before each statement.
func (t *tx) ready(query string) error {
	switch {
	case t.ended:
		return fmt.Errorf("%w: %s: the transaction has ended", store.ErrMisuse, brief(query))
	case t.err != nil:
		return t.err
	case t.open != nil:
		return fmt.Errorf("%w: %s: the rows of the previous query are not closed", store.ErrMisuse, brief(query))
	}
	return t.ctx.Err()
}

// fail records a failure of the engine.
func (t *tx) fail(query string, err error) error {
	if err == nil {
		return nil
	}
	switch {
	case t.ctx.Err() != nil:
		err = t.ctx.Err()
	case conflicts(err) && !t.view:
		err = fmt.Errorf("%w: %s: %w: %w", store.ErrUnavailable, brief(query), errConflict, err)
		t.conflict = t.err == nil
	case t.misused(err):
		err = fmt.Errorf("%w: %s: %w", store.ErrMisuse, brief(query), err)
	default:
		err = classify(brief(query), err)
	}
	if t.err == nil {
		t.err = err
	}
	return err
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

// bind copies args into the form that the driver stores as the contract says.
func (t *tx) bind(query string, args []any) error {
	t.args = t.args[:0]
	for i, a := range args {
		switch v := a.(type) {
		case []byte:
			if v == nil {
				a = nil
			}
		case time.Time, *time.Time:
			return fmt.Errorf("%w: %s: argument %d is a %T; times are stored as integer microseconds", store.ErrMisuse, brief(query), i+1, a)
		}
		t.args = append(t.args, a)
	}
	return nil
}

// bound limits one round trip: a server that accepts and never answers must not hold the caller.
func (t *tx) bound() (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.ctx, t.db.patience)
}

// Exec implements store.Tx.
func (t *tx) Exec(query string, args ...any) (int64, error) {
	if err := t.ready(query); err != nil {
		return 0, err
	}
	if err := t.bind(query, args); err != nil {
		return 0, err
	}
	ctx, cancel := t.bound()
	defer cancel()
	tag, err := t.conn.Exec(ctx, query, t.args...)
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
	if err := t.ready(query); err != nil {
		return nil, err
	}
	if err := t.bind(query, args); err != nil {
		return nil, err
	}
	ctx, cancel := t.bound()
	pr, err := t.conn.Query(ctx, query, t.args...)
	if err != nil {
		cancel()
		return nil, t.fail(query, err)
	}
	t.open = &rows{tx: t, query: query, pgx: pr, cancel: cancel}
	return t.open, nil
}

// QueryRow implements store.Tx.
func (t *tx) QueryRow(query string, args ...any) store.Row {
	r, err := t.query(query, args)
	return row{rows: r, err: err}
}

// OnCommit implements store.Tx.
func (t *tx) OnCommit(fn func()) { t.hooks = append(t.hooks, fn) }

// Context implements store.Tx. It carries a mark, so that a nested Update is refused instead
// of waiting for the locks of its own caller.
func (t *tx) Context() context.Context { return context.WithValue(t.ctx, marker{}, t.db) }

// end closes what fn left open; the tx is unusable afterwards.
func (t *tx) end() {
	if t.open != nil {
		_ = t.open.Close() // recorded in t.err
	}
	t.ended = true
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
		return fmt.Errorf("scan %s: %w", brief(r.query), err)
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
	if r.tx.open != r {
		return nil
	}
	r.tx.open = nil
	r.pgx.Close()
	r.cancel()
	return r.Err()
}

// row implements store.Row.
type row struct {
	rows *rows
	err  error
}

func (r row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	if !r.rows.Next() {
		if err := r.rows.Close(); err != nil {
			return err
		}
		return store.ErrNoRows
	}
	err := r.rows.Scan(dest...)
	if e := r.rows.Close(); e != nil {
		return e
	}
	return err
}
