package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/aluskort/aluskort/internal/auditlog"
	"github.com/aluskort/aluskort/internal/engine/bus"
)

// Chain appends audit messages durably, each event exactly once. An *auditlog.AppendError names
// messages that were refused; all others are durable then.
type Chain interface {
	Append(ctx context.Context, messages [][]byte) error
}

// Auditor is the audit-service's loop: audit.events → chain.
//
// Its fence, where partitions change hands in a group, are the numbers of the origins: the chain
// drops what it has, whoever offers it, in the transaction that appends. So it stores no offsets;
// an owner that was overtaken, and messages that it still holds, offer what is there already, and
// what is acknowledged for a partition that went away is left out by the bus.
type Auditor struct {
	Stage
	Chain Chain
}

// What the chain refuses (a gap in the numbers of an origin, a broken chain of one tenant) is
// held and offered again, while the events of all others go on. Nothing is acknowledged as long
// as anything is held, so that a restart reads it again.
const (
	offerHeldEvery = 5 * time.Second
	maxHeldBytes   = 32 << 20 // beyond it nothing more is read
)

// source is what the loop needs of a consumer.
type source interface {
	poller
	Commit(ctx context.Context, b bus.Batch) error
}

// Run works until ctx ends.
func (a *Auditor) Run(ctx context.Context) error {
	consumer, err := a.consume(ctx, bus.ConsumerConfig{
		Group: bus.GroupAuditService, Topics: []string{bus.AuditEvents},
		Batch: bus.BatchLimits{Records: 256, Bytes: 4 << 20, Linger: 20 * time.Millisecond},
	})
	if err != nil {
		return ended(ctx, fmt.Errorf("consume: %w", err))
	}
	return errors.Join(ended(ctx, a.loop(ctx, consumer)), consumer.Close())
}

func (a *Auditor) loop(ctx context.Context, consumer source) error {
	var held [][]byte
	done := bus.Batch{Next: map[bus.TopicPartition]int64{}} // not acknowledged yet
	for {
		batch, err := a.next(ctx, consumer, held)
		if err != nil {
			return err
		}
		maps.Copy(done.Next, batch.Next)
		payloads := held
		for i := range batch.Records {
			payloads = append(payloads, batch.Records[i].Value)
		}
		if held, err = a.append(ctx, payloads); err != nil {
			return err
		}
		if len(held) > 0 || len(done.Next) == 0 {
			continue
		}
		if err := a.retry(ctx, "offset of audit.events", nil, func() error { return consumer.Commit(ctx, done) }); err != nil {
			return err
		}
		clear(done.Next)
	}
}

// next waits for a batch; while something is held, not longer than until it is to be offered
// again: the batch is empty then.
func (a *Auditor) next(ctx context.Context, consumer source, held [][]byte) (bus.Batch, error) {
	if len(held) == 0 {
		return a.poll(ctx, consumer)
	}
	wait, cancel := context.WithTimeout(ctx, offerHeldEvery)
	defer cancel()
	size := 0
	for _, p := range held {
		size += len(p)
	}
	if size > maxHeldBytes {
		<-wait.Done()
		return bus.Batch{}, ctx.Err()
	}
	batch, err := a.poll(wait, consumer)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return bus.Batch{}, nil
	}
	return batch, err
}

// append brings messages into the chain, however long that takes, and returns those it refused.
func (a *Auditor) append(ctx context.Context, payloads [][]byte) (refused [][]byte, err error) {
	err = a.retry(ctx, "audit database", nil, func() error {
		refused = nil
		err := a.Chain.Append(ctx, payloads)
		var some *auditlog.AppendError
		if !errors.As(err, &some) {
			return err
		}
		for _, r := range some.Refused {
			refused = append(refused, bytes.Clone(payloads[r.Message])) // it may lie in a large fetch
		}
		return nil
	})
	if len(refused) > 0 {
		a.failing.Store(true)
	}
	return refused, err
}
