package pipeline

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/orchestrate"
	"github.com/aluskort/aluskort/internal/parallel"
)

// EntityParser makes entities and indicators of an alert.
type EntityParser interface {
	Parse(a *alert.Alert) alert.Entities
}

// Parser is the entity-parser service: alerts.raw → alerts.normalized.
type Parser struct {
	Stage
	Entities EntityParser
	Blobs    blob.Store
	// Fields flattens native bytes the way the adapter of that source does.
	Fields func(source string, raw []byte) (alert.Fields, error)
	// Normalise makes an alert of native bytes that the intake had refused and that were sent back
	// from the dead letters.
	Normalise func(raw []byte, source, tenant string) (alert.Alert, error)
	// OnDead is told how many records went to the dead letters.
	OnDead func(n int)
}

// Headers of a record whose value is not a frame but what a product sent: SchemaNative as the
// schema, and the source that the sender named.
const (
	SchemaNative = "native"
	HeaderSource = "source"
)

// parsed is a batch on its way out.
type parsed struct {
	batch   bus.Batch
	out     []bus.Record
	letters []bus.DeadLetter
}

// Run works on all lanes until ctx ends.
func (p *Parser) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range lanes {
		g.Go(func() error { return p.run(ctx, l) })
	}
	return g.Wait()
}

// run works on one lane. While one batch is being published, the next is parsed.
func (p *Parser) run(ctx context.Context, l lane) error {
	consumer, err := p.consume(ctx, bus.ConsumerConfig{Group: bus.GroupEntityParser, Topics: []string{l.raw}, Batch: p.Precedence.limits(l)})
	if err != nil {
		return ended(ctx, fmt.Errorf("consume: %w", err))
	}
	ready := make(chan *parsed)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(ready)
		for {
			batch, err := p.poll(ctx, consumer)
			if err != nil {
				return ended(ctx, err)
			}
			p.Precedence.begin(l)
			p.Precedence.aside(ctx, l)
			work, err := p.parse(ctx, l, batch)
			if err != nil {
				return ended(ctx, err)
			}
			select {
			case ready <- work:
			case <-ctx.Done():
				return nil
			}
		}
	})
	g.Go(func() error {
		for work := range ready {
			if err := p.publish(ctx, consumer, work); err != nil {
				return ended(ctx, err)
			}
			p.Precedence.begin(l)
		}
		return nil
	})
	return errors.Join(g.Wait(), consumer.Close())
}

func (p *Parser) parse(ctx context.Context, l lane, batch bus.Batch) (*parsed, error) {
	work := &parsed{batch: batch, out: make([]bus.Record, len(batch.Records))}
	failures := make([]error, len(batch.Records))
	err := parallel.Within(p.Precedence.sparing(ctx, l), len(batch.Records), func(i int) error {
		one := func() (bus.Record, error) { return p.one(ctx, l, &batch.Records[i]) }
		rec, err := guarded(one)
		if errors.Is(err, blob.ErrUnavailable) && l.ahead {
			work.out[i] = again(&batch.Records[i], bulk.raw)
			return nil
		}
		if errors.Is(err, blob.ErrUnavailable) {
			return p.patiently(ctx, "object store", func(err error) bool { return !errors.Is(err, blob.ErrUnavailable) }, func() error {
				work.out[i], err = guarded(one)
				failures[i] = err
				return err
			})
		}
		work.out[i], failures[i] = rec, err
		return nil
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		p.Log.Debug("some records failed", "error", err)
	}
	kept := work.out[:0]
	for i, rec := range work.out {
		if failures[i] != nil {
			work.letters = append(work.letters, bus.DeadLetter{
				Original: batch.Records[i], Stage: "entity-parser", Reason: reasonOf(failures[i]), Err: failures[i].Error(),
			})
			continue
		}
		kept = append(kept, rec)
	}
	work.out = kept
	return work, nil
}

// reasonOf is the short code under which dead letters are grouped.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, alert.ErrFrame):
		return "frame"
	case errors.Is(err, alert.ErrTooDeep), errors.Is(err, alert.ErrTooManyFields), errors.Is(err, alert.ErrTooLarge):
		return "limit"
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrDamaged):
		return "object"
	case errors.Is(err, orchestrate.ErrDamaged):
		return "investigation" // cannot be read; replay when it is restored
	case errors.Is(err, orchestrate.ErrPanic):
		return "panic"
	default:
		return "payload"
	}
}

// maxFrame is the largest message that leaves the parser; it leaves room for key and headers.
const maxFrame = bus.MaxRecordBytes - 4<<10

// one makes the normalised message of one record that came on l. Every error is the record's own
// fault, but for blob.ErrUnavailable.
func (p *Parser) one(ctx context.Context, l lane, rec *bus.Record) (bus.Record, error) {
	m, err := p.message(rec)
	if err != nil {
		return bus.Record{}, err
	}
	raw := m.Alert.RawPayload
	if m.RawRef != "" {
		if raw, err = l.read(ctx, p.Blobs, m.Alert.TenantID, m.RawRef); err != nil {
			return bus.Record{}, err
		}
	}
	if m.Alert.Fields, err = p.Fields(m.Alert.Source, raw); err != nil {
		return bus.Record{}, err
	}
	m.Entities = p.Entities.Parse(&m.Alert)
	m.Fingerprint = alert.Fingerprint(&m.Alert, m.Entities.List)
	b, err := alert.AppendFrame(make([]byte, 0, len(rec.Value)+len(rec.Value)/2), m)
	if err != nil {
		return bus.Record{}, err
	}
	if len(b) > maxFrame {
		return bus.Record{}, fmt.Errorf("%w: with its entities the message has %d bytes, at most %d pass", alert.ErrTooLarge, len(b), maxFrame)
	}
	return bus.Record{
		Topic: l.of(&m.Alert).normalized, Key: []byte(m.Alert.TenantID + "\x00" + m.Fingerprint), Value: b, Headers: tenantHeader(m.Alert.TenantID),
	}, nil
}

// message reads the frame of a record, or makes one of native bytes.
func (p *Parser) message(rec *bus.Record) (*alert.Message, error) {
	if schema, _ := rec.Header(bus.HeaderSchema); string(schema) != SchemaNative || p.Normalise == nil {
		return alert.DecodeFrame(rec.Value)
	}
	source, _ := rec.Header(HeaderSource)
	tenant, _ := rec.Header(bus.HeaderTenant)
	a, err := p.Normalise(rec.Value, string(source), string(tenant))
	if err != nil {
		return nil, err
	}
	return &alert.Message{Alert: a}, nil
}

func (p *Parser) publish(ctx context.Context, consumer *bus.Consumer, work *parsed) error {
	err := p.retry(ctx, "alerts.normalized", func(err error) bool { return errors.Is(err, bus.ErrTooLarge) }, func() error {
		return p.Bus.Produce(ctx, work.out)
	})
	if err != nil {
		return err
	}
	if err := p.deadLetters(ctx, work.letters); err != nil {
		return err
	}
	if p.OnDead != nil && len(work.letters) > 0 {
		p.OnDead(len(work.letters))
	}
	if err := consumer.Commit(ctx, work.batch); err != nil && ctx.Err() == nil {
		// The next commit covers this one; until then a restart only repeats the batch.
		p.Log.Warn("group offset not committed", "error", err)
	}
	return nil
}
