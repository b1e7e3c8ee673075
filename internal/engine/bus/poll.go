package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Poll waits for a record and returns a batch: closed when it has Records or Bytes of the
// limits, or Linger after its first record. It returns ErrClosed after Close, the error of ctx
// when that ends first (a batch that has begun is still returned), and ErrUnavailable for what
// the broker refuses or, after a Rewind, the owner of the stored offsets does not answer. A
// broker that is away is waited for.
func (c *Consumer) Poll(ctx context.Context) (Batch, error) {
	if err := c.standing(); err != nil {
		return Batch{}, err
	}
	for {
		if err := c.gather(ctx); err != nil {
			return Batch{}, err
		}
		batch, err := c.cut(ctx)
		// Empty: a rebalance took the records away before they were a batch.
		if err != nil || len(batch.Records) > 0 {
			return batch, err
		}
	}
}

func (c *Consumer) standing() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	err := c.failed
	c.failed = nil
	return err
}

// gather fills pending until there is a batch in it, full or lingered for.
func (c *Consumer) gather(ctx context.Context) error {
	c.most = c.cfg.Batch.Records
	n, size := c.waiting()
	if c.rewinding() {
		if err := c.fetch(ctx, c.most); err != nil {
			return err
		}
		n, size = c.waiting()
	}
	for n == 0 {
		err := c.fetch(ctx, c.most)
		if n, size = c.waiting(); err != nil {
			if n == 0 {
				return err
			}
			c.keepError(ctx, err)
			return nil
		}
	}
	if c.cfg.Batch.Fewer != nil { // asked now: Poll may have waited for long
		c.most = max(1, min(c.most, c.cfg.Batch.Fewer()))
	}
	if c.cfg.Batch.Linger < 0 {
		return nil
	}
	var linger context.Context
	for n < c.most && size < c.cfg.Batch.Bytes {
		if linger == nil {
			var cancel context.CancelFunc
			linger, cancel = context.WithTimeout(ctx, c.cfg.Batch.Linger)
			defer cancel()
		}
		if err := c.fetch(linger, c.most-n); err != nil {
			c.keepError(linger, err)
			return nil
		}
		n, size = c.waiting()
	}
	return nil
}

// keepError saves an error that came while a batch was gathered for the next Poll, so that the
// batch is not lost. The end of ctx, which may be that of the linger, is no error.
func (c *Consumer) keepError(ctx context.Context, err error) {
	if errors.Is(err, ctx.Err()) || errors.Is(err, ErrClosed) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = err
}

func (c *Consumer) waiting() (n, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.pending {
		size += recordSize(r)
	}
	return len(c.pending), size
}

func recordSize(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

// fetch moves at most limit records from the client to pending, waiting for the first. With a
// rewind to do it does not wait.
func (c *Consumer) fetch(ctx context.Context, limit int) error {
	// Rebalances are held up from the return of PollRecords on.
	defer c.client.AllowRebalance()
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.wake = cancel
	if len(c.rewind) > 0 {
		cancel()
	}
	c.mu.Unlock()
	fetches := c.client.PollRecords(waiting, limit)
	failed := c.accept(ctx, fetches)
	if err := c.placeAnew(ctx); err != nil {
		return err
	}
	return failed
}

// accept puts fetched records to the others that wait.
func (c *Consumer) accept(ctx context.Context, fetches kgo.Fetches) (failed error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake = nil
	for i := range fetches {
		for j := range fetches[i].Topics {
			t := &fetches[i].Topics[j]
			for k := range t.Partitions {
				p := &t.Partitions[k]
				c.pending = append(c.pending, p.Records...)
				if p.Err != nil && failed == nil {
					failed = c.fetchError(ctx, t.Topic, p.Partition, p.Err)
				}
			}
		}
	}
	return failed
}

func (c *Consumer) rewinding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.rewind) > 0
}

// placeAnew moves partitions that were rewound to where the store says. It runs where no
// rebalance can: partitions neither come nor go.
func (c *Consumer) placeAnew(ctx context.Context) error {
	c.mu.Lock()
	var tps []TopicPartition
	group := make(map[TopicPartition]int64)
	for tp := range c.rewind {
		// Where nothing is stored, what the log holds from our own position on is right.
		group[tp] = c.expected[tp]
		tp.ID = c.ids[tp.Topic]
		tps = append(tps, tp)
	}
	c.mu.Unlock()
	if len(tps) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.run, cancel)()
	at, err := c.positions(ctx, tps, group)
	if errors.Is(err, ErrMoved) {
		return nil // once more, then
	}
	if err != nil {
		return fmt.Errorf("place a consumer of %s anew: %w", c.cfg.Group, err)
	}
	to := make(map[string]map[int32]kgo.EpochOffset)
	c.mu.Lock()
	c.epoch++
	for tp, offset := range at {
		key := bare(tp)
		c.bus.log.Info("going on from the stored offset", "group", c.cfg.Group, "partition", tp.String(), "offset", offset, "was_at", c.expected[key])
		c.pending = slices.DeleteFunc(c.pending, func(r *kgo.Record) bool { return r.Topic == tp.Topic && r.Partition == tp.Partition })
		c.expected[key], c.rewound[key] = offset, c.epoch
		delete(c.rewind, key)
		if to[tp.Topic] == nil {
			to[tp.Topic] = make(map[int32]kgo.EpochOffset)
		}
		to[tp.Topic][tp.Partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	c.mu.Unlock()
	c.client.SetOffsets(to)
	return nil
}

// fetchError translates; nil when the client goes on by itself.
func (c *Consumer) fetchError(ctx context.Context, topic string, partition int32, err error) error {
	var loss *kgo.ErrDataLoss
	var session *kgo.ErrGroupSession
	switch {
	case errors.Is(err, kgo.ErrClientClosed):
		return ErrClosed
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return ctx.Err()
	case errors.Is(err, context.Canceled):
		return nil // woken for a rewind
	case errors.As(err, &session) && !refused(err):
		// The client joins again by itself, as long as it takes.
		c.bus.log.Warn("the group was left; joining again", "group", c.cfg.Group, "error", err)
		return nil
	case errors.As(err, &loss):
		// The client has moved its position; take sees the gap in the offsets and reports it.
		c.bus.log.Warn("the log lost records that were consumed", "error", err)
		return nil
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return &TopicError{Topic: topic, Err: ErrUnknownTopic}
	}
	return unavailable(fmt.Sprintf("fetch %s/%d", topic, partition), err)
}

// gap is a place where offsets do not follow each other. Our topics are neither compacted nor
// transactional, so it means that records are gone.
type gap struct {
	tp        TopicPartition
	want, got int64
}

// cut takes a batch off pending. A gap ends the batch before it; at its head, it is reported
// first, outside the lock. If that fails, the records stay and the next Poll comes here again.
func (c *Consumer) cut(ctx context.Context) (Batch, error) {
	for {
		b, g := c.take()
		if g == nil {
			return b, nil
		}
		err := c.resetAt(ctx, g)
		switch {
		case errors.Is(err, ErrMoved), errors.Is(err, errMisplaced):
			c.mu.Lock()
			c.replace(bare(g.tp))
			c.mu.Unlock()
			return Batch{}, nil
		case err != nil:
			return Batch{}, err
		}
	}
}

// resetAt reports a gap. The owner of stored offsets moves his from want to got: the batches
// before the gap have to be stored by then.
func (c *Consumer) resetAt(ctx context.Context, g *gap) error {
	if c.cfg.Offsets != nil {
		if again, err := c.awaitStored(ctx, g.tp); again || err != nil {
			return err
		}
	}
	if err := c.explain(ctx, g); err != nil {
		return err
	}
	if err := c.reportReset(ctx, g.tp, g.want, g.got); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ours := c.expected[bare(g.tp)]; ours {
		c.expected[bare(g.tp)] = g.got
	}
	return nil
}

// errMisplaced says that the client reads at another place than it should.
var errMisplaced = errors.New("the log holds the offsets that are missing")

// explain returns errMisplaced when the log still holds what a gap leaves out: then we read at the
// wrong place, and to report a reset would skip records, or do them again. It doubts a place only
// once. Offsets that belong to no record, as transactions of others leave them, look the same.
func (c *Consumer) explain(ctx context.Context, g *gap) error {
	key := bare(g.tp)
	c.mu.Lock()
	at, met := c.doubted[key]
	c.mu.Unlock()
	if met && at == g.want {
		return nil
	}
	starts, ends, err := c.bounds(ctx, []string{g.tp.Topic})
	if err != nil {
		return err
	}
	if g.got > g.want && starts[key] > g.want || g.got < g.want && ends[key] < g.want {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubted[key] = g.want
	return errMisplaced
}

// awaitStored waits until no batch of tp is under way; again says that it had to, so that the
// world may have changed meanwhile.
func (c *Consumer) awaitStored(ctx context.Context, tp TopicPartition) (again bool, err error) {
	for {
		settled, busy := c.unfinished(map[string][]int32{tp.Topic: {tp.Partition}})
		if !busy {
			return again, nil
		}
		again = true
		select {
		case <-settled:
		case <-ctx.Done():
			return again, ctx.Err()
		case <-c.run.Done():
			return again, ErrClosed
		}
	}
}

// bare is tp without its id.
func bare(tp TopicPartition) TopicPartition {
	return TopicPartition{Topic: tp.Topic, Partition: tp.Partition}
}

func (c *Consumer) take() (Batch, *gap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, next := make(map[TopicPartition]int64, 1), make(map[TopicPartition]int64, 1)
	n, headers, g := c.fitting(from, next)
	if g != nil {
		return Batch{}, g
	}
	b := Batch{Records: make([]Record, n), Next: next, From: from, epoch: c.epoch}
	arena := make([]Header, 0, headers)
	for i, r := range c.pending[:n] {
		first := len(arena)
		for _, h := range r.Headers {
			arena = append(arena, Header{Key: h.Key, Value: h.Value})
		}
		b.Records[i] = Record{
			Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value,
			Headers: arena[first:len(arena):len(arena)], Timestamp: r.Timestamp,
		}
	}
	for tp, at := range next {
		c.expected[bare(tp)], c.working[bare(tp)] = at, at
	}
	clear(c.pending[:n])
	if c.pending = c.pending[n:]; len(c.pending) == 0 {
		c.pending = nil // let the array go
	}
	return b, nil
}

// fitting finds how many of the pending records are the next batch, at least one unless a gap
// comes first, and fills in the offsets before and after them.
func (c *Consumer) fitting(from, next map[TopicPartition]int64) (n, headers int, g *gap) {
	var (
		tp          TopicPartition // of the run of records being walked
		start, want int64          // its first offset, and the one that comes next
		size        int
	)
	for _, r := range c.pending {
		size += recordSize(r)
		if n > 0 && (n == c.most || size > c.cfg.Batch.Bytes) {
			break
		}
		if n == 0 || r.Partition != tp.Partition || r.Topic != tp.Topic {
			if n > 0 {
				next[tp] = want
			}
			tp = TopicPartition{Topic: r.Topic, ID: c.ids[r.Topic], Partition: r.Partition}
			start = c.following(tp, next, r.Offset)
			want = start
		}
		if r.Offset != want {
			if n == 0 {
				return 0, 0, &gap{tp: tp, want: want, got: r.Offset}
			}
			if want == start {
				return n, headers, nil // the run is empty: next has what there is
			}
			break
		}
		if want == start {
			if _, ok := from[tp]; !ok {
				from[tp] = start
			}
		}
		want = r.Offset + 1
		n++
		headers += len(r.Headers)
	}
	if n > 0 {
		next[tp] = want
	}
	return n, headers, nil
}

// following is the offset that has to come next of tp: after the batch so far, or after the one
// before. A partition that is new here starts anywhere.
func (c *Consumer) following(tp TopicPartition, next map[TopicPartition]int64, found int64) int64 {
	if at, ok := next[tp]; ok {
		return at
	}
	if at, ok := c.expected[bare(tp)]; ok {
		return at
	}
	return found
}
