package bus_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/bus"
)

func record(topic, value string) []bus.Record {
	return []bus.Record{{Topic: topic, Key: []byte("k"), Value: []byte(value)}}
}

func produce(t testing.TB, b *bus.Bus, recs []bus.Record) {
	t.Helper()
	if err := b.Produce(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
}

func consume(t testing.TB, b *bus.Bus, cfg bus.ConsumerConfig) *bus.Consumer {
	t.Helper()
	c, err := b.Consume(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func poll(t testing.TB, c *bus.Consumer) bus.Batch {
	t.Helper()
	batch, err := c.Poll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

func openEmbedded(t testing.TB) *bus.Bus {
	b := open(t, bus.Config{Dir: t.TempDir()})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// The client repeats what the broker refuses for the moment, without a duplicate even where the
// broker had stored the records and only its answer said otherwise.
func TestProduceRetries(t *testing.T) {
	for _, fault := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.LeaderNotAvailable} {
		t.Run(fault.Message, func(t *testing.T) {
			b := openEmbedded(t)
			produce(t, b, record(bus.AlertsRaw, "first"))
			h := b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: bus.AlertsRaw, Err: fault, Count: 2})
			produce(t, b, record(bus.AlertsRaw, "second"))
			if h.Hits() == 0 {
				t.Fatal("the fault was not met")
			}
			produce(t, b, record(bus.AlertsRaw, "third"))
			c := consume(t, b, bus.ConsumerConfig{Group: "g", Topics: []string{bus.AlertsRaw}})
			var got []string
			for len(got) < 3 {
				for _, r := range poll(t, c).Records {
					got = append(got, string(r.Value))
				}
			}
			if fmt.Sprint(got) != "[first second third]" {
				t.Errorf("records are %v", got)
			}
		})
	}
}

// An error that the client does not repeat comes back as transient, and the next call works.
func TestProduceErrorIsTransient(t *testing.T) {
	b := openEmbedded(t)
	b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.UnknownServerError})
	if err := b.Produce(t.Context(), record(bus.AlertsRaw, "x")); !errors.Is(err, bus.ErrUnavailable) {
		t.Fatalf("error is %v, want ErrUnavailable", err)
	}
	produce(t, b, record(bus.AlertsRaw, "y"))
	c := consume(t, b, bus.ConsumerConfig{Group: "g", Topics: []string{bus.AlertsRaw}})
	if got := string(poll(t, c).Records[0].Value); got != "y" {
		t.Errorf("first record is %q", got)
	}
}

// FAULTS B9, half-open: the broker takes the request and never answers. The deadline holds.
func TestProduceWithoutAnswer(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, bus.Config{Dir: dir})
		produce(t, b, record(bus.AlertsRaw, "x"))
		cluster := b.Cluster()
		hold := make(chan struct{})
		cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			cluster.SleepControl(func() { <-hold })
			return nil, nil, false
		})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		err := b.Produce(ctx, record(bus.AlertsRaw, "y"))
		if !errors.Is(err, bus.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v, want ErrUnavailable and the deadline", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("returned after %v, deadline was 3 s", took)
		}
		close(hold)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// FAULTS B9, down: connections are refused.
func TestProduceWithBrokerDown(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, bus.AlertsRaw))
	if err != nil {
		t.Fatal(err)
	}
	brokers := cluster.ListenAddrs()
	b := open(t, bus.Config{Brokers: brokers})
	defer func() { _ = b.Close() }()
	produce(t, b, record(bus.AlertsRaw, "x"))
	cluster.Close()
	for name, call := range map[string]func(context.Context) error{
		"produce": func(ctx context.Context) error { return b.Produce(ctx, record(bus.AlertsRaw, "y")) },
		"ping":    b.Ping,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if err := call(ctx); !errors.Is(err, bus.ErrUnavailable) {
			t.Errorf("%s: error is %v, want ErrUnavailable", name, err)
		}
		cancel()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := bus.Open(ctx, bus.Config{Brokers: brokers, Clock: clock.System{}}); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("open: error is %v, want ErrUnavailable", err)
	}
}

// A batch closes Linger after its first record, by the clock of the bubble.
func TestLinger(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, bus.Config{Dir: dir})
		c := consume(t, b, bus.ConsumerConfig{Group: "g", Topics: []string{bus.AlertsRaw}, Batch: bus.BatchLimits{Records: 3, Linger: 40 * time.Millisecond}})
		send := func(n int, after time.Duration) {
			time.Sleep(after)
			for range n {
				produce(t, b, record(bus.AlertsRaw, "x"))
			}
		}
		for _, tc := range []struct {
			name   string
			send   func()
			want   int
			within time.Duration // virtual, from the first record
		}{
			{"one record waits for the linger", func() { send(1, 0) }, 1, 40 * time.Millisecond},
			{"a second joins", func() { send(1, 0); send(1, 30*time.Millisecond) }, 2, 40 * time.Millisecond},
			{"a full batch does not wait", func() { send(2, 0); send(1, 10*time.Millisecond) }, 3, 10 * time.Millisecond},
		} {
			start := time.Now()
			go tc.send()
			if n := len(poll(t, c).Records); n != tc.want {
				t.Errorf("%s: batch has %d records, want %d", tc.name, n, tc.want)
			}
			if took := time.Since(start); took < tc.within || took > tc.within+15*time.Millisecond {
				t.Errorf("%s: took %v, want about %v", tc.name, took, tc.within)
			}
			synctest.Wait()
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A consumer may ask for fewer records a batch from one to the next; none is lost or doubled.
func TestFewer(t *testing.T) {
	b := open(t, bus.Config{Dir: t.TempDir()})
	fewer := 2
	c := consume(t, b, bus.ConsumerConfig{Group: "g", Topics: []string{bus.AlertsRaw}, Batch: bus.BatchLimits{Records: 6, Linger: time.Second, Fewer: func() int { return fewer }}})
	for range 10 {
		produce(t, b, record(bus.AlertsRaw, "x"))
	}
	next := int64(0)
	for _, tc := range []struct{ fewer, want int }{{2, 2}, {0, 1}, {100, 6}, {2, 1}} {
		fewer = tc.fewer
		batch := poll(t, c)
		if len(batch.Records) != tc.want || batch.Records[0].Offset != next {
			t.Errorf("asked for %d: %d records from offset %d, want %d from %d", tc.fewer, len(batch.Records), batch.Records[0].Offset, tc.want, next)
		}
		next += int64(len(batch.Records))
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// FAULTS A3: the log lost its tail in a power cut, the group's offset survived. New records at
// the lost offsets are delivered, and the reset is reported.
func TestLostTail(t *testing.T) {
	dir := t.TempDir()
	b := open(t, bus.Config{Dir: dir})
	cfg := bus.ConsumerConfig{Group: "g", Topics: []string{bus.AlertsRaw}, Batch: bus.BatchLimits{Linger: -1}}
	c := consume(t, b, cfg)
	for i := range 4 {
		produce(t, b, record(bus.AlertsRaw, fmt.Sprint("old ", i)))
		if err := c.Commit(t.Context(), poll(t, c)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	loseTail(t, filepath.Join(dir, "partitions", bus.AlertsRaw+"-0"))

	b = open(t, bus.Config{Dir: dir})
	defer func() { _ = b.Close() }()
	for i := range 3 { // the log grows past the lost offset before anybody reads
		produce(t, b, record(bus.AlertsRaw, fmt.Sprint("new ", i)))
	}
	var resets [][2]int64
	cfg.OnReset = func(_ context.Context, _ bus.TopicPartition, want, got int64) error {
		resets = append(resets, [2]int64{want, got})
		return nil
	}
	c = consume(t, b, cfg)
	var got []string
	for len(got) < 3 {
		for _, r := range poll(t, c).Records {
			got = append(got, string(r.Value))
		}
	}
	if fmt.Sprint(got) != "[new 0 new 1 new 2]" {
		t.Errorf("records are %v", got)
	}
	if fmt.Sprint(resets) != "[[4 2]]" {
		t.Errorf("resets are %v, want from 4 to 2", resets)
	}
}

// loseTail cuts the segment in half: two of four equal batches, and what was written at shutdown.
func loseTail(t *testing.T, dir string) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, "*.dat"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("segments %v, %v", segments, err)
	}
	info, err := os.Stat(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(segments[0], info.Size()/2); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "snapshot.json")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// What retention took from under a consumer is reported when it starts again.
func TestBelowStart(t *testing.T) {
	b := openEmbedded(t)
	cfg := bus.ConsumerConfig{Group: "g", Topics: []string{bus.AlertsRaw}, Offsets: func(_ context.Context, tps []bus.TopicPartition) (map[bus.TopicPartition]int64, error) {
		return map[bus.TopicPartition]int64{tps[0]: 1}, nil
	}}
	old := record(bus.AlertsRaw, "old")[0]
	old.Timestamp = time.Now().Add(-48 * time.Hour)
	produce(t, b, []bus.Record{old, old, old})
	produce(t, b, record(bus.AlertsRaw, "new"))
	b.Cluster().ApplyRetention()
	var want, got int64
	cfg.OnReset = func(_ context.Context, _ bus.TopicPartition, w, g int64) error { want, got = w, g; return nil }
	c := consume(t, b, cfg)
	if v := string(poll(t, c).Records[0].Value); v != "new" || want != 1 || got != 3 {
		t.Errorf("record %q after a reset from %d to %d, want \"new\" from 1 to 3", v, want, got)
	}
}

// FAULTS B5: when the dead-letter topic fails, the letter is not taken, and the original, not
// committed, comes again.
func TestDeadLetterFails(t *testing.T) {
	b := openEmbedded(t)
	produce(t, b, record(bus.AlertsRaw, "poison"))
	cfg := bus.ConsumerConfig{Group: "g", Topics: []string{bus.AlertsRaw}}
	c := consume(t, b, cfg)
	letter := bus.DeadLetter{Original: poll(t, c).Records[0], Reason: "bad_json"}
	fault := b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "alerts.raw.dlq", Err: kerr.UnknownServerError, Count: -1})
	if err := b.DeadLetter(t.Context(), letter); !errors.Is(err, bus.ErrUnavailable) {
		t.Fatalf("error is %v, want ErrUnavailable", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	fault.Remove()
	letter.Original = poll(t, consume(t, b, cfg)).Records[0]
	if err := b.DeadLetter(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	letters, _, _, err := b.ListDead(t.Context(), bus.AlertsRaw, bus.Position{}, 10)
	if err != nil || len(letters) != 1 || string(letters[0].Original.Value) != "poison" {
		t.Errorf("letters are %+v, %v", letters, err)
	}
}

// Readiness sees a disk that no longer takes writes.
func TestPingSeesTheDisk(t *testing.T) {
	dir := t.TempDir()
	b := open(t, bus.Config{Dir: dir})
	defer func() { _ = b.Close() }()
	if err := b.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	probe := filepath.Join(dir, "probe")
	if err := errors.Join(os.Remove(probe), os.Mkdir(probe, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := b.Ping(t.Context()); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("error is %v, want ErrUnavailable", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]bus.Config{
		"no clock":      {Dir: "x"},
		"neither place": {Clock: clock.System{}},
		"both places":   {Clock: clock.System{}, Dir: "x", Brokers: []string{"192.0.2.1:9092"}},
		"a file as dir": {Clock: clock.System{}, Dir: file},
	} {
		if b, err := bus.Open(t.Context(), cfg); err == nil {
			_ = b.Close()
			t.Errorf("%s: opened", name)
		}
	}
}

func TestTopicTable(t *testing.T) {
	counts := make(map[bus.Family]int)
	names := make(map[string]bool)
	for _, row := range bus.Topics() {
		counts[row.Family]++
		names[row.Name] = true
		if row.Partitions < 1 || row.Retention < 3*24*time.Hour || row.EmbeddedRetention > row.Retention {
			t.Errorf("row %+v", row)
		}
	}
	if fmt.Sprint(counts) != "map[core:13 ctem:9 dlq:7 knowledge:6 telemetry:10]" || len(names) != 45 {
		t.Errorf("families %v, %d names", counts, len(names))
	}
	for i, name := range bus.PriorityTopics() {
		if !names[name] {
			t.Errorf("priority topic %s is not in the table", name)
		}
		for _, row := range bus.Topics() {
			if row.Name == name && row.Priority != i+1 {
				t.Errorf("%s has priority %d", name, row.Priority)
			}
		}
	}
	for name := range names {
		if dlq, err := bus.DeadLetterTopic(name); err == nil && !names[dlq] {
			t.Errorf("dead letters of %s go to %s, which is not in the table", name, dlq)
		}
	}
}
