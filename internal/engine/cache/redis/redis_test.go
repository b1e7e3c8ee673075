package redis

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/cache"
	"github.com/aluskort/aluskort/internal/engine/cache/cachetest"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// prefixes tell the runs of tests on one server apart.
var prefixes atomic.Int64

func real(t testing.TB) (cfg Config, program string) {
	t.Helper()
	u, err := url.Parse(enginetest.Address(t, "redis"))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	return Config{
		Addresses: []string{u.Host}, User: u.User.Username(), Password: password,
		Prefix: fmt.Sprintf("test%d-%d", os.Getpid(), prefixes.Add(1)),
	}, u.Query().Get("program")
}

func open(t testing.TB, cfg Config) *Cache {
	t.Helper()
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestSuiteReal(t *testing.T) {
	real(t)
	cachetest.Run(t, func(t *testing.T) *cachetest.Fixture {
		cfg, _ := real(t)
		// The machine may be busy; how fast a server answers is not what the suite asks.
		cfg.Timeout = 10 * time.Second
		return &cachetest.Fixture{Cache: open(t, cfg)}
	})
}

func TestSuiteMiniredis(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) *cachetest.Fixture {
		m := miniredis.RunT(t)
		c := open(t, Config{Addresses: []string{m.Addr()}, Timeout: 10 * time.Second})
		return &cachetest.Fixture{Cache: c, Advance: m.FastForward}
	})
}

// own is a server that a test may stop. It begins with nothing at every start.
type own struct {
	t       *testing.T
	program string
	conf    string
	address string
	cmd     *exec.Cmd
}

func newOwn(t *testing.T, more string) *own {
	t.Helper()
	_, program := real(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &own{t: t, program: program, conf: filepath.Join(dir, "redis.conf"), address: address}
	conf := strings.ReplaceAll("bind 127.0.0.1\nport PORT\ndir "+dir+"\nsave \"\"\nappendonly no\nuser default off\nuser soc on >secret ~* &* +@all\n"+more, "PORT", port)
	if err := os.WriteFile(s.conf, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *own) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.program, s.conf)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	deadline, again := time.After(20*time.Second), time.NewTicker(10*time.Millisecond)
	defer again.Stop()
	for {
		conn, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			s.t.Fatalf("redis does not listen: %v", err)
		}
	}
}

func (s *own) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *own) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// watched is a cache whose losses and returns a test can wait for.
type watched struct {
	*Cache
	t       *testing.T
	changes chan error
}

func (s *own) cache(change func(*Config)) *watched {
	w := &watched{t: s.t, changes: make(chan error, 100)}
	cfg := Config{Addresses: []string{s.address}, User: "soc", Password: "secret", OnChange: func(err error) { w.changes <- err }}
	if change != nil {
		change(&cfg)
	}
	w.Cache = open(s.t, cfg)
	return w
}

func (w *watched) await(lost bool) {
	w.t.Helper()
	select {
	case err := <-w.changes:
		if (err != nil) != lost {
			w.t.Fatalf("told %v, want lost %t", err, lost)
		}
	case <-time.After(10 * time.Second): // within which a server that is back must be in use
		w.t.Fatalf("nothing changed, want lost %t", lost)
	}
}

var space = cache.Space{Tenant: "acme", Name: "ioc"}

func (w *watched) put(name string) error {
	return w.Set(w.t.Context(), space, cache.Entry{Name: name, Value: []byte(name), Life: time.Hour})
}

func (w *watched) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// refused makes every call and wants each refused, without a word to the server.
func (w *watched) refused() {
	w.t.Helper()
	before := w.sent.Load()
	ctx := w.t.Context()
	calls := map[string]error{"set": w.put("x"), "delete": w.Delete(ctx, space, "x")}
	_, calls["get"] = w.Get(ctx, space, "x")
	_, calls["get many"] = w.GetMany(ctx, space, []string{"x", "y"})
	_, calls["incr"] = w.Incr(ctx, space, "n", 1, time.Hour)
	_, calls["compare"] = w.CompareAndSet(ctx, space, nil, cache.Entry{Name: "x", Life: time.Hour})
	for what, err := range calls {
		if !errors.Is(err, cache.ErrUnavailable) || errors.Is(err, cache.ErrMiss) {
			w.t.Errorf("%s: %v", what, err)
		}
	}
	if n := w.sent.Load() - before; n != 0 {
		w.t.Errorf("%d requests were made of a server that is away", n)
	}
}

func TestServerStopped(t *testing.T) {
	s := newOwn(t, "")
	w := s.cache(nil)
	w.must(w.put("a"))
	s.stop()
	if err := w.put("b"); !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("set: %v", err)
	}
	w.await(true)
	w.refused()
	if err := w.Ready(); !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
	s.start()
	w.await(false)
	if _, err := w.Get(t.Context(), space, "a"); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("a server that began anew: %v", err)
	}
	w.must(w.put("c"))
	w.must(w.Ready())
}

// TestServerPaused stops the process without ending it: connections stay, nothing is answered.
func TestServerPaused(t *testing.T) {
	s := newOwn(t, "")
	w := s.cache(nil)
	w.must(w.put("a"))
	s.signal(syscall.SIGSTOP)
	if _, err := w.Get(t.Context(), space, "a"); !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
	w.await(true)
	w.refused()
	s.signal(syscall.SIGCONT)
	w.await(false)
	if v, err := w.Get(t.Context(), space, "a"); err != nil || string(v) != "a" {
		t.Errorf("%q, %v", v, err)
	}
}

// TestImpatientCallers have deadlines shorter than the time-out of the server.
func TestImpatientCallers(t *testing.T) {
	s := newOwn(t, "")
	w := s.cache(func(c *Config) { c.Timeout = time.Minute })
	w.must(w.put("a"))
	s.signal(syscall.SIGSTOP)
	for range patienceLost {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := w.Get(ctx, space, "a"); !errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("get: %v", err)
		}
		cancel()
	}
	w.await(true)
	w.refused()
	s.signal(syscall.SIGCONT)
	// The probe that is under way waits for its own time-out, a minute, or the answer that comes now.
	w.await(false)
	w.must(w.put("b"))
}

func TestAwayFromTheStart(t *testing.T) {
	s := newOwn(t, "")
	s.stop()
	w := s.cache(nil)
	if err := w.put("a"); !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("set: %v", err)
	}
	w.await(true)
	w.refused()
	s.start()
	w.await(false)
	w.must(w.put("a"))
}

// TestFlapping loses and regains the server several times.
func TestFlapping(t *testing.T) {
	s := newOwn(t, "")
	w := s.cache(nil)
	for range 3 {
		w.must(w.put("a"))
		s.stop()
		if err := w.put("b"); !errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("set: %v", err)
		}
		w.await(true)
		s.start()
		w.await(false)
	}
}

func TestCredentials(t *testing.T) {
	s := newOwn(t, "user reader on >secret ~test:* +get +mget\n")
	for what, change := range map[string]func(*Config){
		"wrong password": func(c *Config) { c.Password = "guess" },
		"nobody":         func(c *Config) { c.User, c.Password = "", "" },
		"no right":       func(c *Config) { c.User = "reader" },
		"no file":        func(c *Config) { c.PasswordFile = filepath.Join(t.TempDir(), "absent") },
	} {
		w := s.cache(change)
		err := w.put("a")
		if !errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil && strings.Contains(err.Error(), "guess") {
			t.Errorf("%s: the error tells the password: %v", what, err)
		}
		w.await(true)
		w.refused()
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := s.cache(func(c *Config) { c.Password, c.PasswordFile = "", file })
	w.must(w.put("a"))
}

// TestFullServer lets the server refuse writes for want of memory: reads go on.
func TestFullServer(t *testing.T) {
	s := newOwn(t, "maxmemory 3mb\nmaxmemory-policy noeviction\n")
	w := s.cache(nil)
	w.must(w.put("a"))
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		err = w.Set(t.Context(), space, cache.Entry{Name: fmt.Sprint(i), Value: make([]byte, 100_000), Life: time.Hour})
	}
	if !errors.Is(err, cache.ErrUnavailable) || !strings.Contains(err.Error(), "OOM") {
		t.Fatalf("writes: %v", err)
	}
	if v, err := w.Get(t.Context(), space, "a"); err != nil || string(v) != "a" {
		t.Errorf("reads: %q, %v", v, err)
	}
	w.must(w.Ready())
}

func TestCluster(t *testing.T) {
	s := newOwn(t, "cluster-enabled yes\n")
	admin := redis.NewClient(&redis.Options{Addr: s.address, Username: "soc", Password: "secret"})
	defer func() { _ = admin.Close() }()
	if err := admin.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	deadline, again := time.After(20*time.Second), time.NewTicker(20*time.Millisecond)
	defer again.Stop()
	for {
		info, err := admin.ClusterInfo(t.Context()).Result()
		if err == nil && strings.Contains(info, "cluster_state:ok") {
			break
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("no cluster: %s, %v", info, err)
		}
	}
	cachetest.Run(t, func(t *testing.T) *cachetest.Fixture {
		if err := admin.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return &cachetest.Fixture{Cache: open(t, Config{Addresses: []string{s.address}, User: "soc", Password: "secret", Cluster: true, Timeout: 10 * time.Second})}
	})
	// The keys of a tenant are in one slot.
	c := open(t, Config{Addresses: []string{s.address}, Cluster: true})
	first := admin.ClusterKeySlot(t.Context(), c.key(space, "a")).Val()
	for _, name := range []string{"b", "}{x", "{y}"} {
		if slot := admin.ClusterKeySlot(t.Context(), c.key(cache.Space{Tenant: "acme", Name: "other"}, name)).Val(); slot != first {
			t.Errorf("%s is in slot %d, not %d", name, slot, first)
		}
	}
}

// certificate writes one that vouches for itself, for both sides.
func certificate(t *testing.T) (cert, private string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := clock.System{}.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, private = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return cert, private
}

func TestTLS(t *testing.T) {
	cert, private := certificate(t)
	s := newOwn(t, fmt.Sprintf("port 0\ntls-port PORT\ntls-cert-file %s\ntls-key-file %s\ntls-ca-cert-file %s\n", cert, private, cert))
	// The server wants a certificate of its clients as well.
	w := s.cache(func(c *Config) { c.TLS, c.CAFile, c.CertFile, c.KeyFile = true, cert, cert, private })
	w.must(w.put("a"))
	for what, change := range map[string]func(*Config){
		"no TLS":                          func(*Config) {},
		"no certificate of ours":          func(c *Config) { c.TLS, c.CAFile = true, cert },
		"a server that nobody vouches of": func(c *Config) { c.TLS, c.CertFile, c.KeyFile = true, cert, private },
	} {
		if err := s.cache(change).put("a"); !errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestConfig(t *testing.T) {
	for what, cfg := range map[string]Config{
		"no address":              {},
		"two of a single server":  {Addresses: []string{"a:1", "b:1"}},
		"a database of a cluster": {Addresses: []string{"a:1"}, Cluster: true, DB: 1},
		"half a pair":             {Addresses: []string{"a:1"}, TLS: true, CertFile: "x"},
		"braces":                  {Addresses: []string{"a:1"}, Prefix: "{x}"},
		"no certificates":         {Addresses: []string{"a:1"}, TLS: true, CAFile: "/does/not/exist"},
	} {
		if _, err := Open(cfg); !errors.Is(err, cache.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	cfg, _ := real(b)
	c := open(b, cfg)
	if err := c.Set(b.Context(), space, cache.Entry{Name: "ipv4:192.0.2.1", Value: make([]byte, 200), Life: time.Hour}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.Get(b.Context(), space, "ipv4:192.0.2.1"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAway is what a call costs while the server is away.
func BenchmarkAway(b *testing.B) {
	c := open(b, Config{Addresses: []string{"127.0.0.1:1"}})
	for c.Ready() == nil {
		_, _ = c.Get(b.Context(), space, "a")
	}
	for b.Loop() {
		if _, err := c.Get(b.Context(), space, "a"); err == nil {
			b.Fatal("answered")
		}
	}
}
