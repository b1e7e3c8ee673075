package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aluskort/aluskort/internal/clock"
)

// Config says where the bus is. Exactly one of Dir and Brokers is set.
type Config struct {
	// Dir is the data directory of an embedded bus; it is created. The caller holds the lock of
	// the state directory it lies in.
	Dir string
	// Brokers are addresses (host:port) of a production cluster; TLS and SASL say how it is
	// spoken to. Check says whether they can be used.
	Brokers []string
	TLS     TLS
	SASL    SASL
	// Dial opens the connections to a production cluster, below TLS; nil dials TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Replication of the topics that Apply creates in production; 0 takes the cluster's default.
	// From 3 on, topics want two replicas in sync.
	Replication int16
	// Clock is required; Logger defaults to one that discards.
	Clock  clock.Clock
	Logger *slog.Logger
}

const (
	// requestOverhead is how long a broker may take to answer beyond what a request allows it.
	requestOverhead = 5 * time.Second
	minRetry        = 100 * time.Millisecond
	maxRetry        = time.Second
)

// retryBackoff is how long to wait before the nth repetition. The jitter keeps the members of a
// group from returning all at once.
func retryBackoff(n int) time.Duration {
	d := min(minRetry<<min(n-1, 4), maxRetry)
	return d/2 + rand.N(d/2)
}

// closeTimeout bounds what Close waits for: running calls, and last commits.
const closeTimeout = 10 * time.Second

// Bus is a connection to the broker, and the broker itself when embedded. It is safe for
// concurrent use.
type Bus struct {
	cfg      Config
	log      *slog.Logger
	embedded *embedded // nil in production
	opts     []kgo.Opt // how to reach the broker; every client has them
	client   *kgo.Client
	admin    *kadm.Client

	// lost are group offsets that Open found above the end of a log and pulled back. The
	// consumer of that group reports them.
	lost map[string]map[TopicPartition]pulled

	mu        sync.Mutex // guards closed, consumers, and the wait groups' Add against Close
	closed    bool
	consumers map[*Consumer]struct{}
	inflight  sync.WaitGroup // calls
	sending   sync.WaitGroup // goroutines of Produce; one may outlive its call
	replaying sync.Mutex     // one replay at a time: each reads, adds to and writes the marks
	closeOnce sync.Once
	closeErr  error
}

// Open starts the embedded broker, or dials a production cluster and checks that it answers.
// Embedded, every topic of the table exists afterwards with its retention; in production that is
// the work of Apply. The caller closes the bus.
func Open(ctx context.Context, cfg Config) (*Bus, error) {
	switch {
	case cfg.Clock == nil:
		return nil, errors.New("open bus: no clock given")
	case (cfg.Dir == "") == (len(cfg.Brokers) == 0):
		return nil, errors.New("open bus: set either the data directory (embedded) or the brokers (production)")
	}
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("open bus: %w", err)
	}
	b := &Bus{cfg: cfg, log: cfg.Logger, consumers: make(map[*Consumer]struct{})}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if err := b.start(ctx); err != nil {
		_ = b.Close()
		return nil, fmt.Errorf("open bus: %w", err)
	}
	return b, nil
}

func (b *Bus) start(ctx context.Context) error {
	b.opts = []kgo.Opt{
		kgo.ClientID("aluskort"),
		kgo.WithLogger(clientLogger{b.log}),
		kgo.DisableClientMetrics(),
		kgo.BrokerMaxReadBytes(256 << 20),
	}
	if b.cfg.Dir != "" {
		e, err := startEmbedded(b.cfg.Dir, b.log)
		if err != nil {
			return fmt.Errorf("start the embedded broker on %s: %w", b.cfg.Dir, err)
		}
		b.embedded = e
		b.opts = append(b.opts, e.clientOpts()...)
	} else {
		b.opts = append(b.opts, b.clusterOpts()...)
	}
	client, err := kgo.NewClient(append(b.producerOpts(), b.opts...)...)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	b.client, b.admin = client, kadm.NewClient(client)
	if b.embedded == nil {
		return b.Ping(ctx)
	}
	if _, err := b.Apply(ctx); err != nil {
		return err
	}
	return b.pullBackGroups(ctx)
}

// Embedded reports whether the broker runs in this process.
func (b *Bus) Embedded() bool { return b.embedded != nil }

// Ping returns nil when the broker answers and, embedded, its disk takes a synced write. Use it
// for readiness. The error is ErrUnavailable.
func (b *Bus) Ping(ctx context.Context) error {
	done, err := b.enter()
	if err != nil {
		return err
	}
	defer done()
	if err := b.client.Ping(ctx); err != nil {
		return unavailable("ping the broker", err)
	}
	if b.embedded != nil {
		if err := b.embedded.probeDisk(); err != nil {
			return unavailable("write to the data directory of the broker", err)
		}
	}
	return nil
}

// enter keeps Close from taking the clients away under a running call.
func (b *Bus) enter() (done func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	b.inflight.Add(1)
	return b.inflight.Done, nil
}

// Close ends consumers (a blocked Poll returns ErrClosed), waits for running calls, at most
// 10 s, and stops the embedded broker. A second Close waits for the first and
// returns its error.
func (b *Bus) Close() error {
	b.closeOnce.Do(func() { b.closeErr = b.close() })
	return b.closeErr
}

func (b *Bus) close() error {
	b.mu.Lock()
	b.closed = true
	consumers := make([]*Consumer, 0, len(b.consumers))
	for c := range b.consumers {
		if c.ready {
			consumers = append(consumers, c)
		}
	}
	b.mu.Unlock()

	results := make(chan error, len(consumers))
	for _, c := range consumers { // at once: each may wait for a broker that does not answer
		go func() { results <- c.Close() }()
	}
	var errs []error
	for range consumers {
		errs = append(errs, <-results)
	}
	b.awaitCalls()
	if b.client != nil {
		b.client.Close() // fails what is still waiting for an answer
	}
	b.inflight.Wait()
	b.sending.Wait()
	if b.embedded != nil {
		errs = append(errs, b.embedded.close())
	}
	return errors.Join(errs...)
}

// awaitCalls lets running calls finish, for a while. Records whose caller has gone are not
// waited for.
func (b *Bus) awaitCalls() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.inflight.Wait()
	}()
	t := time.NewTimer(closeTimeout)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}
