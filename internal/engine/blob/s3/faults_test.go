package s3

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/engine/blob"
)

// proxy stands between engine and server and fails on demand.
type proxy struct {
	t      *testing.T
	target string
	ln     net.Listener
	silent atomic.Bool // keeps connections open and passes nothing on
	mu     sync.Mutex
	conns  map[net.Conn]bool
	wg     sync.WaitGroup
}

func newProxy(t *testing.T, target string, wrap func(net.Listener) net.Listener) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if wrap != nil {
		ln = wrap(ln)
	}
	p := &proxy{t: t, target: target, ln: ln, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = p.ln.Close()
		p.hangUp()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.ln.Addr().String() }

func (p *proxy) accept() {
	for {
		in, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.keep(in)
		p.wg.Go(func() { p.serve(in) })
	}
}

func (p *proxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
}

func (p *proxy) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *proxy) serve(in net.Conn) {
	out, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = in.Close()
		return
	}
	p.keep(out)
	var wg sync.WaitGroup
	wg.Go(func() { p.pass(out, in) })
	wg.Go(func() { p.pass(in, out) })
	wg.Wait()
}

// pass copies; what it holds back is swallowed while the connection stays open.
func (p *proxy) pass(to, from net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			_ = to.Close()
			return
		}
		if p.silent.Load() {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			_ = from.Close()
			return
		}
	}
}

// behind returns a configuration for a new bucket, reached through a proxy.
func behind(t *testing.T) (Config, *proxy) {
	s := real(t)
	cfg := s.bucket(t, true)
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, u.Host, nil)
	cfg.Endpoint, cfg.Timeout, cfg.Attempts = "http://"+p.address(), 300*time.Millisecond, 2
	return cfg, p
}

// everything calls all that the engine can and returns what came out.
func everything(t *testing.T, b *Bucket) map[string]error {
	ctx := t.Context()
	out := map[string]error{}
	_, out["put"] = b.Put(ctx, "acme", []byte("during"))
	_, out["put many"] = b.PutMany(ctx, "acme", [][]byte{[]byte("during"), []byte("during 2")})
	_, out["get"] = b.Get(ctx, "acme", blob.Ref([]byte("before")))
	_, out["put named"] = b.PutNamed(ctx, "acme", "during", strings.NewReader("during"), blob.Protection{Hold: true})
	_, _, out["open"] = b.Open(ctx, "acme", "before")
	_, out["stat"] = b.Stat(ctx, "acme", "before")
	_, out["list"] = b.List(ctx, "acme", "", "", 10)
	out["hold"] = b.SetHold(ctx, "acme", "before", true)
	out["delete"] = b.Delete(ctx, "acme", "before")
	return out
}

func prepare(t *testing.T, cfg Config) *Bucket {
	t.Helper()
	b := open(t, cfg)
	if _, err := b.Put(t.Context(), "acme", []byte("before")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.PutNamed(t.Context(), "acme", "before", strings.NewReader("before"), blob.Protection{}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (p *proxy) works(b *Bucket) {
	p.t.Helper()
	for what, err := range map[string]error{
		"put": func() error { _, err := b.Put(p.t.Context(), "acme", []byte("after")); return err }(),
		"get": func() error { _, err := b.Get(p.t.Context(), "acme", blob.Ref([]byte("before"))); return err }(),
	} {
		if err != nil {
			p.t.Errorf("after the fault: %s: %v", what, err)
		}
	}
}

func TestServerAway(t *testing.T) {
	cfg, p := behind(t)
	b := prepare(t, cfg)
	address := p.address()
	_ = p.ln.Close()
	p.hangUp()
	for what, err := range everything(t, b) {
		if !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Open(t.Context(), cfg); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("open: %v", err)
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p.ln = ln
	p.wg.Go(p.accept)
	p.works(b)
}

func TestServerHalfOpen(t *testing.T) {
	cfg, p := behind(t)
	b := prepare(t, cfg)
	p.silent.Store(true)
	for what, err := range everything(t, b) {
		if !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	p.silent.Store(false)
	p.hangUp()
	p.works(b)
}

// TestBodyThatStandsStill lets the head of an answer through and no more than a part of its body.
func TestBodyThatStandsStill(t *testing.T) {
	cfg, p := behind(t)
	b := prepare(t, cfg)
	large := strings.Repeat("0123456789abcdef", 1<<18) // 4 MB, more than buffers on the way hold
	if _, err := b.PutNamed(t.Context(), "acme", "large", strings.NewReader(large), blob.Protection{}); err != nil {
		t.Fatal(err)
	}
	r, _, err := b.Open(t.Context(), "acme", "large")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, r, 1000); err != nil {
		t.Fatal(err)
	}
	p.silent.Store(true)
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("read: %v", err)
	}
	_ = r.Close()
	p.silent.Store(false)
	p.hangUp()
	p.works(b)
}

// TestConnectionsThatBreak cuts every connection again and again while objects are put: each put
// works in the end, or says that the store is unavailable.
func TestConnectionsThatBreak(t *testing.T) {
	cfg, p := behind(t)
	b := prepare(t, cfg)
	for i := range 40 {
		body := []byte(strings.Repeat("x", 100_000+i))
		var wg sync.WaitGroup
		wg.Go(func() {
			if ref, err := b.Put(t.Context(), "acme", body); err == nil {
				if _, err := b.Get(t.Context(), "acme", ref); err != nil && !errors.Is(err, blob.ErrUnavailable) {
					t.Error(err)
				}
			} else if !errors.Is(err, blob.ErrUnavailable) {
				t.Error(err)
			}
		})
		wg.Go(p.hangUp)
		wg.Wait()
	}
	p.works(b)
}

// TestServerInTrouble lets the server answer with errors: attempts are bounded.
func TestServerInTrouble(t *testing.T) {
	var status, calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if status.Load() == 0 && r.URL.Query().Has("object-lock") {
			w.WriteHeader(http.StatusNotImplemented)
			_, _ = io.WriteString(w, "<Error><Code>NotImplemented</Code></Error>")
			return
		}
		w.WriteHeader(max(int(status.Load()), http.StatusOK))
	}))
	defer server.Close()
	b := open(t, Config{Endpoint: server.URL, Bucket: "bucket", PathStyle: true, AccessKey: "a", SecretKey: "b", Attempts: 2})
	if b.Locking() {
		t.Error("a server without object lock is taken for one with")
	}
	for _, code := range []int{500, 502, 503, 504, 429, 403} {
		status.Store(int64(code))
		calls.Store(0)
		if _, err := b.Put(t.Context(), "acme", []byte("x")); !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("%d: %v", code, err)
		}
		if n := calls.Load(); n < 1 || n > 2 {
			t.Errorf("%d: %d calls", code, n)
		}
	}
}

func TestTLS(t *testing.T) {
	s := real(t)
	cfg := s.bucket(t, true)
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	certified := httptest.NewUnstartedServer(http.NotFoundHandler())
	certified.StartTLS()
	defer certified.Close()
	p := newProxy(t, u.Host, func(ln net.Listener) net.Listener {
		return tls.NewListener(ln, &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12})
	})
	cfg.Endpoint = "https://" + p.address()
	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(cfg.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	b := open(t, cfg)
	ref, err := b.Put(t.Context(), "acme", []byte("over TLS"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.Get(t.Context(), "acme", ref); err != nil || string(got) != "over TLS" {
		t.Errorf("%q, %v", got, err)
	}
	cfg.CAFile = ""
	if _, err := Open(t.Context(), cfg); !errors.Is(err, blob.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
}
