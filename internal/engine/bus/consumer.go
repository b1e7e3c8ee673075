package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// BatchLimits say when a batch is closed: at the first limit it reaches. Zero fields take the
// defaults.
type BatchLimits struct {
	Records int           // 500
	Bytes   int           // of keys, values and headers, 1 MiB; a single larger record is a batch
	Linger  time.Duration // after the batch's first record, 5 ms; negative: take what is there
}

// ConsumerConfig says what to consume and how.
type ConsumerConfig struct {
	Group  string
	Topics []string
	Batch  BatchLimits
	// Offsets returns the next offsets that the owner of the work has stored in its own
	// transaction, for those of the partitions it knows; matching includes the topic id. They
	// win over the group's. Nil: the group's offsets only. With Offsets, group offsets only
	// serve Lag, and Commit gathers them for up to CommitEvery.
	Offsets     func(context.Context, []TopicPartition) (map[TopicPartition]int64, error)
	CommitEvery time.Duration // 250 ms
	// OnReset hears, before any record from there, that consumption goes on at got and not at
	// want: above want when retention or a truncation took records, below when the log ended
	// before want. The owner of stored offsets must store got before it returns, else a crash
	// finds the old offset inside a log that has grown meanwhile, and skips; it stores what
	// Batch.Next says as it is, never the maximum of old and new. An error stops consumption.
	OnReset func(ctx context.Context, tp TopicPartition, want, got int64) error
}

func (cfg *ConsumerConfig) setDefaults() error {
	if cfg.Group == "" || len(cfg.Topics) == 0 {
		return errors.New("consume: name a group and at least one topic")
	}
	cfg.Topics = slices.Clone(cfg.Topics)
	if cfg.Batch.Records <= 0 {
		cfg.Batch.Records = 500
	}
	if cfg.Batch.Bytes <= 0 {
		cfg.Batch.Bytes = 1 << 20
	}
	if cfg.Batch.Linger == 0 {
		cfg.Batch.Linger = 5 * time.Millisecond
	}
	if cfg.CommitEvery <= 0 {
		cfg.CommitEvery = 250 * time.Millisecond
	}
	return nil
}

// Batch is what one Poll returns: records of one or more partitions, in order within each.
type Batch struct {
	Records []Record
	// Next is, for each partition in the batch, the offset after its last record: what to store
	// in the transaction of the work.
	Next map[TopicPartition]int64
}

// Consumer reads topics as a member of a group. Poll is for one goroutine at a time; Commit and
// Close may be called from others.
//
// In memory are at most the batch that was handed out, what was left over from it, and one
// fetch of two batches' size per broker; a record above that size counts as itself.
type Consumer struct {
	bus     *Bus
	cfg     ConsumerConfig
	client  *kgo.Client
	commits *committer
	stop    context.CancelFunc // ends what runs inside the client's callbacks
	ready   bool               // started; guarded by the bus

	mu       sync.Mutex // guards the fields below: in a group, rebalances change them under Poll
	ids      map[string][16]byte
	pending  []*kgo.Record            // polled from the client, not yet in a batch
	expected map[TopicPartition]int64 // next offset; without id
	failed   error                    // found beside records; the next Poll returns it
	closed   bool

	closeOnce sync.Once
	closeErr  error
}

// Consume starts a consumer. The topics must exist (ErrUnknownTopic). Embedded, a group has one
// consumer per topic (ErrGroupInUse), which is assigned its partitions at once; in production,
// consumers of a group share the partitions and Poll waits for the assignment.
func (b *Bus) Consume(ctx context.Context, cfg ConsumerConfig) (*Consumer, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	done, err := b.enter()
	if err != nil {
		return nil, err
	}
	defer done()
	run, stop := context.WithCancel(context.Background())
	c := &Consumer{bus: b, cfg: cfg, stop: stop, ids: make(map[string][16]byte), expected: make(map[TopicPartition]int64)}
	if err := b.register(c); err != nil {
		stop()
		return nil, err
	}
	if err := c.start(ctx, run); err != nil {
		b.unregister(c)
		stop()
		return nil, fmt.Errorf("consume %v as %s: %w", cfg.Topics, cfg.Group, err)
	}
	if !b.admit(c) {
		_ = c.Close()
		return nil, ErrClosed
	}
	return c, nil
}

// admit hands the consumer to Close of the bus, unless that has passed already.
func (b *Bus) admit(c *Consumer) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.ready = !b.closed
	return c.ready
}

func (b *Bus) register(c *Consumer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	if b.embedded != nil {
		for other := range b.consumers {
			if other.cfg.Group != c.cfg.Group {
				continue
			}
			for _, t := range c.cfg.Topics {
				if slices.Contains(other.cfg.Topics, t) {
					return fmt.Errorf("consume %s as %s: %w", t, c.cfg.Group, ErrGroupInUse)
				}
			}
		}
	}
	b.consumers[c] = struct{}{}
	return nil
}

func (b *Bus) unregister(c *Consumer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.consumers, c)
}

func (c *Consumer) start(ctx, run context.Context) error {
	tps, err := c.bus.identify(ctx, c.cfg.Topics)
	if err != nil {
		return err
	}
	for _, tp := range tps {
		c.ids[tp.Topic] = tp.ID
	}
	var opts []kgo.Opt
	commit := c.commitGroup
	if c.bus.embedded != nil {
		commit = func(ctx context.Context, next map[TopicPartition]int64) error {
			return c.bus.commitDirect(ctx, c.cfg.Group, next)
		}
		opts, err = c.directOpts(ctx, tps)
	} else {
		opts = c.groupOpts(run)
	}
	if err != nil {
		return err
	}
	opts = append(opts,
		kgo.FetchMinBytes(1),
		kgo.FetchMaxWait(time.Second), // how long an idle fetch waits; data ends it at once
		kgo.FetchMaxBytes(int32(2*c.cfg.Batch.Bytes)),
		kgo.FetchMaxPartitionBytes(int32(2*c.cfg.Batch.Bytes)),
	)
	if c.client, err = kgo.NewClient(append(opts, c.bus.opts...)...); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	every := time.Duration(0)
	if c.cfg.Offsets != nil {
		every = c.cfg.CommitEvery
	}
	c.commits = newCommitter(commit, every, c.bus.cfg.Clock, c.bus.log)
	return nil
}

// directOpts assigns all partitions before Consume returns: offsets that have to be reset are
// then reset, and recorded, before the caller lets anything new into the log. A group member is
// placed in the background, while the log may already grow past a stale offset. Joining would be
// quick enough (2 to 4 ms against 1); on one node there is nobody to share partitions with.
func (c *Consumer) directOpts(ctx context.Context, tps []TopicPartition) ([]kgo.Opt, error) {
	group, err := c.bus.committed(ctx, c.cfg.Group)
	if err != nil {
		return nil, err
	}
	at, err := c.positions(ctx, tps, group)
	if err != nil {
		return nil, err
	}
	assign := make(map[string]map[int32]kgo.Offset)
	for tp, offset := range at {
		if assign[tp.Topic] == nil {
			assign[tp.Topic] = make(map[int32]kgo.Offset)
		}
		assign[tp.Topic][tp.Partition] = kgo.NewOffset().At(offset)
		c.expected[TopicPartition{Topic: tp.Topic, Partition: tp.Partition}] = offset
	}
	return []kgo.Opt{kgo.ConsumePartitions(assign)}, nil
}

func (c *Consumer) groupOpts(run context.Context) []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumerGroup(c.cfg.Group),
		kgo.ConsumeTopics(c.cfg.Topics...),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.HeartbeatInterval(time.Second),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, at map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(run, cancel)()
			return c.adjust(ctx, at)
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { c.forget(gone) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { c.forget(gone) }),
	}
}

// adjust runs in the client when the group has given us partitions.
func (c *Consumer) adjust(ctx context.Context, at map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	var tps []TopicPartition
	group := make(map[TopicPartition]int64)
	c.mu.Lock()
	for topic, ps := range at {
		for p, o := range ps {
			tps = append(tps, TopicPartition{Topic: topic, ID: c.ids[topic], Partition: p})
			if offset := o.EpochOffset().Offset; offset >= 0 {
				group[TopicPartition{Topic: topic, Partition: p}] = offset
			}
		}
	}
	c.mu.Unlock()
	found, err := c.positions(ctx, tps, group)
	if err != nil {
		c.bus.log.Error("cannot place a consumer", "group", c.cfg.Group, "error", err)
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for tp, offset := range found {
		at[tp.Topic][tp.Partition] = kgo.NewOffset().At(offset)
		c.expected[TopicPartition{Topic: tp.Topic, Partition: tp.Partition}] = offset
	}
	return at, nil
}

// forget drops what waits here of partitions that belong to another member now.
func (c *Consumer) forget(gone map[string][]int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = slices.DeleteFunc(c.pending, func(r *kgo.Record) bool { return slices.Contains(gone[r.Topic], r.Partition) })
	for topic, ps := range gone {
		for _, p := range ps {
			delete(c.expected, TopicPartition{Topic: topic, Partition: p})
		}
	}
}

// Commit tells the broker how far the group is; call it after the transaction that stored
// Batch.Next. A failed commit loses nothing: it is repeated with the next, or the records are
// read again. With stored offsets it only notes the position and returns.
func (c *Consumer) Commit(ctx context.Context, b Batch) error {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return ErrClosed
	}
	return c.commits.add(ctx, b.Next)
}

func (c *Consumer) commitGroup(ctx context.Context, next map[TopicPartition]int64) error {
	at := make(map[string]map[int32]kgo.EpochOffset)
	for tp, offset := range next {
		if at[tp.Topic] == nil {
			at[tp.Topic] = make(map[int32]kgo.EpochOffset)
		}
		at[tp.Topic][tp.Partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	var failed error
	c.client.CommitOffsetsSync(ctx, at, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		failed = commitError(resp, err)
	})
	if failed != nil {
		return unavailable("commit offsets of group "+c.cfg.Group, failed)
	}
	return nil
}

// Close ends the consumer: what was gathered is committed, a blocked Poll returns ErrClosed, and
// in production the group hears of it at once. A second Close does nothing.
func (c *Consumer) Close() error {
	c.closeOnce.Do(func() {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		c.closeErr = c.commits.close(ctx)
		c.stop()
		c.client.Close()
		c.bus.unregister(c)
	})
	return c.closeErr
}
