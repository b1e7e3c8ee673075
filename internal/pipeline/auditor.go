package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aluskort/aluskort/internal/engine/bus"
)

// Chain appends audit messages durably, each event exactly once.
type Chain interface {
	Append(ctx context.Context, messages [][]byte) error
}

// Auditor is the audit-service's loop: audit.events → chain.
type Auditor struct {
	Stage
	Chain Chain
}

// Run works until ctx ends.
func (a *Auditor) Run(ctx context.Context) error {
	consumer, err := a.Bus.Consume(ctx, bus.ConsumerConfig{
		Group: bus.GroupAuditService, Topics: []string{bus.AuditEvents},
		Batch: bus.BatchLimits{Records: 256, Bytes: 4 << 20, Linger: 20 * time.Millisecond},
	})
	if err != nil {
		return ended(ctx, fmt.Errorf("consume: %w", err))
	}
	return errors.Join(ended(ctx, a.loop(ctx, consumer)), consumer.Close())
}

func (a *Auditor) loop(ctx context.Context, consumer *bus.Consumer) error {
	for {
		batch, err := consumer.Poll(ctx)
		if err != nil {
			return err
		}
		payloads := make([][]byte, len(batch.Records))
		for i := range batch.Records {
			payloads[i] = batch.Records[i].Value
		}
		if err := a.retry(ctx, "audit database", nil, func() error { return a.Chain.Append(ctx, payloads) }); err != nil {
			return err
		}
		if err := a.retry(ctx, "offset of audit.events", nil, func() error { return consumer.Commit(ctx, batch) }); err != nil {
			return err
		}
	}
}
