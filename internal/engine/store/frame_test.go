package store

import (
	"context"
	"errors"
	"testing"
	"time"
)

// nobody is a database that is only told apart from others.
type nobody struct{ DB }

// cursor has rows, and an error for whoever closes it.
type cursor struct {
	Rows
	frame  *Frame
	rows   int
	failed error
}

func (c *cursor) Next() bool      { c.rows--; return c.rows >= 0 }
func (*cursor) Scan(...any) error { return nil }
func (c *cursor) Close() error {
	if c.frame.Closed(c) && c.failed != nil {
		return c.frame.Doom(c.failed)
	}
	return nil
}

func start(f *Frame, args ...any) error {
	_, err := f.Start("SELECT 1", args)
	return err
}

// What every engine refuses, whatever its driver would do.
func TestFrameRefusesMisuse(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := NewFrame(ctx, &nobody{})
	bound, err := f.Start("SELECT 1", []any{1, []byte(nil), "x", nil})
	if err != nil || bound[0] != int64(1) || bound[1] != nil || bound[2] != "x" || bound[3] != nil {
		t.Errorf("bound as %#v, %v", bound, err)
	}
	for _, at := range []any{time.Now(), new(time.Time)} {
		if err := start(&f, at); !errors.Is(err, ErrMisuse) {
			t.Errorf("%T: %v", at, err)
		}
	}
	c := &cursor{frame: &f}
	f.Opened(c)
	if err := start(&f); !errors.Is(err, ErrMisuse) {
		t.Errorf("with an open cursor: %v", err)
	}
	if err := errors.Join(c.Close(), c.Close(), start(&f)); err != nil {
		t.Errorf("after it was closed: %v", err)
	}
	cancel()
	if err := start(&f); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	f.End()
	if err := start(&f); !errors.Is(err, ErrMisuse) {
		t.Errorf("ended: %v", err)
	}
}

// The first failure is what the transaction ends with, also that of a cursor that was left open.
func TestFrameIsDoomedByTheFirstFailure(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	f := NewFrame(t.Context(), &nobody{})
	f.Opened(&cursor{frame: &f, failed: first})
	f.End()
	if got := f.Doom(second); !errors.Is(got, second) || !errors.Is(f.Failure(), first) {
		t.Errorf("%v, then %v", f.Failure(), got)
	}
	f = NewFrame(t.Context(), &nobody{})
	_ = f.Doom(first)
	if err := start(&f); !errors.Is(err, first) {
		t.Errorf("a doomed transaction goes on: %v", err)
	}
}

// An Update inside a transaction of the same database is told from one of another, also when
// transactions of both surround it.
func TestNested(t *testing.T) {
	state, audit := &nobody{}, &nobody{}
	outer := NewFrame(t.Context(), state)
	inner := NewFrame(outer.Context(), audit)
	for _, c := range []struct {
		ctx    context.Context
		db     DB
		nested bool
	}{{t.Context(), state, false}, {outer.Context(), state, true}, {outer.Context(), audit, false}, {inner.Context(), state, true}, {inner.Context(), audit, true}} {
		if err := Nested(c.ctx, c.db); errors.Is(err, ErrMisuse) != c.nested {
			t.Errorf("%v", err)
		}
	}
}

func TestRowOf(t *testing.T) {
	failed := errors.New("no answer")
	for name, c := range map[string]struct {
		rows   int
		query  error
		closed error
		want   error
	}{
		"a row": {rows: 1}, "none": {want: ErrNoRows}, "a query that failed": {query: failed, want: failed},
		"none because it broke": {closed: failed, want: failed}, "half a result": {rows: 1, closed: failed, want: failed},
	} {
		f := NewFrame(t.Context(), &nobody{})
		r := &cursor{frame: &f, rows: c.rows, failed: c.closed}
		if c.query == nil {
			f.Opened(r)
		}
		if err := RowOf(r, c.query).Scan(); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
