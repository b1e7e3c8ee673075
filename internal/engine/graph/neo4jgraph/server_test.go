//go:build unix

package neo4jgraph_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/engine/graph/graphtest"
	"github.com/aluskort/aluskort/internal/engine/graph/neo4jgraph"
)

func TestConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := neo4jgraph.Config{URI: "neo4j+s://graph.example.com:7687", PasswordFile: file}
	for name, c := range map[string]struct {
		edit func(*neo4jgraph.Config)
		says string // empty: accepted
	}{
		"TLS":                    {func(*neo4jgraph.Config) {}, ""},
		"loopback without TLS":   {func(c *neo4jgraph.Config) { c.URI = "bolt://127.0.0.1:7687" }, ""},
		"permitted without TLS":  {func(c *neo4jgraph.Config) { c.URI, c.Plaintext = "bolt://192.0.2.1:7687", true }, ""},
		"without TLS":            {func(c *neo4jgraph.Config) { c.URI = "neo4j://graph.example.com" }, "without TLS"},
		"unverified certificate": {func(c *neo4jgraph.Config) { c.URI = "bolt+ssc://graph.example.com" }, "scheme"},
		"other scheme":           {func(c *neo4jgraph.Config) { c.URI = "https://graph.example.com" }, "scheme"},
		"no host":                {func(c *neo4jgraph.Config) { c.URI = "bolt+s://" }, "no host"},
		"credentials in the URI": {func(c *neo4jgraph.Config) { c.URI = "bolt+s://neo4j:hunter2@graph.example.com" }, "password file"},
		"no URI":                 {func(c *neo4jgraph.Config) { c.URI = "bolt+s://neo4j:hunter2@[::1" }, "cannot be read"},
		"no password":            {func(c *neo4jgraph.Config) { c.PasswordFile = "" }, "no password file"},
		"CA that is absent":      {func(c *neo4jgraph.Config) { c.CAFile = file + "-absent" }, "absent"},
		"CA that is none":        {func(c *neo4jgraph.Config) { c.CAFile = file }, "no certificate"},
	} {
		cfg := good
		c.edit(&cfg)
		g, err := neo4jgraph.Open(cfg)
		if g != nil {
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		}
		if (err == nil) != (c.says == "") || err != nil && (!errors.Is(err, neo4jgraph.ErrConfig) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats the password", name)
		}
	}
}

func TestNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := open(t, neo4jgraph.Config{URI: "bolt://" + address, PasswordFile: file, Timeout: 200 * time.Millisecond})
	unavailable(t, g, "default")
}

// unavailable wants every call to end with graph.ErrUnavailable.
func unavailable(t *testing.T, g graph.Graph, tenant string) {
	t.Helper()
	_, consequences := g.Consequences(t.Context(), tenant, []graph.Ref{{Kind: graph.KindAsset, ID: "a"}})
	_, radius := g.BlastRadius(t.Context(), tenant, "a", graph.Bounds{})
	for name, err := range map[string]error{
		"health": g.Health(t.Context()), "consequences": consequences, "radius": radius,
		"apply": g.Apply(t.Context(), tenant, &graph.Change{Origin: "test", At: time.Unix(1, 0), Assets: []graph.Asset{{ID: "a"}}}),
	} {
		if !errors.Is(err, graph.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
}

func TestTLS(t *testing.T) {
	cfg := server(t)
	ca := os.Getenv("ALUSKORT_TEST_NEO4J_CA")
	if ca == "" {
		t.Skip("ALUSKORT_TEST_NEO4J_CA is not set")
	}
	cfg.URI, cfg.Timeout = strings.Replace(cfg.URI, "bolt://", "bolt+s://", 1), 10*time.Second
	stranger := open(t, cfg)
	if err := stranger.Health(t.Context()); !errors.Is(err, graph.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
	cfg.CAFile = ca
	if err := open(t, cfg).Health(t.Context()); err != nil {
		t.Error(err)
	}
}

// The password may be changed without a restart: it is read again when it is refused.
func TestPasswordIsReadAgain(t *testing.T) {
	cfg := server(t)
	right, err := os.ReadFile(cfg.PasswordFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.PasswordFile, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Timeout = 800 * time.Millisecond
	g := open(t, cfg)
	if err := g.Health(t.Context()); !errors.Is(err, graph.ErrUnavailable) || strings.Contains(err.Error(), "old") {
		t.Errorf("wrong password: %v", err)
	}
	if err := os.WriteFile(cfg.PasswordFile, right, 0o600); err != nil {
		t.Fatal(err)
	}
	// The server keeps out who was wrong too often for a few seconds.
	eventually(t, g.Health)
}

// eventually repeats a question until it is answered, a minute at most.
func eventually(t *testing.T, ask func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// B9: the real process is stopped: connections stay open and nothing answers.
func TestB9HalfOpen(t *testing.T) {
	cfg := server(t)
	pid, err := strconv.Atoi(os.Getenv("ALUSKORT_TEST_NEO4J_PID"))
	if err != nil {
		t.Skip("ALUSKORT_TEST_NEO4J_PID is not set")
	}
	cfg.Timeout = 3 * time.Second
	g, tenant := seeded(t, cfg)
	signal := func(s syscall.Signal) {
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	defer signal(syscall.SIGCONT)
	unavailable(t, g, tenant)
	signal(syscall.SIGCONT)
	eventually(t, known(g, tenant))
}

// B9: the server is away, answers again on the same address, and goes away in the middle.
func TestB9AwayAndBack(t *testing.T) {
	cfg := server(t)
	p := newProxy(t, strings.TrimPrefix(cfg.URI, "bolt://"))
	cfg.URI, cfg.Timeout = "bolt://"+p.address, 3*time.Second
	g, tenant := seeded(t, cfg)
	for range 3 {
		p.down(t)
		unavailable(t, g, tenant)
		p.up(t)
		eventually(t, known(g, tenant))
	}
	p.cut() // connections end, the server is there
	eventually(t, known(g, tenant))
}

func seeded(t *testing.T, cfg neo4jgraph.Config) (*neo4jgraph.Graph, string) {
	t.Helper()
	g, tenant := open(t, cfg), graphtest.NewTenant()
	eventually(t, func(ctx context.Context) error {
		return g.Apply(ctx, tenant, &graph.Change{Origin: "test", At: time.Unix(1, 0), Assets: []graph.Asset{{ID: "plc", OT: true}}})
	})
	return g, tenant
}

func known(g graph.Graph, tenant string) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := graph.ConsequenceOf(ctx, g, tenant, graph.Ref{Kind: graph.KindAsset, ID: "plc"})
		if err == nil && c.Class != graph.Equipment {
			err = errors.New("the answer is wrong")
		}
		return err
	}
}

// proxy stands between driver and server.
type proxy struct {
	address, server string
	mu              sync.Mutex
	listener        net.Listener
	conns           map[net.Conn]bool
	wg              sync.WaitGroup
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	p := &proxy{address: "127.0.0.1:0", server: server, conns: map[net.Conn]bool{}}
	p.up(t)
	t.Cleanup(func() {
		p.down(t)
		p.wg.Wait()
	})
	return p
}

func (p *proxy) up(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener, p.address = l, l.Addr().String()
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", p.server)
			if err != nil {
				_ = c.Close()
				continue
			}
			p.mu.Lock()
			p.conns[c], p.conns[s] = true, true
			p.mu.Unlock()
			for _, way := range [][2]net.Conn{{c, s}, {s, c}} {
				p.wg.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					_, _ = way[0].Close(), way[1].Close()
				})
			}
		}
	})
}

func (p *proxy) down(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	if p.listener != nil {
		if err := p.listener.Close(); err != nil {
			t.Error(err)
		}
		p.listener = nil
	}
	p.mu.Unlock()
	p.cut()
}

// cut ends the connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}
