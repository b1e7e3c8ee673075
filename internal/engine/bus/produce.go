package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// deliveryTimeout ends a Produce whose context has no earlier deadline. The client has a
	// setting for this too, but counts from the record's timestamp.
	deliveryTimeout = 30 * time.Second
	// gather lets the records of one call meet in one batch; the call itself ends the wait when
	// its last record is in, so it costs no latency.
	gather = 2 * time.Millisecond
	// ackTimeout is how long the replicas in sync may take for one request before the leader gives
	// up and we ask again. With requestOverhead it bounds how long a dead connection holds records.
	ackTimeout = 4 * time.Second
	// maxBufferedBytes bounds what producers hold in memory; beyond it Produce waits.
	maxBufferedBytes = 64 << 20
)

func (b *Bus) producerOpts() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// A caller's deadline must hold even with a request in the air. The caller then repeats,
		// and consumers drop what arrives twice: they have to anyway.
		kgo.AllowIdempotentProduceCancellation(),
		kgo.ProducerLinger(gather),
		kgo.ProducerBatchMaxBytes(maxBatchBytes),
		kgo.MaxBufferedBytes(maxBufferedBytes),
		kgo.UnknownTopicRetries(2),
	}
	if b.embedded != nil {
		// Over an in-memory network compression only costs.
		return append(opts, kgo.ProducerBatchCompression(kgo.NoCompression()))
	}
	return append(opts, kgo.ProduceRequestTimeout(ackTimeout), kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()))
}

// Produce sends records and returns nil only when every one of them is acknowledged, which means
// on disk (embedded) or on all replicas in sync. Records of one key keep their order. A call is
// one request per broker, so many records in one call are much cheaper than many calls.
//
// Errors: ErrTooLarge in a RecordError, before anything was sent; ErrUnknownTopic; ErrClosed; and
// ErrUnavailable for the rest, at the latest when ctx ends: then any of the records may or may
// not have arrived, and the caller repeats the call.
func (b *Bus) Produce(ctx context.Context, recs []Record) error {
	return b.produce(ctx, recs, MaxRecordBytes)
}

func (b *Bus) produce(ctx context.Context, recs []Record, limit int) error {
	if len(recs) == 0 {
		return nil
	}
	out, err := toClient(recs, limit)
	if err != nil {
		return err
	}
	done, err := b.enter()
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, deliveryTimeout)
	// The call may have to return while the client still waits for an answer, so the wait has a
	// goroutine of its own: one per call. It ends when the client gives the records up.
	results := make(chan error, 1)
	b.sending.Go(func() {
		defer cancel()
		results <- b.client.ProduceSync(ctx, out...).FirstErr()
	})
	select {
	case err = <-results:
	case <-ctx.Done():
		select {
		case err = <-results: // both were ready: the outcome is known
		default:
			err = context.Cause(ctx)
		}
	}
	return produceError(len(recs), recs[0].Topic, err)
}

func produceError(n int, topic string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kgo.ErrClientClosed):
		return ErrClosed
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.InvalidTopicException):
		return fmt.Errorf("produce %d records, the first for %s: %w", n, topic, ErrUnknownTopic)
	case errors.Is(err, kerr.MessageTooLarge):
		return fmt.Errorf("produce %d records, the first for %s: %w (the broker's limit: max.message.bytes)", n, topic, ErrTooLarge)
	}
	return unavailable(fmt.Sprintf("produce %d records, the first for %s", n, topic), err)
}

// toClient checks sizes first, so that a record that cannot pass holds nothing up half sent.
func toClient(recs []Record, limit int) ([]*kgo.Record, error) {
	headers := 0
	for i := range recs {
		if n := recs[i].size(); n > limit {
			return nil, &RecordError{Index: i, Topic: recs[i].Topic, Bytes: n, Err: ErrTooLarge}
		}
		if recs[i].Topic == "" {
			return nil, &RecordError{Index: i, Err: ErrUnknownTopic}
		}
		headers += len(recs[i].Headers)
	}
	// Three allocations for any number of records.
	block := make([]kgo.Record, len(recs))
	out := make([]*kgo.Record, len(recs))
	arena := make([]kgo.RecordHeader, 0, headers)
	for i := range recs {
		r := &recs[i]
		from := len(arena)
		for _, h := range r.Headers {
			arena = append(arena, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		block[i] = kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: arena[from:len(arena):len(arena)], Timestamp: r.Timestamp}
		out[i] = &block[i]
	}
	return out, nil
}
