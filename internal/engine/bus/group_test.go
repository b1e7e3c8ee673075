package bus_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
	"github.com/aluskort/aluskort/internal/engine/faultproxy"
)

// ledger is the store of the members of a group: effects and offsets, moved together or not at
// all. As in the database of the product, the offset is the fence.
type ledger struct {
	mu      sync.Mutex
	offsets map[bus.TopicPartition]int64
	effects []bus.Record
	by      map[string]int // effects by member
	refused int
	changed chan struct{}
}

func newLedger() *ledger {
	return &ledger{offsets: make(map[bus.TopicPartition]int64), by: make(map[string]int), changed: make(chan struct{})}
}

func (l *ledger) stored(_ context.Context, tps []bus.TopicPartition) (map[bus.TopicPartition]int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := make(map[bus.TopicPartition]int64)
	for _, tp := range tps {
		if at, ok := l.offsets[tp]; ok {
			found[tp] = at
		}
	}
	return found, nil
}

// apply is the transaction of the work.
func (l *ledger) apply(member string, b bus.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { close(l.changed); l.changed = make(chan struct{}) }()
	for tp, from := range b.From {
		if at, ok := l.offsets[tp]; ok && at != from {
			l.refused++
			return fmt.Errorf("%w: %s of %s begins at %d, stored is %d", bus.ErrMoved, tp, member, from, at)
		}
	}
	maps.Copy(l.offsets, b.Next)
	l.effects = append(l.effects, b.Records...)
	l.by[member] += len(b.Records)
	return nil
}

// until waits for a condition, which sees the ledger at rest.
func (l *ledger) until(ctx context.Context, t *testing.T, what string, cond func() bool) {
	t.Helper()
	for {
		l.mu.Lock()
		met, changed := cond(), l.changed
		l.mu.Unlock()
		if met {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			l.mu.Lock()
			defer l.mu.Unlock()
			t.Fatalf("waited for %s; %d effects, by member %v, %d batches refused", what, len(l.effects), l.by, l.refused)
		}
	}
}

// check holds what happened against the log: every record once, in the order of its partition and
// of its key.
func (l *ledger) check(t *testing.T, sent int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.effects) != sent {
		t.Errorf("%d effects of %d records", len(l.effects), sent)
	}
	keys, places := make(map[string]int), make(map[int32]int64)
	for _, r := range l.effects {
		if want := strconv.Itoa(keys[string(r.Key)]); string(r.Value) != want {
			t.Fatalf("key %s: %s came where %s was due", r.Key, r.Value, want)
		}
		keys[string(r.Key)]++
		if r.Offset != places[r.Partition] {
			t.Fatalf("partition %d: offset %d came where %d was due", r.Partition, r.Offset, places[r.Partition])
		}
		places[r.Partition]++
	}
}

// member works for a ledger as a member of a group, until its context ends.
type member struct {
	name   string
	bus    *bus.Bus
	ledger *ledger
	// before, if set, is called between the batch and its transaction.
	before func(bus.Batch)
}

func (m *member) run(ctx context.Context, t *testing.T, topic string) {
	c, err := m.bus.Consume(ctx, bus.ConsumerConfig{Group: topic, Topics: []string{topic}, Offsets: m.ledger.stored, Batch: bus.BatchLimits{Records: 100}})
	if err != nil {
		if ctx.Err() == nil {
			t.Errorf("%s: %v", m.name, err)
		}
		return
	}
	for {
		batch, err := c.Poll(ctx)
		if errors.Is(err, bus.ErrUnavailable) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, bus.ErrClosed) {
				t.Errorf("%s: %v", m.name, err)
			}
			return
		}
		if m.before != nil {
			m.before(batch)
		}
		if err := m.ledger.apply(m.name, batch); err != nil {
			c.Rewind(batch)
			continue
		}
		if err := c.Commit(ctx, batch); err != nil && ctx.Err() == nil && !errors.Is(err, bus.ErrClosed) {
			t.Logf("%s: %v", m.name, err) // stored offsets are what counts
		}
	}
}

// feeder sends records of 60 keys, numbered within each, until stop is closed; then sent is how many.
type feeder struct {
	sent int
	done chan struct{}
}

func feed(ctx context.Context, t *testing.T, b *bus.Bus, topic string, stop <-chan struct{}, l *ledger) *feeder {
	f := &feeder{done: make(chan struct{})}
	go func() {
		defer close(f.done)
		const keys = 60
		for round := 0; ; round++ {
			select {
			case <-stop:
				return
			default:
			}
			recs := make([]bus.Record, keys)
			for k := range recs {
				recs[k] = bus.Record{Topic: topic, Key: fmt.Append(nil, "key-", k), Value: strconv.AppendInt(nil, int64(round), 10)}
			}
			if err := b.Produce(ctx, recs); err != nil {
				t.Errorf("produce: %v", err)
				return
			}
			f.sent += keys
			// Not far ahead: the load has to last as long as the group is busy with itself.
			l.until(ctx, t, "the members to keep up", func() bool { return len(l.effects) > f.sent-50*keys })
		}
	}()
	return f
}

// B10: members join and leave, one is killed, and one stands still with a batch in its hands until
// others own its partitions, and wakes up. Every record has its effect exactly once, and each key
// keeps its order.
func TestB10KafkaPartitionsChangeHands(t *testing.T) {
	changingHands(t, enginetest.Address(t, "kafka"))
}

// The same against an in-process cluster.
func TestB10PartitionsChangeHands(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	changingHands(t, cluster.ListenAddrs()[0])
}

func changingHands(t *testing.T, broker string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l := newLedger()
	b := open(t, bus.Config{Brokers: []string{broker}})
	defer func() { _ = b.Close() }()
	topic := topicOf(t, b, 6)

	var running sync.WaitGroup
	defer running.Wait()
	join := func(name string, before func(bus.Batch)) (*faultproxy.Proxy, context.CancelFunc, *bus.Bus) {
		p := proxyTo(t, broker)
		m := &member{name: name, ledger: l, before: before, bus: open(t, bus.Config{Brokers: []string{broker}, Dial: p.Dial})}
		ctx, stop := context.WithCancel(ctx)
		running.Go(func() {
			m.run(ctx, t, topic)
			_ = m.bus.Close() // says nothing where the connection is cut
		})
		return p, stop, m.bus
	}
	grows := func(who string, n int) {
		t.Helper()
		l.mu.Lock()
		from := l.by[who]
		l.mu.Unlock()
		l.until(ctx, t, "the work of "+who, func() bool { return l.by[who] >= from+n })
	}

	stop := make(chan struct{})
	_, stopSteady, _ := join("steady", nil)
	defer stopSteady()
	f := feed(ctx, t, b, topic, stop, l)
	grows("steady", 600)

	// One joins in the middle of the load.
	killed, stopKilled, _ := join("killed", nil)
	defer stopKilled()
	grows("killed", 600)

	// It is killed: nothing more of it reaches the broker, no farewell either.
	if err := killed.Refuse(); err != nil {
		t.Fatal(err)
	}
	stopKilled()

	// Another stands still between its batch and its transaction.
	held, wake := make(chan bus.Batch), make(chan struct{})
	var once sync.Once
	var still bus.Batch
	frozen, stopFrozen, _ := join("frozen", func(batch bus.Batch) {
		l.mu.Lock()
		warm := l.by["frozen"] > 300
		l.mu.Unlock()
		if warm {
			once.Do(func() { held <- batch; <-wake })
		}
	})
	defer stopFrozen()
	select {
	case still = <-held:
	case <-ctx.Done():
		t.Fatal("the third member gets no partitions")
	}
	frozen.Stall()
	l.until(ctx, t, "others to take over what the frozen member holds", func() bool {
		for tp, from := range still.From {
			if l.offsets[tp] == from {
				return false
			}
		}
		return true
	})
	l.mu.Lock()
	refusedBefore, worked := l.refused, l.by["frozen"]
	l.mu.Unlock()
	close(wake)
	l.until(ctx, t, "the frozen member's batch to be refused", func() bool { return l.refused > refusedBefore })
	l.mu.Lock()
	if l.by["frozen"] != worked {
		t.Errorf("the frozen member had an effect after others had taken over")
	}
	l.mu.Unlock()
	if err := frozen.Pass(); err != nil {
		t.Fatal(err)
	}
	grows("frozen", 300) // it is a member again

	close(stop)
	<-f.done
	l.until(ctx, t, "the rest", func() bool { return len(l.effects) >= f.sent })
	l.check(t, f.sent)
	t.Logf("%d records, by member %v, %d batches refused", f.sent, l.by, l.refused)
	stopSteady()
	stopFrozen()
}

// A partition that changes hands while everybody is well is finished first: without stored
// offsets, and thus without a fence, nothing is done twice.
func TestKafkaQuietHandOver(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l := newLedger()
	b := open(t, bus.Config{Brokers: []string{enginetest.Address(t, "kafka")}})
	defer func() { _ = b.Close() }()
	topic := topicOf(t, b, 6)
	var running sync.WaitGroup
	defer running.Wait()
	work, stopWork := context.WithCancel(ctx)
	defer stopWork()
	join := func(name string) {
		c, err := b.Consume(ctx, bus.ConsumerConfig{Group: topic, Topics: []string{topic}, Batch: bus.BatchLimits{Records: 100}})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			defer func() { _ = c.Close() }()
			for {
				batch, err := c.Poll(work)
				if err != nil {
					return
				}
				l.mu.Lock()
				l.effects = append(l.effects, batch.Records...)
				l.by[name] += len(batch.Records)
				close(l.changed)
				l.changed = make(chan struct{})
				l.mu.Unlock()
				if err := c.Commit(work, batch); err != nil && work.Err() == nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	stop := make(chan struct{})
	join("first")
	f := feed(ctx, t, b, topic, stop, l)
	for _, next := range []string{"second", "third"} {
		join(next)
		l.until(ctx, t, "the work of the "+next, func() bool { return l.by[next] > 300 })
	}
	close(stop)
	<-f.done
	l.until(ctx, t, "the rest", func() bool { return len(l.effects) >= f.sent })
	l.check(t, f.sent)
	stopWork()
}

// Records that retention takes from under a member while it reads are reported, the stored offset
// follows, and the rest is read.
func TestKafkaRetentionTakesRecords(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	broker := enginetest.Address(t, "kafka")
	b := open(t, bus.Config{Brokers: []string{broker}})
	defer func() { _ = b.Close() }()
	topic := topicOf(t, b, 1)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	cut := func(at int64) {
		t.Helper()
		var offsets kadm.Offsets
		offsets.AddOffset(topic, 0, at, -1)
		done, err := kadm.NewClient(client).DeleteRecords(ctx, offsets)
		if err == nil {
			err = done.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	const n = 300 // of 100 KB that no codec helps: far more than one fetch
	value := make([]byte, 100<<10)
	_, _ = rand.Read(value) // never fails
	for i := range n {
		if err := b.Produce(ctx, []bus.Record{{Topic: topic, Key: strconv.AppendInt(nil, int64(i), 10), Value: value}}); err != nil {
			t.Fatal(err)
		}
	}
	l := newLedger()
	var resets []string
	c, err := b.Consume(ctx, bus.ConsumerConfig{
		Group: topic, Topics: []string{topic}, Offsets: l.stored, Batch: bus.BatchLimits{Records: 4},
		OnReset: func(_ context.Context, tp bus.TopicPartition, want, got int64) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			if at, ok := l.offsets[tp]; ok && at != want {
				return bus.ErrMoved
			}
			l.offsets[tp] = got
			resets = append(resets, fmt.Sprintf("%d>%d", want, got))
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	next := int64(0)
	for next < n {
		batch, err := c.Poll(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if first := batch.Records[0].Offset; first != next {
			if next > 200 || first != 250 {
				t.Fatalf("offset %d came where %d was due", first, next)
			}
		}
		next = batch.Records[len(batch.Records)-1].Offset + 1
		if err := l.apply("reader", batch); err != nil {
			t.Fatal(err)
		}
		if err := c.Commit(ctx, batch); err != nil {
			t.Fatal(err)
		}
		if next == 4 {
			cut(250)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(resets) != 1 || len(l.effects) >= n {
		t.Errorf("resets %v, %d effects", resets, len(l.effects))
	}
}
