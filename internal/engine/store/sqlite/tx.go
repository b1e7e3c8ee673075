package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// tx is one running transaction.
type tx struct {
	store.Frame
	conn *conn
	run  context.Context // of the statements
	lost bool            // the connection is not to be used again
}

// fail records a failure of the engine.
func (t *tx) fail(query string, err error) error {
	if err == nil {
		return nil
	}
	if t.Caller.Err() != nil && !suspect(err) {
		err = t.Caller.Err()
	}
	t.lost = t.lost || suspect(err)
	return t.Doom(classify(store.Brief(query), err))
}

// start checks, binds and prepares.
func (t *tx) start(query string, args []any) (*sql.Stmt, []any, error) {
	bound, err := t.Start(query, args)
	if err != nil {
		return nil, nil, err
	}
	s, err := t.conn.prepare(query)
	return s, bound, t.fail(query, err)
}

// Exec implements store.Tx.
func (t *tx) Exec(query string, args ...any) (int64, error) {
	s, bound, err := t.start(query, args)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(t.run, bound...)
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
	s, bound, err := t.start(query, args)
	if err != nil {
		return nil, err
	}
	sr, err := s.QueryContext(t.run, bound...)
	if err != nil {
		return nil, t.fail(query, err)
	}
	r := &rows{tx: t, query: query, sql: sr}
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
	tx    *tx
	query string
	sql   *sql.Rows
}

func (r *rows) Next() bool { return r.sql.Next() }

func (r *rows) Scan(dest ...any) error {
	if err := r.sql.Scan(dest...); err != nil {
		return fmt.Errorf("scan %s: %w", store.Brief(r.query), err)
	}
	return nil
}

func (r *rows) Err() error { return r.tx.fail(r.query, r.sql.Err()) }

// Close also reports what ended the cursor early, so that a caller who forgets Err cannot
// commit on half a result.
func (r *rows) Close() error {
	if !r.tx.Closed(r) {
		return nil
	}
	return r.tx.fail(r.query, errors.Join(r.sql.Err(), r.sql.Close()))
}
