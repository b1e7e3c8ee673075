package faultproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aluskort/aluskort/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that answers every byte with itself and keeps what it saw.
type echo struct {
	net.Listener
	mu   sync.Mutex
	seen bytes.Buffer
}

func startEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{Listener: l}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = c.Close() }()
				_, _ = io.Copy(io.MultiWriter(c, e), c)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	return e
}

func (e *echo) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen.Write(b)
}

func (e *echo) saw() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen.String()
}

// hasty is a clock whose timers fire at once and which remembers them.
type hasty struct {
	clock.System
	mu     sync.Mutex
	timers []time.Duration
}

func (h *hasty) NewTimer(d time.Duration) *time.Timer {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timers = append(h.timers, d)
	return time.NewTimer(0)
}

func (h *hasty) longest() (d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range h.timers {
		d = max(d, x)
	}
	return d
}

func start(t *testing.T, target string, clk clock.Clock) *Proxy {
	t.Helper()
	p, err := Start(target, clk)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := p.Dial(t.Context(), "tcp", "192.0.2.1:9")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	// What never comes fails the test instead of hanging it.
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// ask sends text and returns what comes back of it.
func ask(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func wantEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("read %d bytes and %v from a connection that was cut", n, err)
	}
}

func TestPass(t *testing.T) {
	p := start(t, startEcho(t).Addr().String(), clock.System{})
	one, two := dial(t, p), dial(t, p)
	large := string(bytes.Repeat([]byte("0123456789abcdef"), 20<<10))
	done := make(chan string, 1)
	go func() {
		b := make([]byte, len(large))
		_, _ = io.ReadFull(two, b)
		done <- string(b)
	}()
	if _, err := two.Write([]byte(large)); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, one, "hello"); got != "hello" {
		t.Errorf("answer %q", got)
	}
	if got := <-done; got != large {
		t.Errorf("%d of %d bytes came back changed", len(got), len(large))
	}
	if n := p.Accepted(); n != 2 {
		t.Errorf("%d connections were accepted, want 2", n)
	}
}

func TestCut(t *testing.T) {
	p := start(t, startEcho(t).Addr().String(), clock.System{})
	c := dial(t, p)
	ask(t, c, "x")
	p.Cut()
	wantEnd(t, c)
	if got := ask(t, dial(t, p), "again"); got != "again" {
		t.Errorf("answer %q", got)
	}
}

func TestRefuse(t *testing.T) {
	p := start(t, startEcho(t).Addr().String(), clock.System{})
	c := dial(t, p)
	ask(t, c, "x")
	for range 3 {
		if err := p.Refuse(); err != nil {
			t.Fatal(err)
		}
		wantEnd(t, c)
		if _, err := p.Dial(t.Context(), "tcp", ""); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("error is %v, want a refusal", err)
		}
		if err := p.Pass(); err != nil {
			t.Fatal(err)
		}
		c = dial(t, p)
		if got := ask(t, c, "back"); got != "back" {
			t.Errorf("answer %q", got)
		}
	}
}

// What was sent into a stalled connection passes when it is healed, and never when it was cut.
func TestStall(t *testing.T) {
	e := startEcho(t)
	p := start(t, e.Addr().String(), clock.System{})
	c := dial(t, p)
	ask(t, c, "before ")
	p.Stall()
	if _, err := c.Write([]byte("healed ")); err != nil {
		t.Fatal(err)
	}
	fresh := dial(t, p) // half open: it is accepted
	if _, err := fresh.Write([]byte("fresh ")); err != nil {
		t.Fatal(err)
	}
	if err := p.Pass(); err != nil {
		t.Fatal(err)
	}
	for conn, text := range map[net.Conn]string{c: "healed ", fresh: "fresh "} {
		b := make([]byte, len(text))
		if _, err := io.ReadFull(conn, b); err != nil || string(b) != text {
			t.Errorf("answer %q, %v", b, err)
		}
	}
	p.Stall()
	if _, err := c.Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	wantEnd(t, c)
	if err := p.Pass(); err != nil {
		t.Fatal(err)
	}
	ask(t, dial(t, p), "after")
	if bytes.Contains([]byte(e.saw()), []byte("lost")) {
		t.Errorf("the server saw %q", e.saw())
	}
}

// Connections that were silenced stay so after Pass; new ones are well.
func TestSilence(t *testing.T) {
	e := startEcho(t)
	p := start(t, e.Addr().String(), clock.System{})
	old := dial(t, p)
	ask(t, old, "before")
	p.Silence()
	if _, err := old.Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	if err := p.Pass(); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, dial(t, p), "fresh"); got != "fresh" {
		t.Errorf("answer %q", got)
	}
	p.Cut()
	wantEnd(t, old)
	if bytes.Contains([]byte(e.saw()), []byte("lost")) {
		t.Errorf("the server saw %q", e.saw())
	}
}

func TestDelay(t *testing.T) {
	clk := new(hasty)
	p := start(t, startEcho(t).Addr().String(), clk)
	c := dial(t, p)
	ask(t, c, "x")
	if d := clk.longest(); d != 0 {
		t.Errorf("an answer was held for %v without a delay", d)
	}
	p.Delay(time.Hour)
	if got := ask(t, c, "late"); got != "late" {
		t.Errorf("answer %q", got)
	}
	if d := clk.longest(); d < 59*time.Minute || d > time.Hour {
		t.Errorf("an answer was held for %v, want nearly an hour", d)
	}
}

func TestFlap(t *testing.T) {
	clk := new(hasty)
	p := start(t, startEcho(t).Addr().String(), clk)
	ctx, stop := context.WithCancel(t.Context())
	var turns []bool
	err := p.Flap(ctx, 2*time.Second, time.Second, func(passing bool) {
		if turns = append(turns, passing); len(turns) == 5 {
			stop()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(turns) < 5 || turns[0] || !turns[1] || turns[2] || !turns[3] {
		t.Errorf("turns were %v", turns)
	}
	if clk.longest() != 2*time.Second {
		t.Errorf("longest turn %v", clk.longest())
	}
	if got := ask(t, dial(t, p), "whole"); got != "whole" {
		t.Errorf("answer %q", got)
	}
}

// A server that is away looks to the client like one that hangs up.
func TestServerAway(t *testing.T) {
	e := startEcho(t)
	p := start(t, e.Addr().String(), clock.System{})
	_ = e.Close()
	wantEnd(t, dial(t, p))
}

func TestCloseEndsEverything(t *testing.T) {
	p, err := Start(startEcho(t).Addr().String(), clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, p)
	ask(t, c, "x")
	p.Stall()
	if _, err := c.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, c)
	if _, err := p.Dial(t.Context(), "tcp", ""); err == nil {
		t.Error("a closed proxy takes connections")
	}
	if err := p.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
