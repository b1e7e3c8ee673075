// Package faultproxy is a TCP proxy that breaks on command. It stands between a client and a
// real server in tests and makes the network faults that a machine without traffic control cannot:
// a server that is away, connections that are cut, peers that accept and never answer, answers
// that come late, and all of this off and on.
package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
)

// Proxy forwards every connection made to Addr to its target. Its methods are safe for concurrent
// use and take effect at once, on standing connections too.
type Proxy struct {
	target string
	addr   string
	clock  clock.Clock

	mu       sync.Mutex // guards the fields below
	listener net.Listener
	links    map[*link]struct{}
	stalled  chan struct{} // closed when bytes may pass; nil while they do
	delay    time.Duration
	accepted int
	closed   bool

	running sync.WaitGroup
}

// chunkBytes is what is forwarded at once.
const chunkBytes = 64 << 10

// queued bounds the delayed chunks of a connection; beyond it the server's side is not read.
const queued = 1024

// Start listens on a free port of loopback and forwards to target (host:port), which need not
// be there yet. The caller closes the proxy.
func Start(target string, clk clock.Clock) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("fault proxy for %s: %w", target, err)
	}
	p := &Proxy{target: target, addr: l.Addr().String(), clock: clk, links: make(map[*link]struct{})}
	p.serve(l)
	return p, nil
}

// Addr is where clients connect: host:port. It stays the same.
func (p *Proxy) Addr() string { return p.addr }

// Dial connects to the proxy whatever the address: for clients that are sent from server to
// server by what those say of themselves.
func (p *Proxy) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, p.addr)
}

// Accepted is how many connections were made so far.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Refuse cuts every connection and refuses new ones, as when the server's process has ended.
func (p *Proxy) Refuse() error {
	p.mu.Lock()
	l := p.listener
	p.listener = nil
	p.mu.Unlock()
	var err error
	if l != nil {
		err = l.Close()
	}
	p.Cut()
	return err
}

// Cut closes every connection; new ones are welcome.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut()
	}
}

// Stall keeps connections, and takes new ones, but lets no byte through: the peer is half open.
// What arrives meanwhile passes after Pass, unless the connection was given up.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
}

// Silence makes the standing connections half open for good, as when a firewall on the way has
// forgotten them; new ones pass.
func (p *Proxy) Silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.silent = true
	}
}

// Delay holds back every piece of an answer for d; 0 ends that for pieces to come.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Pass ends every fault: connections are taken and bytes pass at once. It fails when another
// process has taken the port while connections were refused.
func (p *Proxy) Pass() error {
	p.mu.Lock()
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
	p.delay = 0
	again := p.listener == nil && !p.closed
	p.mu.Unlock()
	if !again {
		return nil
	}
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		return fmt.Errorf("fault proxy for %s: %w", p.target, err)
	}
	p.serve(l)
	return nil
}

// Flap refuses and passes by turns, off and on for those durations, until ctx ends; then it passes.
// It tells turned, if set, after every turn whether connections pass now.
func (p *Proxy) Flap(ctx context.Context, off, on time.Duration, turned func(passing bool)) error {
	for {
		for _, turn := range [...]struct {
			do      func() error
			passing bool
			hold    time.Duration
		}{{p.Refuse, false, off}, {p.Pass, true, on}} {
			if err := turn.do(); err != nil {
				return err
			}
			if turned != nil {
				turned(turn.passing)
			}
			if !p.wait(ctx, turn.hold) {
				return p.Pass()
			}
		}
	}
}

func (p *Proxy) wait(ctx context.Context, d time.Duration) bool {
	t := p.clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Close ends the proxy and every connection, and waits for what it started.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := errors.Join(p.Refuse(), p.Pass())
	p.Cut()
	p.running.Wait()
	return err
}

func (p *Proxy) serve(l net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.listener != nil {
		_ = l.Close()
		return
	}
	p.listener = l
	p.running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.take(l, client)
		}
	})
}

// take opens the other half of a connection. A server that is away looks like one that hangs up.
func (p *Proxy) take(l net.Listener, client net.Conn) {
	k := &link{proxy: p, client: client, done: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.listener != l { // refused since
		_ = client.Close()
		return
	}
	p.accepted++
	p.links[k] = struct{}{}
	p.running.Go(k.run)
}

// gate returns what has to be waited for before a byte of a connection passes, and how long an
// answer is held.
func (p *Proxy) gate(k *link) (stalled <-chan struct{}, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k.silent {
		return k.done, p.delay
	}
	return p.stalled, p.delay
}

// link is one connection with both its halves.
type link struct {
	proxy  *Proxy
	client net.Conn
	silent bool // guarded by the proxy

	once   sync.Once
	done   chan struct{} // closed when the connection has to end
	mu     sync.Mutex    // guards server
	server net.Conn
}

// cut ends the connection; it does not wait.
func (k *link) cut() {
	k.once.Do(func() {
		close(k.done)
		_ = k.client.Close()
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.server != nil {
			_ = k.server.Close()
		}
	})
}

func (k *link) run() {
	defer func() {
		k.cut()
		k.proxy.mu.Lock()
		defer k.proxy.mu.Unlock()
		delete(k.proxy.links, k)
	}()
	server, err := net.Dial("tcp", k.proxy.target)
	if err != nil {
		return
	}
	k.mu.Lock()
	k.server = server
	k.mu.Unlock()
	select {
	case <-k.done: // cut before server was known
		_ = server.Close()
		return
	default:
	}
	var both sync.WaitGroup
	both.Go(func() { k.forward(server, k.client, false) })
	both.Go(func() { k.forward(k.client, server, true) })
	both.Wait()
}

// piece is something on its way, not to be passed on before due.
type piece struct {
	bytes []byte
	due   time.Time
}

// forward moves bytes until one side ends; the other is closed after what was sent before.
func (k *link) forward(to, from net.Conn, answers bool) {
	defer k.cut()
	pieces := make(chan piece, queued)
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() {
		defer close(pieces)
		for {
			b := make([]byte, chunkBytes)
			n, err := from.Read(b)
			if n > 0 {
				pc := piece{bytes: b[:n]}
				if _, delay := k.proxy.gate(k); answers && delay > 0 {
					pc.due = k.proxy.clock.Now().Add(delay)
				}
				select {
				case pieces <- pc:
				case <-k.done:
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	for pc := range pieces {
		if !k.pass(pc) {
			k.cut()
			return
		}
		if _, err := to.Write(pc.bytes); err != nil {
			k.cut()
			return
		}
	}
}

// pass waits until a piece may go on; false when the connection has to end instead.
func (k *link) pass(pc piece) bool {
	if !pc.due.IsZero() {
		t := k.proxy.clock.NewTimer(pc.due.Sub(k.proxy.clock.Now()))
		defer t.Stop()
		select {
		case <-t.C:
		case <-k.done:
			return false
		}
	}
	for {
		stalled, _ := k.proxy.gate(k)
		if stalled == nil {
			return true
		}
		select {
		case <-k.done:
			return false
		case <-stalled:
		}
	}
}
