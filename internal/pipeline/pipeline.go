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
	"maps"
	"math/rand/v2"
	"slices"
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
	// Record writes audit events of a tenant in a transaction of their own: those about dead
	// letters. Nil writes none.
	Record func(ctx context.Context, tenant string, events []audit.Event) error
	// Owner is the tenant whose trail has what nobody else's can have: records that do not say
	// whose they are.
	Owner string
	// Precedence, when set, is shared by all stages of a process.
	Precedence *Precedence
	// failing is set while an engine that the stage needs for every alert does not answer.
	failing atomic.Bool
}

// Ready reports whether the stage's engines answered when it last needed them.
func (s *Stage) Ready() bool { return !s.failing.Load() }

// retry runs fn until it succeeds, fails for good or ctx ends. permanent errors are returned.
func (s *Stage) retry(ctx context.Context, what string, permanent func(error) bool, fn func() error) error {
	return s.keepTrying(ctx, what, permanent, s.failing.Store, fn)
}

// patiently is retry for an engine that few alerts need, and that the process is ready without.
func (s *Stage) patiently(ctx context.Context, what string, permanent func(error) bool, fn func() error) error {
	return s.keepTrying(ctx, what, permanent, func(bool) {}, fn)
}

func (s *Stage) keepTrying(ctx context.Context, what string, permanent func(error) bool, failing func(bool), fn func() error) error {
	wait := minBackoff
	for {
		err := fn()
		if err == nil {
			failing(false)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if permanent != nil && permanent(err) {
			return err
		}
		failing(true)
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

// consume starts a consumer, however long the broker takes to answer.
func (s *Stage) consume(ctx context.Context, cfg bus.ConsumerConfig) (consumer *bus.Consumer, err error) {
	err = s.retry(ctx, "bus", lasting, func() error {
		consumer, err = s.Bus.Consume(ctx, cfg)
		return err
	})
	return consumer, err
}

// poller is what a loop takes its batches from.
type poller interface {
	Poll(ctx context.Context) (bus.Batch, error)
}

// poll waits for the next batch, also for a broker that refuses to give one: rights that were
// taken away may come back.
func (s *Stage) poll(ctx context.Context, consumer poller) (bus.Batch, error) {
	batch, err := consumer.Poll(ctx)
	if err == nil || ctx.Err() != nil || lasting(err) {
		return batch, err
	}
	err = s.retry(ctx, "bus", lasting, func() error {
		batch, err = consumer.Poll(ctx)
		return err
	})
	return batch, err
}

// lasting reports whether trying again is of no use: only engines are waited for.
func lasting(err error) bool {
	return !errors.Is(err, bus.ErrUnavailable) && !errors.Is(err, store.ErrUnavailable)
}

// deadLetters stores letters and says so in the audit trail, however long that takes.
func (s *Stage) deadLetters(ctx context.Context, letters []bus.DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	for _, l := range letters {
		s.Log.Warn("dead letter", "stage", l.Stage, "reason", l.Reason, "topic", l.Original.Topic, "offset", l.Original.Offset, "error", l.Err)
	}
	if err := s.retry(ctx, "dead letters", nil, func() error { return s.Bus.DeadLetter(ctx, letters...) }); err != nil {
		return err
	}
	return s.recordLetters(ctx, letters)
}

// recordLetters writes one audit record for the letters of each tenant. A restart before the
// offset is stored buries and records again.
func (s *Stage) recordLetters(ctx context.Context, letters []bus.DeadLetter) error {
	if s.Record == nil {
		return nil
	}
	sums := map[string]*audit.Rejections{}
	for i := range letters {
		l := &letters[i]
		header, _ := l.Original.Header(bus.HeaderTenant)
		tenant := string(header)
		if audit.CheckTenant(tenant) != nil {
			tenant = s.Owner
		}
		sum := sums[tenant]
		if sum == nil {
			sum = &audit.Rejections{}
			sums[tenant] = sum
		}
		source, _ := l.Original.Header(HeaderSource)
		sum.Add(string(source), l.Reason+": "+l.Err, l.Original.Value)
	}
	for _, tenant := range slices.Sorted(maps.Keys(sums)) {
		event, err := sums[tenant].Event(letters[0].Stage, s.Clock.Now())
		if err != nil {
			return fmt.Errorf("record of dead letters: %w", err)
		}
		err = s.retry(ctx, "state database", nil, func() error { return s.Record(ctx, tenant, []audit.Event{event}) })
		if err != nil {
			return err
		}
	}
	return nil
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
	// Shares says which alerts go before the rest; nil means all that are not critical.
	Shares *Shares
	// Precedence is that of the stages in the same process, if there are any.
	Precedence *Precedence
}

// Offer publishes alerts on the raw topic of their lane. It returns nil only when the bus has
// acknowledged all of them; on an error the caller offers the same alerts again.
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
		l := in.lane(a)
		in.Precedence.begin(l)
		recs[i] = bus.Record{Topic: l.raw, Key: []byte(a.TenantID + "\x00" + a.ID), Value: b, Headers: tenantHeader(a.TenantID)}
	}
	return in.Bus.Produce(ctx, recs)
}

// lane is where an alert goes in: the bulk lane when it is beyond the share of its sender.
func (in *Intake) lane(a *alert.Alert) lane {
	if a.Severity != alert.Critical && in.Shares != nil && !in.Shares.within(a.TenantID, a.Source) {
		return bulk
	}
	return regular.of(a)
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
