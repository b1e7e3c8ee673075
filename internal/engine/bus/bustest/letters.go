package bustest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/engine/bus"
)

// bury produces n records and makes dead letters of them.
func (h *harness) bury(b *bus.Bus, topic string, n int) []bus.Record {
	h.t.Helper()
	h.fill(b, topic, n)
	recs := h.take(h.consume(b, bus.ConsumerConfig{Topics: []string{topic}}), n).Records
	letters := make([]bus.DeadLetter, n)
	for i, r := range recs {
		letters[i] = bus.DeadLetter{Original: r, Reason: "bad_json", Stage: "entity-parser", Err: "unexpected end"}
	}
	h.must(b.DeadLetter(h.ctx, letters...))
	return recs
}

func deadLetter(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	sent := bus.Record{Topic: topic, Key: binary[:4], Value: binary, Headers: []bus.Header{{Key: bus.HeaderTenant, Value: []byte("example")}, {Key: "bin", Value: binary}}}
	h.must(b.Produce(h.ctx, []bus.Record{{Topic: topic}, sent}))
	got := h.take(h.consume(b, bus.ConsumerConfig{Topics: []string{topic}}), 2).Records[1]
	h.must(b.DeadLetter(h.ctx, bus.DeadLetter{Original: got, Reason: "bad_json", Stage: "entity-parser", Err: "offset 3: \xff"}))

	letters, _, more, err := b.ListDead(h.ctx, topic, bus.Position{}, 10)
	h.must(err)
	if len(letters) != 1 || more {
		t.Fatalf("%d letters, more %v", len(letters), more)
	}
	l := letters[0]
	o := l.Original
	if l.Malformed != nil || l.Reason != "bad_json" || l.Stage != "entity-parser" || l.Err != "offset 3: \xff" || l.Replayed {
		t.Errorf("letter is %+v", l)
	}
	if o.Topic != topic || o.Partition != got.Partition || o.Offset != 1 {
		t.Errorf("original was at %s/%d/%d", o.Topic, o.Partition, o.Offset)
	}
	if !bytes.Equal(o.Key, sent.Key) || !bytes.Equal(o.Value, sent.Value) || fmt.Sprint(o.Headers) != fmt.Sprint(sent.Headers) {
		t.Errorf("original came back as %+v", o)
	}
	if l.Time.IsZero() || time.Since(l.Time) < 0 {
		t.Errorf("time is %v", l.Time)
	}
}

func deadLetterPages(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 2)
	h.bury(b, topic, 5)
	seen := make(map[string]bool)
	from, pages := bus.Position{}, 0
	for more := true; more; pages++ {
		var letters []bus.StoredLetter
		var err error
		letters, from, more, err = b.ListDead(h.ctx, topic+".dlq", from, 2)
		h.must(err)
		for _, l := range letters {
			if seen[string(l.Original.Value)] {
				t.Errorf("letter %s came twice", l.Original.Value)
			}
			seen[string(l.Original.Value)] = true
		}
	}
	if len(seen) != 5 || pages != 3 {
		t.Errorf("%d letters on %d pages, want 5 on 3", len(seen), pages)
	}
}

func malformedLetter(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	h.must(b.Produce(h.ctx, []bus.Record{
		{Topic: topic + ".dlq", Value: []byte("stray")},
		{Topic: topic + ".dlq", Value: []byte("odd"), Headers: []bus.Header{{Key: bus.HeaderDLQTopic, Value: []byte(topic)}, {Key: bus.HeaderDLQPartition, Value: []byte("x")}}},
	}))
	letters, _, _, err := b.ListDead(h.ctx, topic, bus.Position{}, 10)
	h.must(err)
	for _, l := range letters {
		h.wantErr(l.Malformed, bus.ErrNotALetter)
	}
	res, err := b.Replay(h.ctx, bus.ReplayRequest{Topic: topic, All: true})
	h.must(err)
	if res != (bus.ReplayResult{Malformed: 2}) {
		t.Errorf("replay did %+v", res)
	}
}

func replayOnce(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	h.bury(b, topic, 3)
	replay := func(req bus.ReplayRequest, want bus.ReplayResult) {
		t.Helper()
		req.Topic = topic
		res, err := b.Replay(h.ctx, req)
		h.must(err)
		if res != want {
			t.Fatalf("replay %+v did %+v, want %+v", req, res, want)
		}
	}
	replay(bus.ReplayRequest{All: true, Only: "another.topic"}, bus.ReplayResult{})
	replay(bus.ReplayRequest{All: true}, bus.ReplayResult{Replayed: 3})
	replay(bus.ReplayRequest{All: true}, bus.ReplayResult{})
	replay(bus.ReplayRequest{At: []bus.Position{{Offset: 1}}}, bus.ReplayResult{Skipped: 1})
	replay(bus.ReplayRequest{At: []bus.Position{{Offset: 1}}, Force: true}, bus.ReplayResult{Replayed: 1})
	got := h.take(h.consume(b, bus.ConsumerConfig{Topics: []string{topic}}), 7)
	h.wantValues(got, "0 1 2 0 1 2 1")
	for i, r := range got.Records[3:] {
		from, _ := r.Header(bus.HeaderReplayedFrom)
		if want := fmt.Sprintf("%s.dlq/0/%d", topic, []int{0, 1, 2, 1}[i]); string(from) != want {
			t.Errorf("replayed record says it is from %q, want %q", from, want)
		}
		if len(r.Headers) != 1 || string(r.Key) != "key" {
			t.Errorf("replayed record is %+v", r)
		}
	}
	// A replayed record that dies again is a new letter, and can be replayed again.
	h.must(b.DeadLetter(h.ctx, bus.DeadLetter{Original: got.Records[3], Reason: "again"}))
	replay(bus.ReplayRequest{All: true}, bus.ReplayResult{Replayed: 1})
}

func replayChosen(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	h.bury(b, topic, 6)
	res, err := b.Replay(h.ctx, bus.ReplayRequest{Topic: topic, At: []bus.Position{{Offset: 4}, {Offset: 1}, {Offset: 99}}})
	h.must(err)
	if res != (bus.ReplayResult{Replayed: 2, Missing: 1}) {
		t.Errorf("replay did %+v", res)
	}
	letters, _, _, err := b.ListDead(h.ctx, topic, bus.Position{}, 10)
	h.must(err)
	var marks []bool
	for _, l := range letters {
		marks = append(marks, l.Replayed)
	}
	if want := []bool{false, true, false, false, true, false}; fmt.Sprint(marks) != fmt.Sprint(want) {
		t.Errorf("replayed marks are %v, want %v", marks, want)
	}
	if _, err := b.Replay(h.ctx, bus.ReplayRequest{Topic: topic}); err == nil {
		t.Error("a replay of nothing in particular must be refused")
	}
}

func replayReopen(t *testing.T, h *harness) {
	b := h.open()
	topic := h.topic(b, 1)
	h.bury(b, topic, 4)
	_, err := b.Replay(h.ctx, bus.ReplayRequest{Topic: topic, At: []bus.Position{{Offset: 0}, {Offset: 2}}})
	h.must(err)
	h.must(b.Close())
	b = h.open()
	res, err := b.Replay(h.ctx, bus.ReplayRequest{Topic: topic, All: true})
	h.must(err)
	if res != (bus.ReplayResult{Replayed: 2, Skipped: 1}) {
		t.Errorf("replay after reopening did %+v", res)
	}
	got := h.take(h.consume(b, bus.ConsumerConfig{Topics: []string{topic}}), 8)
	h.wantValues(got, "0 1 2 3 0 2 1 3")
}

func noDeadLetters(_ *testing.T, h *harness) {
	b := h.open()
	h.wantErr(b.DeadLetter(h.ctx, bus.DeadLetter{Original: bus.Record{Topic: bus.AuditEvents}}), bus.ErrNoDeadLetters)
	h.wantErr(b.DeadLetter(h.ctx, bus.DeadLetter{Original: bus.Record{Topic: "alerts.raw.dlq"}}), bus.ErrNoDeadLetters)
	_, _, _, err := b.ListDead(h.ctx, bus.AuditEvents, bus.Position{}, 1)
	h.wantErr(err, bus.ErrNoDeadLetters)
	_, _, _, err = b.ListDead(h.ctx, "suite.absent", bus.Position{}, 1)
	h.wantErr(err, bus.ErrUnknownTopic)
}
