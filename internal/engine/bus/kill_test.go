package bus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
)

// memberVar makes the test binary a member of a group: "broker topic". Its database is its parent,
// asked over standard input and output.
const memberVar = "BUS_TEST_MEMBER"

// position is an offset of a partition on its way through JSON.
type position struct {
	Partition  bus.TopicPartition
	From, Next int64
}

// question is what a member asks its database: which offsets are stored, or a transaction.
type question struct {
	Stored  []bus.TopicPartition
	Moves   []position
	Records []bus.Record
}

type answer struct {
	Stored []position
	Moved  bool // the transaction was refused
}

// database is the member's end.
type database struct {
	mu  sync.Mutex
	in  *json.Decoder
	out *json.Encoder
}

func (d *database) ask(q question) (a answer, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.out.Encode(q); err != nil {
		return a, err
	}
	return a, d.in.Decode(&a)
}

func (d *database) stored(_ context.Context, tps []bus.TopicPartition) (map[bus.TopicPartition]int64, error) {
	a, err := d.ask(question{Stored: tps})
	found := make(map[bus.TopicPartition]int64)
	for _, p := range a.Stored {
		found[p.Partition] = p.Next
	}
	return found, err
}

// memberChild works until it is killed. It does not return in the re-executed process.
func memberChild() {
	broker, topic, ok := strings.Cut(os.Getenv(memberVar), " ")
	if !ok {
		return
	}
	fmt.Fprintln(os.Stderr, "member ended:", work(broker, topic))
	os.Exit(1)
}

func work(broker, topic string) error {
	ctx := context.Background()
	db := &database{in: json.NewDecoder(os.Stdin), out: json.NewEncoder(os.Stdout)}
	b, err := bus.Open(ctx, bus.Config{Brokers: []string{broker}, Clock: clock.System{}})
	if err != nil {
		return err
	}
	c, err := b.Consume(ctx, bus.ConsumerConfig{Group: topic, Topics: []string{topic}, Offsets: db.stored, Batch: bus.BatchLimits{Records: 50}})
	if err != nil {
		return err
	}
	for {
		batch, err := c.Poll(ctx)
		if err != nil {
			return err
		}
		q := question{Records: batch.Records}
		for tp, from := range batch.From {
			q.Moves = append(q.Moves, position{tp, from, batch.Next[tp]})
		}
		a, err := db.ask(q)
		if err != nil {
			return err
		}
		if a.Moved {
			c.Rewind(batch)
			continue
		}
		_ = c.Commit(ctx, batch) // stored offsets are what counts
	}
}

// process is the parent's end of a member.
type process struct {
	cmd    *exec.Cmd
	served sync.WaitGroup
}

func spawn(t *testing.T, name, broker, topic string, l *ledger) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe)}
	p.cmd.Env = append(os.Environ(), memberVar+"="+broker+" "+topic)
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.served.Go(func() { serve(name, out, in, l) })
	t.Cleanup(p.kill)
	return p
}

// serve is the database of a member, until the member has ended.
func serve(name string, from io.Reader, to io.Writer, l *ledger) {
	in, out := json.NewDecoder(from), json.NewEncoder(to)
	for {
		var q question
		if in.Decode(&q) != nil {
			return
		}
		var a answer
		if len(q.Moves) > 0 {
			b := bus.Batch{Records: q.Records, From: make(map[bus.TopicPartition]int64), Next: make(map[bus.TopicPartition]int64)}
			for _, m := range q.Moves {
				b.From[m.Partition], b.Next[m.Partition] = m.From, m.Next
			}
			a.Moved = l.apply(name, b) != nil
		} else {
			found, _ := l.stored(context.Background(), q.Stored)
			for tp, next := range found {
				a.Stored = append(a.Stored, position{Partition: tp, Next: next})
			}
		}
		if out.Encode(a) != nil {
			return
		}
	}
}

// kill ends the process by SIGKILL and waits for what it had begun. Killing it again does nothing.
func (p *process) kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Kill()
	p.served.Wait()
	_ = p.cmd.Wait() // killed
}

// A2 in production: of two processes that share the partitions one after the other dies by kill -9
// in the middle of the load and is started again. Every record has its effect exactly once, each
// key keeps its order.
func TestA2KafkaMembersAreKilled(t *testing.T) {
	broker := enginetest.Address(t, "kafka")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l := newLedger()
	b := open(t, bus.Config{Brokers: []string{broker}})
	defer func() { _ = b.Close() }()
	topic := topicOf(t, b, 6)
	works := func(name string) {
		t.Helper()
		l.mu.Lock()
		from := l.by[name]
		l.mu.Unlock()
		l.until(ctx, t, "the work of "+name, func() bool { return l.by[name] > from+200 })
	}
	stop := make(chan struct{})
	f := feed(ctx, t, b, topic, stop, l)
	members := []*process{spawn(t, "0.0", broker, topic, l), spawn(t, "1.0", broker, topic, l)}
	works("0.0")
	works("1.0")
	for round := range 4 {
		i := round % 2
		members[i].kill()
		name := fmt.Sprintf("%d.%d", i, round+1)
		members[i] = spawn(t, name, broker, topic, l)
		works(name)
	}
	close(stop)
	<-f.done
	l.until(ctx, t, "the rest", func() bool { return len(l.effects) >= f.sent })
	l.check(t, f.sent)
	t.Logf("%d records, by member %v, %d batches refused", f.sent, l.by, l.refused)
}
