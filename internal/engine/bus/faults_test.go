package bus_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
	"github.com/aluskort/aluskort/internal/engine/faultproxy"
)

// outage is a bus behind a proxy, with a producer that numbers its records and a group that
// reads them.
type outage struct {
	t      *testing.T
	ctx    context.Context
	proxy  *faultproxy.Proxy
	bus    *bus.Bus
	topic  string
	ledger *ledger
	acked  int
	failed int // calls
}

// newOutage joins the group and sees the first records through.
func newOutage(t *testing.T) *outage {
	t.Helper()
	broker := enginetest.Address(t, "kafka")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	o := &outage{t: t, ctx: ctx, proxy: proxyTo(t, broker), ledger: newLedger()}
	o.bus = open(t, bus.Config{Brokers: []string{broker}, Dial: o.proxy.Dial})
	o.topic = topicOf(t, o.bus, 1)
	var running sync.WaitGroup
	running.Go(func() { (&member{name: "reader", bus: o.bus, ledger: o.ledger}).run(ctx, t, o.topic) })
	t.Cleanup(func() {
		if err := o.bus.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		running.Wait()
		cancel()
	})
	o.send()
	o.arrived()
	return o
}

// try sends the next record once, with little patience.
func (o *outage) try() bool {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, time.Second)
	defer cancel()
	err := o.bus.Produce(ctx, []bus.Record{{Topic: o.topic, Key: []byte("key"), Value: strconv.AppendInt(nil, int64(o.acked), 10)}})
	switch {
	case err == nil:
		o.acked++
		return true
	case !errors.Is(err, bus.ErrUnavailable):
		o.t.Fatalf("error is %v, want ErrUnavailable", err)
	case o.ctx.Err() != nil:
		o.t.Fatalf("still %v", err)
	}
	o.failed++
	return false
}

// send repeats the next record until it is acknowledged.
func (o *outage) send() {
	o.t.Helper()
	for done := false; !done; { // each try waits by itself
		done = o.try()
	}
}

// arrived waits until everything acknowledged had its effect, and checks the order. A record
// whose call failed and was repeated may be there twice; its first place counts.
func (o *outage) arrived() {
	o.t.Helper()
	count := func() (next int) {
		for _, r := range o.ledger.effects {
			switch n, err := strconv.Atoi(string(r.Value)); {
			case err != nil || n > next:
				return -1
			case n == next:
				next++
			}
		}
		return next
	}
	o.ledger.until(o.ctx, o.t, "all that was acknowledged", func() bool { n := count(); return n == o.acked || n < 0 })
	o.ledger.mu.Lock()
	defer o.ledger.mu.Unlock()
	if count() < 0 {
		o.t.Fatalf("records came out of order: %d effects", len(o.ledger.effects))
	}
}

// recover heals the network and sees the next record through.
func (o *outage) recover() {
	o.t.Helper()
	if err := o.proxy.Pass(); err != nil {
		o.t.Fatal(err)
	}
	back := time.Now()
	o.send()
	sent := time.Since(back)
	o.arrived()
	o.t.Logf("%d calls failed; acknowledged again %v and consumed %v after the return", o.failed, sent.Round(time.Millisecond), time.Since(back).Round(time.Millisecond))
	if err := o.bus.Ping(o.ctx); err != nil {
		o.t.Errorf("ping after the return: %v", err)
	}
}

// givenUp goes on trying until the client has given up n silent connections.
func (o *outage) givenUp(n int) {
	o.t.Helper()
	for from := o.proxy.Accepted(); o.proxy.Accepted() < from+n; {
		if o.try() {
			o.t.Fatal("acknowledged across a link that answers nothing in time")
		}
	}
}

// B9, broker away: calls fail in bounded time, nothing acknowledged is lost, work resumes.
func TestB9KafkaAway(t *testing.T) {
	o := newOutage(t)
	for range 3 {
		if err := o.proxy.Refuse(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if o.try() {
				t.Fatal("acknowledged by a broker that is away")
			}
		}
		ctx, cancel := context.WithTimeout(o.ctx, 500*time.Millisecond)
		for name, call := range map[string]func() error{
			"ping": func() error { return o.bus.Ping(ctx) },
			"lag":  func() error { _, err := o.bus.Lag(ctx, o.topic); return err },
			"list": func() error { _, err := o.bus.List(ctx); return err },
		} {
			if err := call(); !errors.Is(err, bus.ErrUnavailable) {
				t.Errorf("%s: error is %v, want ErrUnavailable", name, err)
			}
		}
		cancel()
		o.recover()
	}
}

// B9, broker flapping every two seconds under load.
func TestB9KafkaFlapping(t *testing.T) {
	o := newOutage(t)
	ctx, stop := context.WithCancel(o.ctx)
	ended := make(chan error, 1)
	turns := make(chan int, 100)
	go func() {
		n := 0
		ended <- o.proxy.Flap(ctx, 2*time.Second, 2*time.Second, func(bool) { n++; turns <- n })
	}()
	for n := 0; n < 6; {
		o.try()
		select {
		case n = <-turns:
		default:
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	o.recover()
	if o.failed == 0 || o.acked < 3 {
		t.Errorf("%d calls failed and %d records were acknowledged: the link did not flap", o.failed, o.acked)
	}
}

// B9, broker answers late: requests arrive, answers come after their callers have gone.
func TestB9KafkaAnswersLate(t *testing.T) {
	o := newOutage(t)
	o.proxy.Delay(8 * time.Second)
	for range 3 {
		if o.try() {
			t.Fatal("acknowledged in a second, and every answer takes eight")
		}
	}
	o.givenUp(2)
	o.recover()
}

// B9, half-open: connections stand, new ones are accepted, and no byte passes.
func TestB9KafkaHalfOpen(t *testing.T) {
	o := newOutage(t)
	o.proxy.Stall()
	o.givenUp(3)
	o.recover()
	// The same again, and what hung in the network is gone for good.
	o.proxy.Stall()
	o.givenUp(1)
	o.proxy.Cut()
	o.recover()
}

// B9, half-open for good: the standing connections have died and nobody says so; new ones pass.
func TestB9KafkaConnectionsDieSilently(t *testing.T) {
	o := newOutage(t)
	for range 2 {
		o.proxy.Silence()
		o.recover()
	}
	// A caller with time is not told: the request is repeated on another connection.
	o.proxy.Silence()
	start := time.Now()
	if err := o.bus.Produce(o.ctx, []bus.Record{{Topic: o.topic, Key: []byte("key"), Value: strconv.AppendInt(nil, int64(o.acked), 10)}}); err != nil {
		t.Fatal(err)
	}
	o.acked++
	o.arrived()
	t.Logf("a patient call took %v", time.Since(start).Round(time.Millisecond))
}

// B9, half-open, at the end: Close does not wait for answers that do not come. What the client
// alone would wait for takes a minute.
func TestB9KafkaCloseHalfOpen(t *testing.T) {
	broker := enginetest.Address(t, "kafka")
	p := proxyTo(t, broker)
	b := open(t, bus.Config{Brokers: []string{broker}, Dial: p.Dial})
	topic := topicOf(t, b, 1)
	produce(t, b, []bus.Record{{Topic: topic, Value: []byte("x")}})
	c := consume(t, b, bus.ConsumerConfig{Group: topic, Topics: []string{topic}, Offsets: newLedger().stored})
	batch := poll(t, c)
	p.Stall()
	if err := c.Commit(t.Context(), batch); err != nil { // gathered
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- b.Close() }()
	bound := time.NewTimer(40 * time.Second) // 10 s, and what a busy machine adds
	defer bound.Stop()
	select {
	case err := <-closed:
		if !errors.Is(err, bus.ErrUnavailable) {
			t.Errorf("error is %v: what was gathered was not committed", err)
		}
	case <-bound.C:
		t.Error("close waits for a broker that does not answer")
		p.Cut()
		t.Log(<-closed)
	}
}

// B5: while the broker is away no letter is taken and the original is not lost; B6: afterwards it
// is, and is sent back once.
func TestB5KafkaDeadLettersWhileTheBrokerIsAway(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	broker := enginetest.Address(t, "kafka")
	p := proxyTo(t, broker)
	b := open(t, bus.Config{Brokers: []string{broker}, Dial: p.Dial})
	defer func() { _ = b.Close() }()
	topic := topicOf(t, b, 2)
	if err := b.Produce(ctx, []bus.Record{{Topic: topic, Key: []byte("k"), Value: []byte("poison\x00\xff")}}); err != nil {
		t.Fatal(err)
	}
	cfg := bus.ConsumerConfig{Group: topic, Topics: []string{topic}}
	c := consume(t, b, cfg)
	batch, err := c.Poll(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Refuse(); err != nil {
		t.Fatal(err)
	}
	brief, done := context.WithTimeout(ctx, time.Second)
	defer done()
	letter := bus.DeadLetter{Original: batch.Records[0], Reason: "frame", Stage: "test", Err: "broken"}
	if err := b.DeadLetter(brief, letter); !errors.Is(err, bus.ErrUnavailable) {
		t.Fatalf("error is %v, want ErrUnavailable", err)
	}
	if err := p.Pass(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = consume(t, b, cfg) // a restart
	if batch, err = c.Poll(ctx); err != nil || string(batch.Records[0].Value) != "poison\x00\xff" {
		t.Fatalf("the original came as %+v, %v", batch.Records, err)
	}
	letter.Original = batch.Records[0]
	if err := b.DeadLetter(ctx, letter); err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(ctx, batch); err != nil {
		t.Fatal(err)
	}
	// The call that failed may have arrived; letters are at least once.
	letters, _, _, err := b.ListDead(ctx, topic, bus.Position{}, 10)
	if err != nil || len(letters) < 1 || len(letters) > 2 {
		t.Fatalf("%d letters, %v", len(letters), err)
	}
	last := letters[len(letters)-1]
	for _, want := range []bus.ReplayResult{{Replayed: 1}, {Skipped: 1}} {
		if res, err := b.Replay(ctx, bus.ReplayRequest{Topic: topic, At: []bus.Position{last.At}}); err != nil || res != want {
			t.Errorf("replay: %+v, %v, want %+v", res, err, want)
		}
	}
	again, err := c.Poll(ctx)
	if err != nil || len(again.Records) != 1 || string(again.Records[0].Value) != "poison\x00\xff" {
		t.Fatalf("sent back: %+v, %v", again.Records, err)
	}
	if _, ok := again.Records[0].Header(bus.HeaderReplayedFrom); !ok {
		t.Error("what was sent back does not say where from")
	}
}

// Order within a key under cuts: four producers with a key each repeat what failed until it is
// acknowledged, while connections end in the middle of requests.
func TestB9KafkaOrderWithinAKeyUnderCuts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	broker := enginetest.Address(t, "kafka")
	p := proxyTo(t, broker)
	b := open(t, bus.Config{Brokers: []string{broker}, Dial: p.Dial})
	defer func() { _ = b.Close() }()
	topic := topicOf(t, b, 2)
	const keys, each = 4, 300
	var producing sync.WaitGroup
	for k := range keys {
		producing.Go(func() {
			for i := 0; i < each; {
				if i%15 == 0 && k == 0 {
					p.Cut()
				}
				// Three records of a key in a call: their order must hold within it too.
				var recs []bus.Record
				for j := range 3 {
					recs = append(recs, bus.Record{Topic: topic, Key: strconv.AppendInt(nil, int64(k), 10), Value: strconv.AppendInt(nil, int64(i+j), 10)})
				}
				err := b.Produce(ctx, recs)
				switch {
				case err == nil:
					i += 3
				case !errors.Is(err, bus.ErrUnavailable) || ctx.Err() != nil:
					t.Errorf("produce: %v", err)
					return
				}
			}
		})
	}
	producing.Wait()
	c := consume(t, b, bus.ConsumerConfig{Group: topic, Topics: []string{topic}})
	next := make(map[string]int)
	for left := keys; left > 0; {
		batch, err := c.Poll(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range batch.Records {
			n, _ := strconv.Atoi(string(r.Value))
			switch due := next[string(r.Key)]; {
			case n > due:
				t.Fatalf("key %s: %d came where %d was due", r.Key, n, due)
			case n == due:
				if next[string(r.Key)]++; due == each-1 {
					left--
				}
			}
		}
	}
}
