package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/auditlog"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/orchestrate"
	"github.com/aluskort/aluskort/internal/result"
)

// Session runs files of native alerts through a node and gives back one line per record, in
// input order.
type Session struct {
	node    *Node
	source  string
	tenant  string
	entries []entry
	times   *Times
	cache   map[string]*seen
}

// Times holds how long each alert took from acceptance to its durable verdict, by the alert's
// sequence number. It is safe for concurrent use.
type Times struct {
	mu    sync.Mutex
	taken map[int64]time.Duration
}

// NewTimes returns an empty one.
func NewTimes() *Times { return &Times{taken: map[int64]time.Duration{}} }

// Observe takes the verdicts of a batch that were durable at now.
func (t *Times) Observe(out []orchestrate.Outcome, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range out {
		if _, ok := t.taken[out[i].Sequence]; !ok {
			t.taken[out[i].Sequence] = now.Sub(out[i].Message.Alert.IngestedAt)
		}
	}
}

func (t *Times) of(sequence int64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.taken[sequence]
}

// entry is one input record.
type entry struct {
	file            string
	index           int
	source, alertID string
	rejected        error
	heartbeat       bool
}

// seen is an investigation as published, loaded once.
type seen struct {
	models  result.LLM
	inv     *investigate.Investigation
	view    result.Investigation
	records int
}

// offerEvery is how many alerts are put on the bus at once.
const offerEvery = 500

// NewSession returns a session on a running node. source is "auto" or an adapter's name.
// times must be told about the node's verdicts.
func NewSession(n *Node, source, tenant string, times *Times) *Session {
	return &Session{node: n, source: source, tenant: tenant, times: times, cache: map[string]*seen{}}
}

// Read takes all records of one input and offers its alerts. progress hears the number of
// records so far; it may be nil.
func (s *Session) Read(ctx context.Context, r io.Reader, name string, progress func(records int)) error {
	var batch []alert.Alert
	var refused audit.Rejections
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := s.node.Offer(ctx, batch)
		batch = batch[:0:0]
		return err
	}
	err := s.node.Registry.Reader().Read(r, name, func(rec ingest.Record) error {
		e := entry{file: rec.File, index: rec.Index}
		a, err := s.node.Registry.Normalise(rec, s.source, s.tenant, s.node.opts.Clock.Now())
		if err != nil {
			e.rejected, e.heartbeat = err, errors.Is(err, ingest.ErrHeartbeat)
			if !e.heartbeat {
				refused.Add(sourceOf(err, s.source), err.Error(), rec.Raw)
			}
		} else {
			e.source, e.alertID = a.Source, a.ID
			batch = append(batch, a)
		}
		s.entries = append(s.entries, e)
		if progress != nil {
			progress(len(s.entries))
		}
		if len(batch) >= offerEvery {
			return flush()
		}
		return ctx.Err()
	})
	return errors.Join(err, flush(), s.recordRefused(ctx, &refused))
}

// recordRefused puts one record about the refused records of an input into the audit trail.
func (s *Session) recordRefused(ctx context.Context, refused *audit.Rejections) error {
	if refused.Count() == 0 {
		return nil
	}
	event, err := refused.Event("intake", s.node.opts.Clock.Now())
	if err != nil {
		return err
	}
	return s.node.Record(ctx, s.tenant, []audit.Event{event})
}

// sourceOf is the source that refused a record, as far as that is known.
func sourceOf(err error, asked string) string {
	var reject *ingest.RejectError
	if errors.As(err, &reject) && reject.Source != "" {
		return reject.Source
	}
	return asked
}

// ReadFile reads one file; "-" is not special here.
func (s *Session) ReadFile(ctx context.Context, path string, progress func(int)) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return s.Read(ctx, f, path, progress)
}

// Records tells how many records were read.
func (s *Session) Records() int { return len(s.entries) }

// Results calls fn with one line per record, in input order. The node must be settled.
func (s *Session) Results(ctx context.Context, fn func(result.Line) error) error {
	head, err := s.node.Audit.Head(ctx, s.tenant)
	if err != nil && !errors.Is(err, auditlog.ErrNoTenant) { // nothing was recorded when every record was refused
		return err
	}
	firsts := map[string]bool{}
	for i := range s.entries {
		line, err := s.line(ctx, &s.entries[i], firsts, head)
		if err != nil {
			return fmt.Errorf("%s, record %d: %w", s.entries[i].file, s.entries[i].index, err)
		}
		if err := fn(line); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) line(ctx context.Context, e *entry, firsts map[string]bool, head audit.Head) (result.Line, error) {
	if e.rejected != nil {
		return rejection(e), nil
	}
	loc, err := s.node.Engine.Locate(ctx, s.tenant, e.source, e.alertID)
	if errors.Is(err, orchestrate.ErrNotFound) {
		e.rejected = fmt.Errorf("the entity parser refused the record; `aluskort dlq list alerts.raw` in its state directory says why")
		return rejection(e), nil
	}
	if err != nil {
		return result.Line{}, err
	}
	m, err := s.node.Engine.Alert(ctx, s.tenant, loc.Sequence)
	if err != nil {
		return result.Line{}, err
	}
	v, err := s.load(ctx, loc.Investigation)
	if err != nil {
		return result.Line{}, err
	}
	inv := v.view
	if !loc.First || firsts[loc.Investigation] {
		inv.FoldedInto = loc.Investigation
	}
	firsts[loc.Investigation] = true
	return result.Line{Result: &result.Result{
		Alert: result.OfAlert(m), Investigation: inv,
		LLM:    v.models,
		Audit:  result.Audit{Records: v.records, Head: head.Hash.String()},
		Timing: result.Timing{Total: float64(s.times.of(loc.Sequence).Microseconds()) / 1000},
	}}, nil
}

func rejection(e *entry) result.Line {
	r := result.Rejected{File: e.file, Index: e.index, Reason: e.rejected.Error(), Dropped: e.heartbeat}
	var reject *ingest.RejectError
	if errors.As(e.rejected, &reject) {
		r.Source = reject.Source
	}
	if e.heartbeat {
		r.Reason = "heartbeat: it says only that the source is alive"
	}
	return result.Line{Rejection: &result.Rejection{Rejected: r}}
}

func (s *Session) load(ctx context.Context, id string) (*seen, error) {
	if v := s.cache[id]; v != nil {
		return v, nil
	}
	inv, err := s.node.Engine.Get(ctx, s.tenant, id)
	if err != nil {
		return nil, err
	}
	v := &seen{inv: inv, view: result.OfInvestigation(inv), models: result.OfModels(inv)}
	v.view.NextQuestions = s.node.NextQuestions(inv)
	if v.view.NeedsApproval {
		v.view.PlanHash = orchestrate.PlanHash(inv)
	}
	err = s.node.Audit.Investigation(ctx, s.tenant, id, func(audit.Record) error { v.records++; return nil })
	if err != nil {
		return nil, err
	}
	s.cache[id] = v
	return v, nil
}
