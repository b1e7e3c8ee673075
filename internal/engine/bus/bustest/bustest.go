// Package bustest is the suite of behaviour that every engine of the bus has to pass: the
// embedded broker, and any cluster that speaks the Kafka protocol.
package bustest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/engine/bus"
)

// Env is one bus for one test. Open connects to it; after the bus was closed, Open connects to
// the same data again.
type Env struct {
	Open func(t *testing.T) *bus.Bus
}

// patience bounds what would otherwise hang; no test depends on its length.
const patience = 30 * time.Second

// Run runs the suite; newEnv is called once per test.
func Run(t *testing.T, newEnv func(t *testing.T) Env) {
	for _, tc := range []struct {
		name string
		run  func(*testing.T, *harness)
	}{
		{"order per key", orderPerKey},
		{"bytes and headers arrive as they were", roundTrip},
		{"redelivery without commit", redelivery},
		{"commit then reopen", commitReopen},
		{"stored offset wins over the group's", storedWins},
		{"offset of another topic id is not taken", foreignID},
		{"stored offset beyond the end is reset and reported", beyondEnd},
		{"a reset that cannot be recorded stops the consumer", resetRefused},
		{"batch closes at records", batchRecords},
		{"batch closes at bytes", batchBytes},
		{"next offset covers each partition", nextPerPartition},
		{"largest record passes", largest},
		{"larger record is refused and nothing is sent", tooLarge},
		{"unknown topic", unknownTopic},
		{"lag", lag},
		{"lag across members", lagAcrossMembers},
		{"dead letter keeps the bytes", deadLetter},
		{"dead letters are listed page by page", deadLetterPages},
		{"a record that is no letter stays", malformedLetter},
		{"replay once", replayOnce},
		{"replay chosen letters", replayChosen},
		{"replay survives reopening", replayReopen},
		{"audit has no dead letters", noDeadLetters},
		{"members of a group share partitions", share},
		{"close ends a blocked poll", closeWhilePolling},
		{"close twice, then use", closeTwice},
		{"poll ends with its context", pollContext},
		{"topics", topics},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			tc.run(t, &harness{t: t, ctx: ctx, env: newEnv(t)})
		})
	}
}

type harness struct {
	t   *testing.T
	ctx context.Context
	env Env
}

func (h *harness) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) wantErr(err, want error) {
	h.t.Helper()
	if !errors.Is(err, want) {
		h.t.Fatalf("error is %v, want %v", err, want)
	}
}

// open connects, and closes at the end of the test.
func (h *harness) open() *bus.Bus {
	h.t.Helper()
	b := h.env.Open(h.t)
	h.t.Cleanup(func() {
		if err := b.Close(); err != nil {
			h.t.Errorf("close: %v", err)
		}
	})
	return b
}

// topic makes a topic with a dead-letter topic and returns its name.
func (h *harness) topic(b *bus.Bus, partitions int32) string {
	h.t.Helper()
	name := "suite." + strings.ToLower(rand.Text()[:12])
	row := func(n string) bus.Topic {
		return bus.Topic{Name: n, Partitions: partitions, Retention: time.Hour, EmbeddedRetention: time.Hour}
	}
	h.must(b.Create(h.ctx, row(name), row(name+".dlq")))
	return name
}

// fill produces n records with values "0", "1", ... and one key.
func (h *harness) fill(b *bus.Bus, topic string, n int) {
	h.t.Helper()
	recs := make([]bus.Record, n)
	for i := range recs {
		recs[i] = bus.Record{Topic: topic, Key: []byte("key"), Value: fmt.Append(nil, i)}
	}
	h.must(b.Produce(h.ctx, recs))
}

func (h *harness) consume(b *bus.Bus, cfg bus.ConsumerConfig) *bus.Consumer {
	h.t.Helper()
	if cfg.Group == "" {
		cfg.Group = "suite." + rand.Text()
	}
	c, err := b.Consume(h.ctx, cfg)
	h.must(err)
	h.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (h *harness) poll(c *bus.Consumer) bus.Batch {
	h.t.Helper()
	batch, err := c.Poll(h.ctx)
	h.must(err)
	return batch
}

// take polls until n records came, commits nothing, and returns them with the last offsets.
func (h *harness) take(c *bus.Consumer, n int) bus.Batch {
	h.t.Helper()
	all := bus.Batch{Next: make(map[bus.TopicPartition]int64)}
	for len(all.Records) < n {
		b := h.poll(c)
		all.Records = append(all.Records, b.Records...)
		for tp, at := range b.Next {
			all.Next[tp] = at
		}
	}
	if len(all.Records) > n {
		h.t.Fatalf("got %d records, want %d", len(all.Records), n)
	}
	return all
}

func (h *harness) values(b bus.Batch) string {
	var vs []string
	for _, r := range b.Records {
		vs = append(vs, string(r.Value))
	}
	return strings.Join(vs, " ")
}

func (h *harness) wantValues(b bus.Batch, want string) {
	h.t.Helper()
	if got := h.values(b); got != want {
		h.t.Fatalf("values are %q, want %q", got, want)
	}
}

func orderPerKey(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 3)
	const keys, each = 7, 40
	for round := range 4 {
		var recs []bus.Record
		for i := range each / 4 {
			for k := range keys {
				recs = append(recs, bus.Record{Topic: topic, Key: fmt.Append(nil, "k", k), Value: fmt.Append(nil, round*(each/4)+i)})
			}
		}
		h.must(b.Produce(h.ctx, recs))
	}
	got := h.take(h.consume(b, bus.ConsumerConfig{Topics: []string{topic}}), keys*each)
	next := make(map[string]int)
	for _, r := range got.Records {
		if want := fmt.Sprint(next[string(r.Key)]); string(r.Value) != want {
			t.Fatalf("key %s: value %s came where %s was due", r.Key, r.Value, want)
		}
		next[string(r.Key)]++
	}
}

var binary = []byte("\x00\xff\xfe{\"broken\": \xc3\x28\r\n\x1b[31m")

func roundTrip(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	sent := bus.Record{Topic: topic, Key: binary[:3], Value: binary, Headers: []bus.Header{
		{Key: bus.HeaderTenant, Value: []byte("example")}, {Key: "x", Value: nil}, {Key: "x", Value: binary},
	}}
	h.must(b.Produce(h.ctx, []bus.Record{sent, {Topic: topic}}))
	got := h.take(h.consume(b, bus.ConsumerConfig{Topics: []string{topic}}), 2)
	r := got.Records[0]
	if !bytes.Equal(r.Key, sent.Key) || !bytes.Equal(r.Value, sent.Value) || len(r.Headers) != 3 {
		t.Fatalf("record came as %+v", r)
	}
	for i, hd := range r.Headers {
		if hd.Key != sent.Headers[i].Key || !bytes.Equal(hd.Value, sent.Headers[i].Value) {
			t.Errorf("header %d came as %q=%q", i, hd.Key, hd.Value)
		}
	}
	if tenant, ok := r.Header(bus.HeaderTenant); !ok || string(tenant) != "example" {
		t.Errorf("tenant is %q, %v", tenant, ok)
	}
	if _, ok := r.Header("absent"); ok {
		t.Error("an absent header was found")
	}
	if r.Timestamp.IsZero() {
		t.Error("no timestamp")
	}
	if len(got.Records[1].Value) != 0 || len(got.Records[1].Headers) != 0 {
		t.Errorf("empty record came as %+v", got.Records[1])
	}
}

func redelivery(_ *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	h.fill(b, topic, 3)
	cfg := bus.ConsumerConfig{Group: "suite." + rand.Text(), Topics: []string{topic}}
	c := h.consume(b, cfg)
	h.wantValues(h.take(c, 3), "0 1 2")
	h.must(c.Close())
	h.wantValues(h.take(h.consume(b, cfg), 3), "0 1 2")
}

func commitReopen(_ *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	h.fill(b, topic, 5)
	cfg := bus.ConsumerConfig{Group: "suite." + rand.Text(), Topics: []string{topic}, Batch: bus.BatchLimits{Records: 2}}
	c := h.consume(b, cfg)
	h.must(c.Commit(h.ctx, h.take(c, 2)))
	h.must(b.Close())
	b = h.open()
	h.wantValues(h.take(h.consume(b, cfg), 3), "2 3 4")
}

func storedWins(_ *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	h.fill(b, topic, 6)
	cfg := bus.ConsumerConfig{Group: "suite." + rand.Text(), Topics: []string{topic}}
	c := h.consume(b, cfg)
	h.must(c.Commit(h.ctx, h.take(c, 6)))
	h.must(c.Close())
	cfg.Offsets = storedAt(4)
	h.wantValues(h.take(h.consume(b, cfg), 2), "4 5")
}

// storedAt answers with one offset for every partition.
func storedAt(at int64) func(context.Context, []bus.TopicPartition) (map[bus.TopicPartition]int64, error) {
	return func(_ context.Context, tps []bus.TopicPartition) (map[bus.TopicPartition]int64, error) {
		m := make(map[bus.TopicPartition]int64)
		for _, tp := range tps {
			m[tp] = at
		}
		return m, nil
	}
}

func foreignID(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	h.fill(b, topic, 3)
	c := h.consume(b, bus.ConsumerConfig{Topics: []string{topic}, Offsets: func(_ context.Context, tps []bus.TopicPartition) (map[bus.TopicPartition]int64, error) {
		m := make(map[bus.TopicPartition]int64)
		for _, tp := range tps {
			if tp.ID == [16]byte{} {
				t.Error("a partition came without topic id")
			}
			tp.ID[0]++
			m[tp] = 2
		}
		return m, nil
	}})
	h.wantValues(h.take(c, 3), "0 1 2")
}

func beyondEnd(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	h.fill(b, topic, 3)
	type reset struct{ want, got int64 }
	resets := make(chan reset, 10)
	c := h.consume(b, bus.ConsumerConfig{Topics: []string{topic}, Offsets: storedAt(100),
		OnReset: func(_ context.Context, tp bus.TopicPartition, want, got int64) error {
			if tp.Topic != topic || tp.ID == [16]byte{} {
				t.Errorf("reset of %+v", tp)
			}
			resets <- reset{want, got}
			return nil
		}})
	// In a group the place is taken when the partition is assigned: only then may records come.
	select {
	case r := <-resets:
		if r != (reset{100, 3}) {
			t.Fatalf("reset is %+v, want from 100 to 3", r)
		}
	case <-h.ctx.Done():
		t.Fatal("no reset was reported")
	}
	h.must(b.Produce(h.ctx, []bus.Record{{Topic: topic, Value: []byte("new")}}))
	got := h.take(c, 1)
	h.wantValues(got, "new")
	for _, next := range got.Next {
		if next != 4 {
			t.Errorf("next is %d, want 4", next)
		}
	}
}

func resetRefused(_ *testing.T, h *harness) {
	b := h.open()
	if !b.Embedded() {
		h.t.Skip("a group member places itself in the background, repeats, and logs")
	}
	topic := h.topic(b, 1)
	h.fill(b, topic, 1)
	refusal := errors.New("database is away")
	_, err := b.Consume(h.ctx, bus.ConsumerConfig{Group: "g", Topics: []string{topic}, Offsets: storedAt(9),
		OnReset: func(context.Context, bus.TopicPartition, int64, int64) error { return refusal }})
	h.wantErr(err, refusal)
}

func batchRecords(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	h.fill(b, topic, 10)
	c := h.consume(b, bus.ConsumerConfig{Topics: []string{topic}, Batch: bus.BatchLimits{Records: 4, Linger: time.Second}})
	h.wantValues(h.poll(c), "0 1 2 3")
	h.wantValues(h.poll(c), "4 5 6 7")
	if last := h.poll(c); len(last.Records) != 2 {
		t.Errorf("last batch has %d records, want 2", len(last.Records))
	}
}

func batchBytes(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	sizes := []int{400, 400, 400, 5000, 100}
	var recs []bus.Record
	for _, n := range sizes {
		recs = append(recs, bus.Record{Topic: topic, Value: make([]byte, n)})
	}
	h.must(b.Produce(h.ctx, recs))
	c := h.consume(b, bus.ConsumerConfig{Topics: []string{topic}, Batch: bus.BatchLimits{Bytes: 1000}})
	for i, want := range [][]int{{400, 400}, {400}, {5000}, {100}} {
		var got []int
		for _, r := range h.poll(c).Records {
			got = append(got, len(r.Value))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("batch %d has sizes %v, want %v", i, got, want)
		}
	}
}

func nextPerPartition(t *testing.T, h *harness) {
	b := h.open()
	one, two := h.topic(b, 2), h.topic(b, 1)
	for range 5 {
		var recs []bus.Record
		for i := range 20 {
			recs = append(recs, bus.Record{Topic: one, Key: fmt.Append(nil, i)}, bus.Record{Topic: two, Key: fmt.Append(nil, i)})
		}
		h.must(b.Produce(h.ctx, recs))
	}
	c := h.consume(b, bus.ConsumerConfig{Topics: []string{one, two}, Batch: bus.BatchLimits{Records: 33}})
	seen := make(map[bus.TopicPartition]int64)
	for n := 0; n < 200; {
		batch := h.poll(c)
		n += len(batch.Records)
		last := make(map[string]int64)
		for _, r := range batch.Records {
			last[fmt.Sprint(r.Topic, "/", r.Partition)] = r.Offset + 1
		}
		if len(last) != len(batch.Next) {
			t.Fatalf("batch touches %v, next has %v", last, batch.Next)
		}
		for tp, next := range batch.Next {
			if last[tp.String()] != next {
				t.Fatalf("next of %s is %d, last record says %d", tp, next, last[tp.String()])
			}
			seen[tp] = next
		}
	}
	total := int64(0)
	for _, next := range seen {
		total += next
	}
	if total != 200 {
		t.Errorf("positions add up to %d, want 200", total)
	}
}

func largest(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	value := make([]byte, bus.MaxValueBytes)
	_, _ = rand.Read(value) // never fails; random, so that no codec helps
	h.must(b.Produce(h.ctx, []bus.Record{{Topic: topic, Value: value}, {Topic: topic, Value: []byte("after")}}))
	got := h.take(h.consume(b, bus.ConsumerConfig{Topics: []string{topic}}), 2)
	if !bytes.Equal(got.Records[0].Value, value) {
		t.Error("the largest record came back changed")
	}
	// Its dead letter must pass too.
	h.must(b.DeadLetter(h.ctx, bus.DeadLetter{Original: got.Records[0], Reason: "r", Stage: "s", Err: strings.Repeat("e", 1<<20)}))
}

func tooLarge(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	err := b.Produce(h.ctx, []bus.Record{{Topic: topic, Value: []byte("fits")}, {Topic: topic, Value: make([]byte, bus.MaxRecordBytes+1)}})
	h.wantErr(err, bus.ErrTooLarge)
	var re *bus.RecordError
	if !errors.As(err, &re) || re.Index != 1 || re.Topic != topic {
		t.Errorf("error does not name the record: %v", err)
	}
	if errors.Is(err, bus.ErrUnavailable) {
		t.Error("a permanent error must not look transient")
	}
	h.fill(b, topic, 1)
	h.wantValues(h.take(h.consume(b, bus.ConsumerConfig{Topics: []string{topic}}), 1), "0")
}

func unknownTopic(_ *testing.T, h *harness) {
	b := h.open()
	h.wantErr(b.Produce(h.ctx, []bus.Record{{Topic: "suite.absent." + strings.ToLower(rand.Text()), Value: []byte("x")}}), bus.ErrUnknownTopic)
	h.wantErr(b.Produce(h.ctx, []bus.Record{{Value: []byte("x")}}), bus.ErrUnknownTopic)
	_, err := b.Consume(h.ctx, bus.ConsumerConfig{Group: "g", Topics: []string{"suite.absent." + strings.ToLower(rand.Text())}})
	h.wantErr(err, bus.ErrUnknownTopic)
}

func lag(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	h.fill(b, topic, 7)
	group := "suite." + rand.Text()
	sum := func() (n int64) {
		t.Helper()
		lags, err := b.Lag(h.ctx, group)
		h.must(err)
		for tp, l := range lags {
			if tp.Topic != topic {
				t.Fatalf("lag of %s", tp)
			}
			n += l
		}
		return n
	}
	if n := sum(); n != 0 {
		t.Errorf("lag of a group that nobody knows is %d", n)
	}
	for _, stored := range []bool{false, true} {
		cfg := bus.ConsumerConfig{Group: group, Topics: []string{topic}, Batch: bus.BatchLimits{Records: 2}}
		if stored { // commits are gathered then; Lag must be exact all the same
			cfg.Offsets = func(context.Context, []bus.TopicPartition) (map[bus.TopicPartition]int64, error) { return nil, nil }
			cfg.CommitEvery = time.Hour
		}
		before := int64(7)
		if stored {
			before = 5
		}
		c := h.consume(b, cfg)
		if n := sum(); n != before {
			t.Errorf("lag before is %d, want %d", n, before)
		}
		batch := h.take(c, 2)
		if n := sum(); n != before {
			t.Errorf("lag moved to %d without a commit", n)
		}
		h.must(c.Commit(h.ctx, batch))
		if n := sum(); n != before-2 {
			t.Errorf("lag after a commit of 2 is %d, want %d", n, before-2)
		}
		h.must(c.Close())
	}
	if n := sum(); n != 3 {
		t.Errorf("lag without consumer is %d, want 3", n)
	}
}

// lagAcrossMembers looks at a group from a process that has no member of it.
func lagAcrossMembers(t *testing.T, h *harness) {
	first := h.open()
	if first.Embedded() {
		t.Skip("an embedded bus has one process")
	}
	second, watcher := h.open(), h.open()
	topic := h.topic(first, 4)
	group := "suite." + rand.Text()
	const n = 200
	var recs []bus.Record
	for i := range n {
		recs = append(recs, bus.Record{Topic: topic, Key: fmt.Append(nil, i), Value: fmt.Append(nil, i)})
	}
	h.must(first.Produce(h.ctx, recs))
	// The second gathers its commits for ever: what Lag sees of it is what its process sends.
	stored := func(context.Context, []bus.TopicPartition) (map[bus.TopicPartition]int64, error) { return nil, nil }
	members := []*bus.Consumer{
		h.consume(first, bus.ConsumerConfig{Group: group, Topics: []string{topic}}),
		h.consume(second, bus.ConsumerConfig{Group: group, Topics: []string{topic}, Offsets: stored, CommitEvery: time.Hour}),
	}
	sum := func(b *bus.Bus) (total int64, partitions int) {
		t.Helper()
		lags, err := b.Lag(h.ctx, group)
		h.must(err)
		for _, l := range lags {
			total += l
		}
		return total, len(lags)
	}
	// The group is known as soon as a member has joined, whoever has committed what.
	for partitions := 0; partitions != 4; {
		var total int64
		if total, partitions = sum(watcher); partitions == 4 && total != n {
			t.Fatalf("lag before any commit is %d, want %d", total, n)
		}
	}
	var mu sync.Mutex
	seen := make(map[string]bool)
	var working sync.WaitGroup
	ctx, stop := context.WithCancel(h.ctx)
	defer stop()
	for _, c := range members {
		working.Go(func() {
			for {
				batch, err := c.Poll(ctx)
				if err != nil {
					return
				}
				_ = c.Commit(ctx, batch)
				mu.Lock()
				for _, r := range batch.Records {
					seen[string(r.Value)] = true
				}
				all := len(seen) == n
				mu.Unlock()
				if all {
					stop()
				}
			}
		})
	}
	working.Wait()
	if len(seen) != n {
		t.Fatalf("%d of %d records were seen", len(seen), n)
	}
	if total, _ := sum(second); total < 0 || total > n { // sends what is gathered
		t.Errorf("lag is %d", total)
	}
	for _, c := range members {
		h.must(c.Close())
	}
	if total, partitions := sum(watcher); total != 0 || partitions != 4 {
		t.Errorf("lag after all commits is %d on %d partitions", total, partitions)
	}
}

func share(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 4)
	group := "suite." + rand.Text()
	if b.Embedded() {
		h.consume(b, bus.ConsumerConfig{Group: group, Topics: []string{topic}})
		_, err := b.Consume(h.ctx, bus.ConsumerConfig{Group: group, Topics: []string{topic}})
		h.wantErr(err, bus.ErrGroupInUse)
		return
	}
	var (
		mu      sync.Mutex
		readers = make(map[int32]map[int]bool) // partition -> members that read it in the second half
		seen    = make(map[string]bool)
		wg      sync.WaitGroup
	)
	ctx, stop := context.WithCancel(h.ctx)
	defer stop()
	active := make(map[int]bool)
	for member := range 2 {
		c := h.consume(b, bus.ConsumerConfig{Group: group, Topics: []string{topic}})
		wg.Go(func() {
			for {
				batch, err := c.Poll(ctx)
				if err != nil {
					return
				}
				mu.Lock()
				active[member] = true
				for _, r := range batch.Records {
					seen[string(r.Value)] = true
					if readers[r.Partition] == nil {
						readers[r.Partition] = make(map[int]bool)
					}
					readers[r.Partition][member] = true
				}
				mu.Unlock()
				if err := c.Commit(ctx, batch); err != nil && ctx.Err() == nil && !errors.Is(err, bus.ErrUnavailable) {
					t.Error(err)
				}
			}
		})
	}
	// Until both members have had records, then all must have arrived.
	sent := 0
	for both, complete := false, false; !both || !complete; {
		if h.ctx.Err() != nil {
			t.Fatalf("both members active: %v, all records seen: %v", both, complete)
		}
		if !both {
			var recs []bus.Record
			for range 50 {
				recs = append(recs, bus.Record{Topic: topic, Key: fmt.Append(nil, sent), Value: fmt.Append(nil, sent)})
				sent++
			}
			h.must(b.Produce(h.ctx, recs))
		}
		mu.Lock()
		both, complete = len(active) == 2, len(seen) == sent
		mu.Unlock()
	}
	stop()
	wg.Wait()
	if len(readers) != 4 {
		t.Errorf("%d partitions were read, want 4", len(readers))
	}
}

func closeWhilePolling(t *testing.T, h *harness) {
	b := h.open()
	c := h.consume(b, bus.ConsumerConfig{Topics: []string{h.topic(b, 1)}})
	got := make(chan error, 1)
	go func() {
		_, err := c.Poll(h.ctx)
		got <- err
	}()
	h.must(b.Close())
	select {
	case err := <-got:
		h.wantErr(err, bus.ErrClosed)
	case <-h.ctx.Done():
		t.Fatal("poll hangs after close")
	}
}

func closeTwice(_ *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	h.must(b.Ping(h.ctx))
	c := h.consume(b, bus.ConsumerConfig{Topics: []string{topic}})
	h.must(b.Close())
	h.must(b.Close())
	h.must(c.Close())
	h.wantErr(b.Ping(h.ctx), bus.ErrClosed)
	h.wantErr(b.Produce(h.ctx, []bus.Record{{Topic: topic}}), bus.ErrClosed)
	_, err := c.Poll(h.ctx)
	h.wantErr(err, bus.ErrClosed)
	h.wantErr(c.Commit(h.ctx, bus.Batch{}), bus.ErrClosed)
	_, err = b.Consume(h.ctx, bus.ConsumerConfig{Group: "g", Topics: []string{topic}})
	h.wantErr(err, bus.ErrClosed)
}

func pollContext(_ *testing.T, h *harness) {
	b := h.open()
	c := h.consume(b, bus.ConsumerConfig{Topics: []string{h.topic(b, 1)}})
	ctx, cancel := context.WithCancel(h.ctx)
	go cancel()
	_, err := c.Poll(ctx)
	h.wantErr(err, context.Canceled)
}

func topics(t *testing.T, h *harness) {
	b := h.open()
	if _, err := b.Apply(h.ctx); err != nil {
		t.Fatal(err)
	}
	states, err := b.List(h.ctx)
	h.must(err)
	if len(states) != len(bus.Topics()) {
		t.Fatalf("%d topics listed", len(states))
	}
	for _, s := range states {
		want := s.Topic.Retention
		if b.Embedded() {
			want = s.Topic.EmbeddedRetention
		}
		if !s.Exists || len(s.Differences) > 0 || s.Retention != want {
			t.Errorf("%s: exists %v, retention %v, differences %v", s.Topic.Name, s.Exists, s.Retention, s.Differences)
		}
	}
	again, err := b.Apply(h.ctx)
	h.must(err)
	if len(again) != 0 {
		t.Errorf("a second apply changes %v", again)
	}
	// A topic with another retention is corrected.
	row := bus.Topic{Name: bus.AlertsRaw, Partitions: 4, Retention: 2 * time.Hour, EmbeddedRetention: 2 * time.Hour}
	h.must(b.Create(h.ctx, row))
	states, err = b.List(h.ctx)
	h.must(err)
	if s := states[0]; s.Retention != 2*time.Hour || len(s.Differences) != 1 {
		t.Errorf("altered topic: retention %v, differences %v", s.Retention, s.Differences)
	}
	changes, err := b.Apply(h.ctx)
	h.must(err)
	if len(changes) != 1 || changes[0].Topic != bus.AlertsRaw {
		t.Errorf("apply changed %v", changes)
	}
}
