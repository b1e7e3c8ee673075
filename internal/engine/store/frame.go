package store

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Frame is what a transaction has on every engine: what must hold before a statement, the one
// cursor, the failure that dooms it, the hooks after its commit. An engine's Tx embeds it. Like
// the transaction it is bound to one goroutine.
type Frame struct {
	// Caller is the context of the Update or View call.
	Caller context.Context

	db    DB
	args  []any // reused between statements
	open  Rows  // the cursor that is not closed yet
	hooks []func()
	err   error // the first failure of a statement
	ended bool
}

// NewFrame returns the frame of a transaction of db.
func NewFrame(ctx context.Context, db DB) Frame { return Frame{Caller: ctx, db: db} }

// inside is the context key under which Context names its database.
type inside struct{ db DB }

// Context implements Tx. It carries a mark, so that an Update inside a transaction of the same
// database is refused instead of waiting for itself.
func (f *Frame) Context() context.Context {
	return context.WithValue(f.Caller, inside{f.db}, true)
}

// Nested returns ErrMisuse when ctx is that of a running transaction of db.
func Nested(ctx context.Context, db DB) error {
	if ctx.Value(inside{db}) == nil {
		return nil
	}
	return fmt.Errorf("%w: Update inside a transaction of the same database", ErrMisuse)
}

// Start checks what must hold before a statement and returns its arguments in the form in which
// drivers store them as the contract says. They are good until the next call.
func (f *Frame) Start(query string, args []any) ([]any, error) {
	switch {
	case f.ended:
		return nil, fmt.Errorf("%w: %s: the transaction has ended", ErrMisuse, Brief(query))
	case f.err != nil:
		return nil, f.err
	case f.open != nil:
		return nil, fmt.Errorf("%w: %s: the rows of the previous query are not closed", ErrMisuse, Brief(query))
	case f.Caller.Err() != nil:
		return nil, f.Caller.Err()
	}
	return f.bind(query, args)
}

func (f *Frame) bind(query string, args []any) ([]any, error) {
	f.args = f.args[:0]
	for i, a := range args {
		switch v := a.(type) {
		case []byte:
			if v == nil {
				a = nil
			}
		case int:
			a = int64(v)
		case time.Time, *time.Time:
			return nil, fmt.Errorf("%w: %s: argument %d is a %T; times are stored as integer microseconds", ErrMisuse, Brief(query), i+1, a)
		}
		f.args = append(f.args, a)
	}
	return f.args, nil
}

// Doom records a failure of the engine and returns it. The first one ends what the transaction can
// do.
func (f *Frame) Doom(err error) error {
	if f.err == nil {
		f.err = err
	}
	return err
}

// Failure is the first failure of a statement, nil for none.
func (f *Frame) Failure() error { return f.err }

// Opened notes the cursor of a query.
func (f *Frame) Opened(r Rows) { f.open = r }

// Closed notes that a cursor is closed, and reports whether it was open until now.
func (f *Frame) Closed(r Rows) bool {
	if f.open != r {
		return false
	}
	f.open = nil
	return true
}

// OnCommit implements Tx.
func (f *Frame) OnCommit(fn func()) { f.hooks = append(f.hooks, fn) }

// Committed runs the hooks.
func (f *Frame) Committed() {
	for _, hook := range f.hooks {
		hook()
	}
}

// End closes what the function left open; the transaction is unusable afterwards.
func (f *Frame) End() {
	if f.open != nil {
		_ = f.open.Close() // its failure dooms
	}
	f.ended = true
}

// RowOf makes the Row of a query that returned rows or failed.
func RowOf(rows Rows, err error) Row { return single{rows, err} }

type single struct {
	rows Rows
	err  error
}

func (s single) Scan(dest ...any) error {
	if s.err != nil {
		return s.err
	}
	if !s.rows.Next() {
		if err := s.rows.Close(); err != nil {
			return err
		}
		return ErrNoRows
	}
	err := s.rows.Scan(dest...)
	if e := s.rows.Close(); e != nil {
		return e
	}
	return err
}

// Brief is a query as errors name it: one line that is not long.
func Brief(query string) string {
	const limit = 80
	query = strings.Join(strings.Fields(query), " ")
	if len(query) > limit {
		return query[:limit] + "…"
	}
	return query
}
