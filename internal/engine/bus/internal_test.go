package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aluskort/aluskort/internal/clock"
)

// waitingConsumer has records of the given "topic partition offset" pending and no client.
func waitingConsumer(limits BatchLimits, expected map[TopicPartition]int64, pending ...string) *Consumer {
	c := newConsumer(&Bus{log: slog.New(slog.DiscardHandler)}, ConsumerConfig{Batch: limits})
	c.bounds = func(context.Context, []string) (starts, ends map[TopicPartition]int64, err error) {
		starts = make(map[TopicPartition]int64) // the log has lost all that a test leaves out above, and ends at 0
		for tp := range expected {
			starts[tp] = 1 << 30
		}
		return starts, nil, nil
	}
	c.run, c.ids, c.expected = context.Background(), map[string][16]byte{"a": {1}, "b": {2}}, expected
	for _, s := range pending {
		r := new(kgo.Record)
		if _, err := fmt.Sscan(s, &r.Topic, &r.Partition, &r.Offset); err != nil {
			panic(err)
		}
		c.pending = append(c.pending, r)
	}
	return c
}

func TestGapsInOffsets(t *testing.T) {
	a0, a1, b0 := TopicPartition{Topic: "a"}, TopicPartition{Topic: "a", Partition: 1}, TopicPartition{Topic: "b"}
	for _, tc := range []struct {
		name     string
		expected map[TopicPartition]int64
		pending  []string
		batches  []string // offsets of each
		resets   []string
	}{
		{"none, partitions in turns", map[TopicPartition]int64{a0: 5, a1: 0, b0: 7}, []string{"a 0 5", "a 1 0", "a 0 6", "b 0 7", "a 1 1"}, []string{"5 0 6 7 1"}, nil},
		{"unknown partitions start anywhere", map[TopicPartition]int64{}, []string{"a 0 50", "a 0 51", "b 0 9"}, []string{"50 51 9"}, nil},
		{"at the head", map[TopicPartition]int64{a0: 5}, []string{"a 0 8", "a 0 9"}, []string{"8 9"}, []string{"a/0 5>8"}},
		{"in the middle", map[TopicPartition]int64{a0: 5}, []string{"a 0 5", "a 0 6", "a 0 9"}, []string{"5 6", "9"}, []string{"a/0 7>9"}},
		{"at the start of a later partition", map[TopicPartition]int64{a0: 5, b0: 1}, []string{"a 0 5", "b 0 3", "a 0 6"}, []string{"5", "3 6"}, []string{"b/0 1>3"}},
		{"in a partition that came before", map[TopicPartition]int64{a0: 5, b0: 1}, []string{"a 0 5", "b 0 1", "a 0 8"}, []string{"5 1", "8"}, []string{"a/0 6>8"}},
		{"backwards", map[TopicPartition]int64{a0: 5}, []string{"a 0 5", "a 0 2"}, []string{"5", "2"}, []string{"a/0 6>2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := waitingConsumer(BatchLimits{Records: 100, Bytes: 1 << 20}, tc.expected, tc.pending...)
			var batches, resets []string
			c.cfg.OnReset = func(_ context.Context, tp TopicPartition, want, got int64) error {
				resets = append(resets, fmt.Sprintf("%s %d>%d", tp, want, got))
				return nil
			}
			for len(c.pending) > 0 {
				b, err := c.cut(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				text, from, next := "", make(map[TopicPartition]int64), make(map[TopicPartition]int64)
				for _, r := range b.Records {
					text += fmt.Sprintf(" %d", r.Offset)
					tp := TopicPartition{Topic: r.Topic, ID: c.ids[r.Topic], Partition: r.Partition}
					if _, ok := from[tp]; !ok {
						from[tp] = r.Offset
					}
					next[tp] = r.Offset + 1
				}
				batches = append(batches, text[1:])
				if !reflect.DeepEqual(b.Next, next) || !reflect.DeepEqual(b.From, from) {
					t.Errorf("from %v to %v, records say from %v to %v", b.From, b.Next, from, next)
				}
			}
			if !slices.Equal(batches, tc.batches) || !slices.Equal(resets, tc.resets) {
				t.Errorf("batches %q, resets %q; want %q, %q", batches, resets, tc.batches, tc.resets)
			}
		})
	}
}

// A gap whose offsets the log still holds is no loss: the partition is placed anew, once; offsets
// that belong to no record are passed over then.
func TestGapThatTheLogDoesNotExplain(t *testing.T) {
	a := TopicPartition{Topic: "a"}
	for _, tc := range []struct {
		name       string
		at         string
		start, end int64
		misplaced  bool
	}{
		{"too far, and the log begins before", "a 0 9", 3, 20, true},
		{"too far, for the log begins behind", "a 0 9", 9, 20, false},
		{"back, and the log goes on", "a 0 2", 0, 20, true},
		{"back, for the log was cut", "a 0 2", 0, 4, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := waitingConsumer(BatchLimits{Records: 9, Bytes: 9}, map[TopicPartition]int64{a: 5}, tc.at)
			c.bounds = func(context.Context, []string) (starts, ends map[TopicPartition]int64, err error) {
				return map[TopicPartition]int64{a: tc.start}, map[TopicPartition]int64{a: tc.end}, nil
			}
			resets := 0
			c.cfg.OnReset = func(context.Context, TopicPartition, int64, int64) error { resets++; return nil }
			b, err := c.cut(t.Context())
			if err != nil || c.rewinding() != tc.misplaced || (len(b.Records) == 0) != tc.misplaced || (resets == 0) != tc.misplaced {
				t.Fatalf("%d records, placed anew: %v, %d resets, %v", len(b.Records), c.rewinding(), resets, err)
			}
			if b, err = c.cut(t.Context()); tc.misplaced && (err != nil || len(b.Records) != 1 || resets != 1) {
				t.Errorf("met again: %d records, %d resets, %v", len(b.Records), resets, err)
			}
		})
	}
}

// A reset that cannot be recorded keeps the records for the next Poll.
func TestGapNotRecorded(t *testing.T) {
	c := waitingConsumer(BatchLimits{Records: 9, Bytes: 9}, map[TopicPartition]int64{{Topic: "a"}: 5}, "a 0 8")
	refusal := errors.New("database is away")
	c.cfg.OnReset = func(context.Context, TopicPartition, int64, int64) error { return refusal }
	if _, err := c.cut(t.Context()); !errors.Is(err, refusal) {
		t.Fatalf("error is %v", err)
	}
	c.cfg.OnReset = nil
	if b, err := c.cut(t.Context()); err != nil || len(b.Records) != 1 {
		t.Errorf("second try: %d records, %v", len(b.Records), err)
	}
}

// What failed to be sent is sent again, unless a newer position came meanwhile.
func TestCommitRepeatsWhatFailed(t *testing.T) {
	one, two := TopicPartition{Topic: "a"}, TopicPartition{Topic: "b"}
	var sent []map[TopicPartition]int64
	fail := errors.New("away")
	m := newCommitter(func(_ context.Context, next map[TopicPartition]int64) error {
		sent = append(sent, next)
		return fail
	}, 0, nil, nil)
	if err := m.add(t.Context(), map[TopicPartition]int64{one: 1, two: 1}); !errors.Is(err, fail) {
		t.Fatalf("error is %v", err)
	}
	fail = nil
	if err := m.add(t.Context(), map[TopicPartition]int64{one: 2}); err != nil {
		t.Fatal(err)
	}
	if want := (map[TopicPartition]int64{one: 2, two: 1}); !reflect.DeepEqual(sent[1], want) {
		t.Errorf("sent %v, want %v", sent[1], want)
	}
	if err := m.close(t.Context()); err != nil || len(sent) != 2 {
		t.Errorf("close sent again: %v, %v", sent, err)
	}
}

func TestMarksThatDoNotFit(t *testing.T) {
	m := new(marks)
	for i := int64(1); i < 3000; i += 2 {
		m.add(i)
	}
	if _, err := m.encode(); !errors.Is(err, ErrReplayGaps) {
		t.Errorf("error is %v", err)
	}
	m.raise(2990)
	if text, err := m.encode(); err != nil || text != "2991,2993,2995,2997,2999" {
		t.Errorf("marks are %q, %v", text, err)
	}
}

func FuzzMarks(f *testing.F) {
	f.Add(int64(0), "3,5-9")
	f.Add(int64(4), "3,5-9,8-12")
	f.Add(int64(-1), "a-b")
	f.Add(int64(0), "9-3")
	f.Add(int64(0), "9223372036854775807")
	f.Fuzz(func(t *testing.T, below int64, text string) {
		m, err := decodeMarks(below, text)
		if err != nil {
			return
		}
		out, err := m.encode()
		if err != nil {
			return
		}
		again, err := decodeMarks(m.below, out)
		if err != nil {
			t.Fatalf("own marks %d %q: %v", m.below, out, err)
		}
		if again.below != m.below || !slices.Equal(again.ranges, m.ranges) {
			t.Fatalf("%d %q became %d %v", below, text, again.below, again.ranges)
		}
	})
}

func FuzzLetter(f *testing.F) {
	f.Add("alerts.raw", "0", "7", "2026-01-02T03:04:05Z", []byte("{\xff"))
	f.Add("", "x", "-1", "", []byte(nil))
	f.Add("alerts.raw", "99999999999", "1", "yesterday", []byte("v"))
	f.Fuzz(func(t *testing.T, topic, partition, offset, at string, value []byte) {
		l := parseLetter(&kgo.Record{Topic: "alerts.raw.dlq", Value: value, Headers: []kgo.RecordHeader{
			{Key: HeaderDLQTopic, Value: []byte(topic)}, {Key: HeaderDLQPartition, Value: []byte(partition)},
			{Key: HeaderDLQOffset, Value: []byte(offset)}, {Key: HeaderDLQTime, Value: []byte(at)}, {Key: "own", Value: value},
		}})
		if l.Malformed != nil && !errors.Is(l.Malformed, ErrNotALetter) {
			t.Fatal(l.Malformed)
		}
		if l.Malformed == nil && l.Original.Topic != topic {
			t.Fatalf("topic %q became %q", topic, l.Original.Topic)
		}
		if string(l.Original.Value) != string(value) || len(l.Original.Headers) != 1 {
			t.Fatalf("original changed: %+v", l.Original)
		}
	})
}

// A partition that is to be given up waits for the work under way, but not for ever.
func TestGiveUpWaitsForWork(t *testing.T) {
	ours := map[TopicPartition]int64{{Topic: "a"}: 5, {Topic: "b"}: 1}
	gone := map[string][]int32{"a": {0}}
	for _, tc := range []struct {
		name  string
		end   func(*Consumer, Batch)
		waits time.Duration
	}{
		{"until Commit", func(c *Consumer, b Batch) { _ = c.Commit(t.Context(), b) }, time.Second},
		{"until Rewind", func(c *Consumer, b Batch) { c.Rewind(b) }, time.Second},
		{"until Close", func(c *Consumer, _ Batch) { c.stop() }, time.Second},
		{"at most a while", func(*Consumer, Batch) {}, handOver},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := waitingConsumer(BatchLimits{Records: 2, Bytes: 1 << 20}, maps.Clone(ours), "a 0 5", "a 0 6", "a 0 7", "b 0 1")
				c.bus.cfg.Clock = clock.System{}
				c.run, c.stop = context.WithCancel(t.Context())
				defer c.stop()
				c.commits = newCommitter(func(context.Context, map[TopicPartition]int64) error { return nil }, 0, nil, nil)
				batch, err := c.cut(t.Context())
				if err != nil || len(batch.Records) != 2 || batch.From[TopicPartition{Topic: "a", ID: [16]byte{1}}] != 5 {
					t.Fatalf("batch %+v, %v", batch, err)
				}
				start, given := time.Now(), make(chan time.Duration, 1)
				go func() {
					c.giveUp(gone)
					given <- time.Since(start)
				}()
				time.Sleep(time.Second)
				tc.end(c, batch)
				if took := <-given; took != tc.waits {
					t.Errorf("given up after %v, want %v", took, tc.waits)
				}
				// What waited of it is gone, what is of others stays; a late commit of it moves nothing.
				rest, err := c.cut(t.Context())
				if err != nil || len(rest.Records) != 1 || rest.Records[0].Topic != "b" {
					t.Errorf("left %+v, %v", rest, err)
				}
				if left := c.owned(batch.Next); len(left) != 0 {
					t.Errorf("still ours: %v", left)
				}
			})
		})
	}
}

// A partition is placed anew once, however many of its batches are refused.
func TestRewindOncePerPosition(t *testing.T) {
	c := waitingConsumer(BatchLimits{Records: 1, Bytes: 1 << 20}, map[TopicPartition]int64{{Topic: "a"}: 5}, "a 0 5", "a 0 6", "a 0 7")
	var batches [2]Batch
	for i := range batches {
		var err error
		if batches[i], err = c.cut(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.Rewind(batches[0])
	if !c.rewinding() {
		t.Fatal("nothing to place anew")
	}
	c.epoch++ // as placeAnew does
	c.rewound[TopicPartition{Topic: "a"}] = c.epoch
	clear(c.rewind)
	if c.Rewind(batches[1]); c.rewinding() {
		t.Error("a batch from before the rewind rewinds again")
	}
	if _, busy := c.unfinished(map[string][]int32{"a": {0}}); busy {
		t.Error("refused batches are still waited for")
	}
}
