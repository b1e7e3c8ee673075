package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/crash"
	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// Orchestrator is the orchestrator's fast path: alerts.normalized → verdicts.
type Orchestrator struct {
	Stage
	Engine *orchestrate.Engine
	Blobs  blob.Store
	// Fields flattens native bytes the way the adapter of that source does.
	Fields func(source string, raw []byte) (alert.Fields, error)
	// OnDead is told how many records went to the dead letters.
	OnDead func(n int)
	// Steady, when set, is held for reading from the evaluation of a batch to its commit. Whoever
	// holds it for writing changes what verdicts rest on between two batches.
	Steady *sync.RWMutex
	// OnRevised is told how many verdicts a revision changed.
	OnRevised func(n int)
	committed chan struct{} // holds a token while there may be something to revise
}

// begin and end are around a batch.
func (o *Orchestrator) begin() {
	if o.Steady != nil {
		o.Steady.RLock()
	}
}

func (o *Orchestrator) end() {
	if o.Steady != nil {
		o.Steady.RUnlock()
	}
}

// reviseEvery is how long the reviser rests when it is not woken.
const reviseEvery = 5 * time.Second

// wake tells the reviser that a batch was committed.
func (o *Orchestrator) wake() {
	select {
	case o.committed <- struct{}{}:
	default:
	}
}

// revise follows the batches: it decides again about investigations whose neighbours changed,
// and carries out timers, in transactions of its own, so that a batch never waits for them.
func (o *Orchestrator) revise(ctx context.Context) error {
	for {
		looked := 1
		for looked > 0 {
			err := o.retry(ctx, "state database", nil, func() (err error) {
				var changed int
				looked, changed, err = o.Engine.Revise(ctx)
				if changed > 0 && o.OnRevised != nil {
					o.OnRevised(changed)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		if err := o.drain(ctx, o.Engine.Sweep); err != nil {
			return err
		}
		if err := o.drain(ctx, o.Engine.Rollback); err != nil {
			return err
		}
		if err := o.drain(ctx, o.Engine.Recover); err != nil {
			return err
		}
		t := o.Clock.NewTimer(reviseEvery)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-o.committed:
			t.Stop()
		case <-t.C:
		}
	}
}

// drain repeats a step until it finds nothing left to do.
func (o *Orchestrator) drain(ctx context.Context, step func(context.Context) (int, error)) error {
	for left := 1; left > 0; {
		err := o.retry(ctx, "state database", nil, func() (err error) {
			left, err = step(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

type evaluated struct {
	batch bus.Batch
	// messages are those that could be read, and origin the records that they came in.
	messages   []*alert.Message
	origin     map[*alert.Message]*bus.Record
	unreadable []bus.DeadLetter
	work       *orchestrate.Evaluated
}

// Run works on all lanes until ctx ends.
func (o *Orchestrator) Run(ctx context.Context) error {
	o.committed = make(chan struct{}, 1)
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range lanes {
		g.Go(func() error { return o.run(ctx, l) })
	}
	g.Go(func() error { return ended(ctx, o.revise(ctx)) })
	return g.Wait()
}

// run works on one lane. While one batch is being committed, the next is evaluated.
func (o *Orchestrator) run(ctx context.Context, l lane) error {
	consumer, err := o.consume(ctx, bus.ConsumerConfig{
		Group: bus.GroupOrchestrator, Topics: []string{l.normalized},
		Batch:   o.Precedence.limits(l),
		Offsets: o.offsets,
		OnReset: func(ctx context.Context, tp bus.TopicPartition, want, got int64) error {
			err := o.Engine.SetOffset(ctx, offsetOf(tp, want, got))
			if errors.Is(err, orchestrate.ErrOffsetMoved) {
				return fmt.Errorf("%w: %w", bus.ErrMoved, err)
			}
			o.Log.Error("the log does not hold the offset that was reached; going on where it does", "partition", tp.String(), "want", want, "got", got)
			return err
		},
	})
	if err != nil {
		return ended(ctx, fmt.Errorf("consume: %w", err))
	}
	ready := make(chan evaluated)
	g, ctx := errgroup.WithContext(ctx)
	work := ctx
	if l.ahead {
		work = store.Ahead(ctx)
	}
	g.Go(func() error {
		defer close(ready)
		for {
			crash.Point(crash.BeforePoll)
			batch, err := o.poll(ctx, consumer)
			if err != nil {
				return ended(ctx, err)
			}
			o.Precedence.begin(l)
			o.Precedence.aside(ctx, l)
			ev, err := o.read(ctx, l, batch)
			if err != nil {
				return ended(ctx, err)
			}
			o.begin()
			if err := o.evaluate(o.Precedence.sparing(ctx, l), &ev); err != nil {
				o.end()
				return ended(ctx, err)
			}
			select {
			case ready <- ev:
			case <-ctx.Done():
				o.end()
				return nil
			}
		}
	})
	g.Go(func() error {
		for ev := range ready {
			o.Precedence.aside(ctx, l)
			err := o.commit(work, ev)
			o.Precedence.end(l)
			o.end()
			if errors.Is(err, orchestrate.ErrOffsetMoved) {
				// Nothing of the batch was written, and nothing is lost: its records are the work
				// of whoever owns the partition now, or come again from the stored offset.
				o.Log.Warn("another member of the group was faster; batch dropped", "records", len(ev.batch.Records), "error", err)
				consumer.Rewind(ev.batch)
				continue
			}
			if err != nil {
				return ended(ctx, err)
			}
			o.wake()
			if err := consumer.Commit(ctx, ev.batch); err != nil {
				o.Log.Warn("group offset not committed; the stored one is right", "error", err)
			}
		}
		return nil
	})
	return errors.Join(g.Wait(), consumer.Close())
}

// read reads the messages of a batch. It may wait for the object store for as long as that is away,
// so nothing that others wait for is held meanwhile.
func (o *Orchestrator) read(ctx context.Context, l lane, batch bus.Batch) (ev evaluated, err error) {
	ev = evaluated{batch: batch, origin: make(map[*alert.Message]*bus.Record, len(batch.Records))}
	var later []bus.Record
	for i := range batch.Records {
		rec := &batch.Records[i]
		m, err := o.decode(ctx, l, rec)
		if ctx.Err() != nil {
			return ev, ctx.Err()
		}
		if errors.Is(err, blob.ErrUnavailable) {
			later = append(later, again(rec, bulk.normalized))
			continue
		}
		if err != nil {
			ev.unreadable = append(ev.unreadable, letterOf(rec, err))
			continue
		}
		ev.origin[m] = rec
		ev.messages = append(ev.messages, m)
	}
	if len(later) > 0 {
		err = o.retry(ctx, bulk.normalized, nil, func() error { return o.Bus.Produce(ctx, later) })
	}
	return ev, err
}

// evaluate weighs the messages of a batch; what cannot be is with the dead letters afterwards.
func (o *Orchestrator) evaluate(ctx context.Context, ev *evaluated) (err error) {
	b := orchestrate.Batch{Messages: ev.messages}
	for tp, next := range ev.batch.Next {
		b.Offsets = append(b.Offsets, offsetOf(tp, ev.batch.From[tp], next))
	}
	if ev.work, err = o.Engine.Evaluate(ctx, b); err != nil {
		return err
	}
	return o.bury(ctx, append(ev.unreadable, ev.letters(ev.work.Refused)...))
}

// commit writes the verdicts of a batch. What cannot be processed because of its content goes to
// the dead letters before the others are written with the offset of all.
func (o *Orchestrator) commit(ctx context.Context, ev evaluated) error {
	for {
		var refused *orchestrate.RefusedError
		final := func(err error) bool { return errors.As(err, &refused) || errors.Is(err, orchestrate.ErrOffsetMoved) }
		err := o.retry(ctx, "state database", final, func() error {
			_, err := o.Engine.Commit(ctx, ev.work)
			return err
		})
		if refused == nil {
			return err
		}
		if err := o.bury(ctx, ev.letters(refused.Refused)); err != nil {
			return err
		}
	}
}

func (ev *evaluated) letters(refused []orchestrate.Refusal) []bus.DeadLetter {
	out := make([]bus.DeadLetter, len(refused))
	for i, r := range refused {
		out[i] = letterOf(ev.origin[r.Message], r.Err)
	}
	return out
}

func letterOf(rec *bus.Record, err error) bus.DeadLetter {
	return bus.DeadLetter{Original: *rec, Stage: "orchestrator", Reason: reasonOf(err), Err: err.Error()}
}

// bury puts letters to the dead and counts them.
func (o *Orchestrator) bury(ctx context.Context, letters []bus.DeadLetter) error {
	if err := o.deadLetters(ctx, letters); err != nil {
		return err
	}
	if o.OnDead != nil && len(letters) > 0 {
		o.OnDead(len(letters))
	}
	return nil
}

// decode reads a message and fetches native bytes that did not travel along, for the evidence;
// the stored document keeps only their reference. Only the bulk lane waits for an object store that
// is away; on others that is blob.ErrUnavailable.
func (o *Orchestrator) decode(ctx context.Context, l lane, rec *bus.Record) (*alert.Message, error) {
	m, err := alert.DecodeFrame(rec.Value)
	if err != nil || m.RawRef == "" {
		return m, err
	}
	var raw []byte
	final := func(err error) bool { return l.ahead || !errors.Is(err, blob.ErrUnavailable) }
	err = o.patiently(ctx, "object store", final, func() error {
		raw, err = l.read(ctx, o.Blobs, m.Alert.TenantID, m.RawRef)
		return err
	})
	if err != nil {
		return nil, err
	}
	m.Alert.Fields, err = guarded(func() (alert.Fields, error) { return o.Fields(m.Alert.Source, raw) })
	return m, err
}

func offsetOf(tp bus.TopicPartition, from, next int64) orchestrate.Offset {
	return orchestrate.Offset{Consumer: bus.GroupOrchestrator, Topic: tp.Topic, TopicID: tp.ID, Partition: tp.Partition, From: from, Next: next}
}

func (o *Orchestrator) offsets(ctx context.Context, wanted []bus.TopicPartition) (map[bus.TopicPartition]int64, error) {
	stored, err := o.Engine.Offsets(ctx, bus.GroupOrchestrator)
	if err != nil {
		return nil, err
	}
	out := make(map[bus.TopicPartition]int64, len(stored))
	for _, s := range stored {
		tp := bus.TopicPartition{Topic: s.Topic, ID: s.TopicID, Partition: s.Partition}
		for _, w := range wanted {
			if w == tp {
				out[tp] = s.Next
			}
		}
	}
	return out, nil
}
