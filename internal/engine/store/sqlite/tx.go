package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// marker is the context key under which tx.Context names its database.
type marker struct{}

// tx is one running transaction.
type tx struct {
	db    *DB
	conn  *conn
	ctx   context.Context // of the caller
	run   context.Context // of the statements
	args  []any           // reused between statements
	open  *rows           // the cursor that is not closed yet
	hooks []func()
	err   error // the first failure of a statement; it dooms the transaction
	lost  bool  // the connection is not to be used again
	ended bool
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
	if t.ctx.Err() != nil && !suspect(err) {
		err = t.ctx.Err()
	}
	t.lost = t.lost || suspect(err)
	err = classify(brief(query), err)
	if t.err == nil {
		t.err = err
	}
	return err
}

// bind copies args into the form in which the driver takes them without conversion.
func (t *tx) bind(query string, args []any) error {
	t.args = t.args[:0]
	for i, a := range args {
		switch v := a.(type) {
		case []byte:
			if v == nil {
				a = nil
			}
		case int:
			a = int64(v)
		case time.Time, *time.Time:
			return fmt.Errorf("%w: %s: argument %d is a %T; times are stored as integer microseconds", store.ErrMisuse, brief(query), i+1, a)
		}
		t.args = append(t.args, a)
	}
	return nil
}

// start checks, binds and prepares.
func (t *tx) start(query string, args []any) (*sql.Stmt, error) {
	if err := t.ready(query); err != nil {
		return nil, err
	}
	if err := t.bind(query, args); err != nil {
		return nil, err
	}
	s, err := t.conn.prepare(query)
	return s, t.fail(query, err)
}

// Exec implements store.Tx.
func (t *tx) Exec(query string, args ...any) (int64, error) {
	s, err := t.start(query, args)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(t.run, t.args...)
	if err != nil {
		return 0, t.fail(query, err)
	}
	return res.RowsAffected()
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
	s, err := t.start(query, args)
	if err != nil {
		return nil, err
	}
	sr, err := s.QueryContext(t.run, t.args...)
	if err != nil {
		return nil, t.fail(query, err)
	}
	t.open = &rows{tx: t, query: query, sql: sr}
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
// of waiting for itself.
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
	tx    *tx
	query string
	sql   *sql.Rows
}

func (r *rows) Next() bool { return r.sql.Next() }

func (r *rows) Scan(dest ...any) error {
	if err := r.sql.Scan(dest...); err != nil {
		return fmt.Errorf("scan %s: %w", brief(r.query), err)
	}
	return nil
}

func (r *rows) Err() error { return r.tx.fail(r.query, r.sql.Err()) }

// Close also reports what ended the cursor early, so that a caller who forgets Err cannot
// commit on half a result.
func (r *rows) Close() error {
	if r.tx.open != r {
		return nil
	}
	r.tx.open = nil
	return r.tx.fail(r.query, errors.Join(r.sql.Err(), r.sql.Close()))
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
