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
	// Fewer, when set, is asked when the first record of a batch is there how many it may have, up
	// to Records.
	Fewer func() int
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
	// Batch.Next says as it is, never the maximum of old and new. When the stored offset is not
	// want, another member has worked on: then it changes nothing and returns ErrMoved, and the
	// partition is placed anew. Any other error stops consumption.
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
	// From is, for each partition in the batch, where the consumer stood before it. The store
	// moves an offset from From to Next by compare-and-swap: whoever finds another offset there
	// was overtaken by another member of the group, writes nothing, and calls Rewind.
	From map[TopicPartition]int64

	epoch int // of the consumer when the batch was cut
}

// Consumer reads topics as a member of a group. Poll is for one goroutine at a time; Commit,
// Rewind and Close may be called from others.
//
// # Partitions that change hands
//
// In production the group gives a partition to another member when members come and go. Two
// things keep the work whole.
//
// The old owner may finish: before a partition is given up, its records that no batch has are
// dropped and batches that were handed out are waited for until Commit or Rewind, at most 10 s;
// meanwhile Poll waits. So in a quiet hand-over nothing is done twice.
//
// The old owner is fenced where it cannot be waited for: it stood still for longer than the
// session, or its transaction hangs. Nothing on the bus can stop it then, for its work ends in a
// database that knows nothing of the group. The stored offset is what both owners share: the
// transaction of the work moves it from Batch.From to Batch.Next, and the database lets one of
// two such transactions pass. The other finds an offset that is not its From, rolls back, and
// Rewind lets Poll go on from what is stored. Whichever of the two comes first is right, because
// a batch that starts at the stored offset is the next work of that partition whoever read it;
// so each record has its effect once, in the order of the log, and none is skipped.
//
// A consumer without stored offsets has no such fence: what was not committed to the broker is
// read again by the new owner, and its handler sees it twice.
//
// In memory are at most the batch that was handed out, what was left over from it, and one
// fetch of two batches' size per broker; a record above that size counts as itself.
type Consumer struct {
	bus     *Bus
	cfg     ConsumerConfig
	client  *kgo.Client
	bounds  func(ctx context.Context, topics []string) (starts, ends map[TopicPartition]int64, err error)
	commits *committer
	stop    context.CancelFunc // ends what runs inside the client's callbacks
	drop    context.CancelFunc // ends every request of the client
	ready   bool               // started; guarded by the bus

	started chan struct{}   // closed when client may be used by others than the client itself
	run     context.Context // ends with Close

	most int // records of the next batch; of the goroutine in Poll

	mu       sync.Mutex // guards the fields below: in a group, rebalances change them under Poll
	ids      map[string][16]byte
	pending  []*kgo.Record            // polled from the client, not yet in a batch
	expected map[TopicPartition]int64 // next offset, of the partitions that are ours; without id
	working  map[TopicPartition]int64 // offset after the last batch that neither Commit nor Rewind has seen
	settled  chan struct{}            // closed and replaced when working shrinks
	epoch    int                      // grows with every rewind
	rewound  map[TopicPartition]int   // epoch of the last rewind
	rewind   map[TopicPartition]bool  // to be placed anew by the next Poll
	doubted  map[TopicPartition]int64 // where a gap was met that the log did not explain
	wake     context.CancelFunc       // ends the fetch that is waiting, for a rewind
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
	c := newConsumer(b, cfg)
	c.run, c.stop = run, stop
	if err := b.register(c); err != nil {
		stop()
		return nil, err
	}
	if err := c.start(ctx); err != nil {
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

func newConsumer(b *Bus, cfg ConsumerConfig) *Consumer {
	return &Consumer{
		bus: b, cfg: cfg, most: cfg.Batch.Records, bounds: b.bounds, started: make(chan struct{}), settled: make(chan struct{}),
		ids: make(map[string][16]byte), expected: make(map[TopicPartition]int64), working: make(map[TopicPartition]int64),
		rewound: make(map[TopicPartition]int), rewind: make(map[TopicPartition]bool),
		doubted: make(map[TopicPartition]int64),
	}
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

func (c *Consumer) start(ctx context.Context) (err error) {
	tps, err := c.bus.identify(ctx, c.cfg.Topics)
	if err != nil {
		return err
	}
	for _, tp := range tps {
		c.ids[tp.Topic] = tp.ID
	}
	commit := c.commitGroup
	if c.bus.embedded != nil {
		commit = func(ctx context.Context, next map[TopicPartition]int64) error {
			return c.bus.commitDirect(ctx, c.cfg.Group, next)
		}
	}
	every := time.Duration(0)
	if c.cfg.Offsets != nil {
		every = c.cfg.CommitEvery
	}
	c.commits = newCommitter(commit, every, c.bus.cfg.Clock, c.bus.log)
	defer func() {
		close(c.started)
		if err != nil {
			c.commits.drop(nil)
			_ = c.commits.close(ctx)
		}
	}()
	opts := c.groupOpts()
	if c.bus.embedded != nil {
		if opts, err = c.directOpts(ctx, tps); err != nil {
			return err
		}
	}
	opts = append(opts,
		kgo.FetchMinBytes(1),
		kgo.FetchMaxWait(time.Second), // how long an idle fetch waits; data ends it at once
		kgo.FetchMaxBytes(int32(2*c.cfg.Batch.Bytes)),
		kgo.FetchMaxPartitionBytes(int32(2*c.cfg.Batch.Bytes)),
	)
	life, drop := context.WithCancel(context.Background())
	c.drop = drop
	if c.client, err = kgo.NewClient(append(append(opts, kgo.WithContext(life)), c.bus.opts...)...); err != nil {
		drop()
		return fmt.Errorf("client: %w", err)
	}
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
		c.expected[bare(tp)] = offset
	}
	return []kgo.Opt{kgo.ConsumePartitions(assign)}, c.publish(ctx, at, group)
}

// publish tells the broker, soon, where stored offsets are ahead of the group's, for Lag.
func (c *Consumer) publish(ctx context.Context, at, group map[TopicPartition]int64) error {
	if c.cfg.Offsets == nil {
		return nil
	}
	ahead := make(map[TopicPartition]int64)
	for tp, offset := range at {
		if offset > group[bare(tp)] {
			ahead[tp] = offset
		}
	}
	if len(ahead) == 0 {
		return nil
	}
	return c.commits.add(ctx, ahead) // gathered: the broker is not asked here
}

const (
	// sessionTimeout is how long a member may be silent before its partitions go to others.
	sessionTimeout = 10 * time.Second
	// rebalanceTimeout is how long a member may take to give its partitions up and come back; also
	// how long a join may hang on a connection that has died. More than handOver.
	rebalanceTimeout = 15 * time.Second
	// handOver is how long a partition is kept for batches that were handed out.
	handOver = 10 * time.Second
)

func (c *Consumer) groupOpts() []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumerGroup(c.cfg.Group),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.ConsumeTopics(c.cfg.Topics...),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.HeartbeatInterval(time.Second),
		kgo.SessionTimeout(sessionTimeout),
		kgo.RebalanceTimeout(rebalanceTimeout),
		// Fetched records go to pending, and partitions away from it, one after the other: a record
		// that came to pending after its partition had gone and returned would look like a gap.
		kgo.BlockRebalanceOnPoll(),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, at map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(c.run, cancel)()
			return c.adjust(ctx, at)
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { c.giveUp(gone) }),
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
	if err == nil {
		err = c.publish(ctx, found, group)
	}
	if err != nil {
		c.bus.log.Error("cannot place a consumer; trying again", "group", c.cfg.Group, "error", err)
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for tp, offset := range found {
		at[tp.Topic][tp.Partition] = kgo.NewOffset().At(offset)
		c.expected[bare(tp)] = offset
	}
	return at, nil
}

// giveUp runs in the client before partitions go to another member: what was handed out may
// still be finished and committed. The client goes on telling the group that we live.
func (c *Consumer) giveUp(gone map[string][]int32) {
	c.awaitFinished(gone)
	ctx, cancel := context.WithTimeout(c.run, requestOverhead)
	defer cancel()
	if err := c.commits.flush(ctx); err != nil && c.run.Err() == nil {
		c.bus.log.Warn("partitions go to another member before their last offsets were committed", "group", c.cfg.Group, "error", err)
	}
	c.forget(gone)
}

func (c *Consumer) awaitFinished(gone map[string][]int32) {
	t := c.bus.cfg.Clock.NewTimer(handOver)
	defer t.Stop()
	for {
		settled, busy := c.unfinished(gone)
		if !busy {
			return
		}
		select {
		case <-settled:
		case <-c.run.Done():
			return
		case <-t.C:
			c.bus.log.Warn("partitions go to another member with work under way, which will be refused or done again", "group", c.cfg.Group, "partitions", gone)
			return
		}
	}
}

// unfinished reports whether batches with records of these partitions are under way, and what is
// closed when fewer are.
func (c *Consumer) unfinished(of map[string][]int32) (settled <-chan struct{}, busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for tp := range c.working {
		if slices.Contains(of[tp.Topic], tp.Partition) {
			return c.settled, true
		}
	}
	return c.settled, false
}

// forget drops everything about partitions that belong to another member now.
func (c *Consumer) forget(gone map[string][]int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = slices.DeleteFunc(c.pending, func(r *kgo.Record) bool { return slices.Contains(gone[r.Topic], r.Partition) })
	var tps []TopicPartition
	for topic, ps := range gone {
		for _, p := range ps {
			tp := TopicPartition{Topic: topic, Partition: p}
			tps = append(tps, tp)
			delete(c.expected, tp)
			delete(c.working, tp)
			delete(c.rewind, tp)
			c.rewound[tp] = c.epoch + 1 // should it return, it is placed then; batches from before do not move it
		}
	}
	c.epoch++
	c.commits.drop(tps)
	c.announce()
}

// announce tells who waits for it that working has shrunk. The caller holds mu.
func (c *Consumer) announce() {
	close(c.settled)
	c.settled = make(chan struct{})
}

// settle notes that a batch is done with.
func (c *Consumer) settle(next map[TopicPartition]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for tp, at := range next {
		if last, ok := c.working[bare(tp)]; ok && at >= last {
			delete(c.working, bare(tp))
		}
	}
	c.announce()
}

// Commit tells the broker how far the group is; call it after the transaction that stored
// Batch.Next. A failed commit loses nothing: it is repeated with the next, or the records are
// read again. With stored offsets it only notes the position and returns. Partitions that went
// to another member meanwhile are left out: how far they are is for the new owner to say.
func (c *Consumer) Commit(ctx context.Context, b Batch) error {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return ErrClosed
	}
	defer c.settle(b.Next)
	return c.commits.add(ctx, b.Next)
}

// owned is the part of positions whose partitions are ours. A broker takes a commit of every
// member, also one that moves the offset of another member's partition back.
func (c *Consumer) owned(next map[TopicPartition]int64) map[TopicPartition]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	ours := make(map[TopicPartition]int64, len(next))
	for tp, at := range next {
		if _, ok := c.expected[bare(tp)]; ok {
			ours[tp] = at
		}
	}
	return ours
}

// Rewind takes a batch back whose transaction found another offset stored than the batch's From:
// Poll goes on from the stored offsets of its partitions. What was polled of them after the batch
// is read again; batches of it that are under way already are refused as well, and rewinding
// them too does nothing more.
func (c *Consumer) Rewind(b Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for tp := range b.Next {
		key := bare(tp)
		if _, ours := c.expected[key]; !ours || b.epoch < c.rewound[key] {
			continue
		}
		c.replace(key)
	}
	for tp, at := range b.Next {
		if last, ok := c.working[bare(tp)]; ok && at >= last {
			delete(c.working, bare(tp))
		}
	}
	c.announce()
}

// replace marks a partition to be placed anew by the next Poll, and wakes one that waits. The
// caller holds mu.
func (c *Consumer) replace(tp TopicPartition) {
	c.rewind[tp] = true
	if c.wake != nil {
		c.wake()
	}
}

func (c *Consumer) commitGroup(ctx context.Context, next map[TopicPartition]int64) error {
	<-c.started
	at := make(map[string]map[int32]kgo.EpochOffset)
	for tp, offset := range c.owned(next) {
		if at[tp.Topic] == nil {
			at[tp.Topic] = make(map[int32]kgo.EpochOffset)
		}
		at[tp.Topic][tp.Partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	if len(at) == 0 {
		return nil
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
// in production the group hears of it at once. With a broker that does not answer it takes 10 s
// and a little. A second Close does nothing.
func (c *Consumer) Close() error {
	c.closeOnce.Do(func() {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout/2)
		defer cancel()
		c.closeErr = c.commits.close(ctx)
		c.stop()
		c.leave()
		c.drop() // the client has more to say goodbye to, each with a patience of its own
		c.client.CloseAllowingRebalance()
		// The client polls once more while it closes, and its second leave would wait for that poller.
		c.client.AllowRebalance()
		c.bus.unregister(c)
	})
	return c.closeErr
}

// leave tells the group, so that it does not wait for the end of our session. The client would do
// it too, and insist.
func (c *Consumer) leave() {
	if c.bus.embedded != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout/2)
	defer cancel()
	c.client.AllowRebalance()
	if err := c.client.LeaveGroupContext(ctx); err != nil {
		c.bus.log.Warn("the group was left without a word; its partitions move when the session ends", "group", c.cfg.Group, "error", err)
	}
}
