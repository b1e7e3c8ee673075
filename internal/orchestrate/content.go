package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/investigate"
)

// ContentError says that what is to be processed is at fault and no engine: trying again cannot
// help. Investigation is the one that it happened to, empty when that is not known.
type ContentError struct {
	Investigation string
	Err           error
}

// Error implements error.
func (e *ContentError) Error() string {
	if e.Investigation == "" {
		return e.Err.Error()
	}
	return "investigation " + e.Investigation + ": " + e.Err.Error()
}

// Unwrap returns what is wrong.
func (e *ContentError) Unwrap() error { return e.Err }

// ErrPanic marks what made the product's own code fail.
var ErrPanic = errors.New("orchestrate: failed inside")

// Refusal is a message that cannot become part of an investigation, and why.
type Refusal struct {
	Message *alert.Message
	Err     error
}

// RefusedError says that nothing of a batch was written because some of its messages cannot be
// processed, whatever is tried. They are no longer part of the batch: keep them elsewhere, then
// commit the batch again.
type RefusedError struct{ Refused []Refusal }

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("orchestrate: %d messages cannot be processed, the first: %v", len(e.Refused), e.Refused[0].Err)
}

// asContent marks errors of the engines' contracts that are the fault of what was to be stored.
func asContent(err error) error {
	for _, refused := range [...]error{audit.ErrEvent, audit.ErrUse, audit.ErrRange, audit.ErrTenant, store.ErrMessage, store.ErrConstraint} {
		if errors.Is(err, refused) && !isContent(err) {
			return &ContentError{Err: err}
		}
	}
	return err
}

func isContent(err error) bool {
	var c *ContentError
	return errors.As(err, &c)
}

// guard runs fn; a panic in it becomes a *ContentError of the investigation.
func (e *Engine) guard(investigation string, fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.cfg.Log.Error("failed inside", "investigation", investigation, "panic", p, "stack", string(debug.Stack()))
			err = &ContentError{Investigation: investigation, Err: fmt.Errorf("%w: %v", ErrPanic, p)}
		}
	}()
	return fn()
}

// update runs fn in one transaction. What fails in it because of content is a *ContentError.
func (e *Engine) update(ctx context.Context, fn func(*writer) error) error {
	return e.db.Update(ctx, func(tx store.Tx) error {
		w := &writer{e: e, tx: tx, now: e.cfg.Clock.Now(), rows: map[string]*row{}, dirty: map[string]bool{}}
		return asContent(e.guard("", func() error { return fn(w) }))
	})
}

// errTrial rolls a trial back.
var errTrial = errors.New("orchestrate: only a trial")

// search finds the messages of a batch that make its transaction fail, by halves. Each trial
// holds what passed so far, so that what is left in the end passed together.
type search struct {
	e       *Engine
	offsets []Offset
	passed  []*item
	bad     []*item
	why     []error
}

func (s *search) halve(ctx context.Context, items []*item) error {
	err := s.e.update(ctx, func(w *writer) error {
		if err := w.run(&Evaluated{items: slices.Concat(s.passed, items), offsets: s.offsets}); err != nil {
			return err
		}
		return errTrial
	})
	switch {
	case errors.Is(err, errTrial):
		s.passed = append(s.passed, items...)
		return nil
	case !isContent(err):
		return err
	case len(items) == 1:
		s.bad, s.why = append(s.bad, items[0]), append(s.why, err)
		return nil
	}
	half := len(items) / 2
	if err := s.halve(ctx, items[:half]); err != nil {
		return err
	}
	return s.halve(ctx, items[half:])
}

// isolate takes the messages out of a batch that are at fault for cause.
func (e *Engine) isolate(ctx context.Context, ev *Evaluated, cause *ContentError) ([]Refusal, error) {
	theirs := slices.DeleteFunc(slices.Clone(ev.items), func(it *item) bool { return it.redelivered || it.invID != cause.Investigation })
	s := &search{e: e, offsets: ev.offsets}
	if errors.Is(cause, ErrDamaged) && len(theirs) > 0 {
		// Nothing can be folded into what cannot be read.
		if err := e.setAside(ctx, cause.Investigation, cause); err != nil {
			return nil, err
		}
		s.bad = theirs
		for range theirs {
			s.why = append(s.why, cause)
		}
		return ev.refuse(s), nil
	}
	for _, suspects := range [][]*item{theirs, ev.items} {
		if len(suspects) == 0 {
			continue
		}
		s = &search{e: e, offsets: ev.offsets}
		if err := s.halve(ctx, suspects); err != nil {
			return nil, err
		}
		if len(s.bad) > 0 {
			return ev.refuse(s), nil
		}
	}
	// It passed this time: the caller tries again, as after an error of an engine.
	return nil, fmt.Errorf("content refused once and taken at the next trial: %s", cause.Error())
}

// refuse takes what was found out of the batch.
func (ev *Evaluated) refuse(s *search) []Refusal {
	out := make([]Refusal, len(s.bad))
	for i, it := range s.bad {
		out[i] = Refusal{it.msg, s.why[i]}
	}
	ev.items = slices.DeleteFunc(ev.items, func(it *item) bool { return slices.Contains(s.bad, it) })
	return out
}

const (
	selectStanding = `SELECT tenant, state, set_aside IS NOT NULL FROM investigation WHERE id = $1`
	// The narrow row says that the investigation failed whatever its document says.
	updateAside = `UPDATE investigation SET state = $1, wait_reason = '', dirty_at = NULL, wake_at = NULL, set_aside = $2,
	updated_at = $3, version = version + 1 WHERE id = $4`
	clearAside = `UPDATE investigation SET dirty_at = NULL, wake_at = NULL WHERE id = $1`
	countAside = `SELECT COUNT(*) FROM investigation WHERE set_aside IS NOT NULL`
)

// setAside fails an investigation that cannot be read or decided, once, so that it holds up
// nothing else. A fold that can be decided takes it up again.
func (e *Engine) setAside(ctx context.Context, id string, why error) error {
	return e.update(ctx, func(w *writer) error {
		if err := w.setAside(id, why); err != nil {
			return err
		}
		return w.send()
	})
}

func (w *writer) setAside(id string, why error) error {
	inv := &investigate.Investigation{ID: id}
	aside := false
	err := w.tx.QueryRow(selectStanding, id).Scan(&inv.TenantID, (*string)(&inv.State), &aside)
	switch {
	case errors.Is(err, store.ErrNoRows):
		return nil
	case err == nil && aside: // something marked it again
		_, err = w.tx.Exec(clearAside, id)
	case err == nil:
		_, err = w.tx.Exec(updateAside, string(investigate.Failed), text(why.Error()), w.now.UnixMicro(), id)
	}
	if err != nil {
		return fmt.Errorf("set investigation %s aside: %w", id, err)
	}
	if aside {
		return nil
	}
	w.e.cfg.Log.Error("investigation set aside", "investigation", id, "error", why)
	w.journal.failed(w.now, inv, []investigate.State{inv.State, investigate.Failed}, why)
	return nil
}

// SetAside tells how many investigations cannot be read or decided and were set aside.
func (e *Engine) SetAside(ctx context.Context) (int64, error) { return SetAside(ctx, e.db) }

// SetAside is Engine.SetAside for a database that is only looked at.
func SetAside(ctx context.Context, db store.DB) (n int64, err error) {
	err = db.View(ctx, func(tx store.Tx) error { return tx.QueryRow(countAside).Scan(&n) })
	return n, err
}

// each runs step over the investigations that pick names, in one transaction. Where content is
// at fault, each has a transaction of its own and what fails there is set aside. It returns how
// many there were.
//
// step finds in w.rows those that can be read; it touches what is to be written.
func (e *Engine) each(ctx context.Context, pick func(store.Tx) ([]string, error), step func(*writer, []string) error) (int, error) {
	var ids []string
	err := e.update(ctx, func(w *writer) (err error) {
		if ids, err = pick(w.tx); err != nil || len(ids) == 0 {
			return err
		}
		return w.over(ids, step)
	})
	if !isContent(err) {
		return len(ids), err
	}
	for i := range ids {
		one := ids[i : i+1]
		err := e.update(ctx, func(w *writer) error { return w.over(one, step) })
		if isContent(err) {
			err = e.setAside(ctx, ids[i], err)
		}
		if err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

func (w *writer) over(ids []string, step func(*writer, []string) error) error {
	rows, damaged, err := w.e.loadRows(w.tx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if why := damaged[id]; why != nil {
			if err := w.setAside(id, why); err != nil {
				return err
			}
		}
	}
	w.rows = rows
	if err := step(w, ids); err != nil {
		return err
	}
	if err := w.save(); err != nil {
		return err
	}
	return w.send()
}

// pickIDs reads ids by a query.
func pickIDs(query string, args ...any) func(store.Tx) ([]string, error) {
	return func(tx store.Tx) (ids []string, err error) {
		err = query1(tx, query, args, func(rows store.Rows) error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
		return ids, err
	}
}
