// Package pipeline joins the services to the bus: the loops that take batches off a topic,
// hand them to a service and put the results on the next topic. At-least-once, with commits
// after the effect; what cannot be processed because of its content goes to the dead letters
// with its original bytes, what fails because of an engine is tried again without limit.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// inlineRaw is the size up to which native bytes travel inside the message.
const inlineRaw = 256 << 10

// Back-off of a stage whose engine fails.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// Stage is what all loops share. Its fields must not change once a loop runs.
type Stage struct {
	Bus   *bus.Bus
	Clock clock.Clock
	Log   *slog.Logger
	// failing is set while an engine that the stage needs does not answer.
	failing atomic.Bool
}

// Ready reports whether the stage's engines answered when it last needed them.
func (s *Stage) Ready() bool { return !s.failing.Load() }

// retry runs fn until it succeeds, fails for good or ctx ends. permanent errors are returned.
func (s *Stage) retry(ctx context.Context, what string, permanent func(error) bool, fn func() error) error {
	wait := minBackoff
	for {
		err := fn()
		if err == nil {
			s.failing.Store(false)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if permanent != nil && permanent(err) {
			return err
		}
		s.failing.Store(true)
		s.Log.Error("engine failed, trying again", "what", what, "in", wait, "error", err)
		t := s.Clock.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		wait = min(2*wait, maxBackoff)
	}
}

// deadLetters stores letters, however long that takes.
func (s *Stage) deadLetters(ctx context.Context, letters []bus.DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	for _, l := range letters {
		s.Log.Warn("dead letter", "stage", l.Stage, "reason", l.Reason, "topic", l.Original.Topic, "offset", l.Original.Offset, "error", l.Err)
	}
	return s.retry(ctx, "dead letters", nil, func() error { return s.Bus.DeadLetter(ctx, letters...) })
}

// guarded runs fn on outside data; a panic in it is an error of that data.
func guarded[T any](fn func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", orchestrate.ErrPanic, p)
		}
	}()
	return fn()
}

// ended turns the end of ctx and of the bus into a clean return.
func ended(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || errors.Is(err, bus.ErrClosed) {
		return nil
	}
	return err
}

// Intake puts canonical alerts on the bus.
type Intake struct {
	Bus   *bus.Bus
	Blobs blob.Store
}

// Offer publishes alerts on alerts.raw. It returns nil only when the bus has acknowledged all
// of them; on an error the caller offers the same alerts again.
func (in *Intake) Offer(ctx context.Context, alerts []alert.Alert) error {
	recs := make([]bus.Record, len(alerts))
	for i := range alerts {
		a := &alerts[i]
		if err := audit.CheckTenant(a.TenantID); err != nil {
			return err // no audit chain could take what becomes of it
		}
		m := alert.Message{Alert: *a}
		if len(a.RawPayload) > inlineRaw {
			ref, err := in.Blobs.Put(ctx, a.TenantID, a.RawPayload)
			if err != nil {
				return err
			}
			m.RawRef, m.Alert.RawPayload = ref, nil
		}
		b, err := alert.AppendFrame(nil, &m)
		if err != nil {
			return err
		}
		recs[i] = bus.Record{Topic: bus.AlertsRaw, Key: []byte(a.TenantID + "\x00" + a.ID), Value: b, Headers: tenantHeader(a.TenantID)}
	}
	return in.Bus.Produce(ctx, recs)
}

func tenantHeader(tenant string) []bus.Header {
	return []bus.Header{{Key: bus.HeaderTenant, Value: []byte(tenant)}}
}

// Publisher publishes the outbox on the bus.
type Publisher struct{ Bus *bus.Bus }

// Publish implements store.Publisher.
func (p Publisher) Publish(ctx context.Context, msgs []store.Outgoing) error {
	recs := make([]bus.Record, len(msgs))
	for i, m := range msgs {
		recs[i] = bus.Record{Topic: m.Topic, Key: m.Key, Value: m.Payload, Headers: tenantHeader(m.Tenant)}
	}
	return p.Bus.Produce(ctx, recs)
}
