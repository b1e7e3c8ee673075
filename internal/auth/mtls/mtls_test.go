package mtls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
)

// authority signs certificates for the tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) write(dir string) string {
	a.t.Helper()
	path := filepath.Join(dir, "ca.pem")
	a.put(path, "CERTIFICATE", a.cert.Raw)
	return path
}

func (a *authority) put(path, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue writes a certificate of a service with its key and returns the configuration that uses it.
func (a *authority) issue(dir, name string, ends time.Duration, allow ...string) Config {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "common"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(ends),
		DNSNames: []string{name, "localhost"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "soc.example", Path: "/" + name}}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	c := Config{
		CertFile: filepath.Join(dir, name+".pem"), KeyFile: filepath.Join(dir, name+".key"), CAFile: a.write(dir), Allow: allow, Clock: clock.System{},
	}
	a.put(c.CertFile, "CERTIFICATE", der)
	a.put(c.KeyFile, "PRIVATE KEY", keyDER)
	return c
}

func open(t *testing.T, c Config) *Identity {
	t.Helper()
	i, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// greet answers with the name of the caller, or with what is wrong about it.
func greet(t *testing.T, i *Identity) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, err := i.Peer(r.TLS)
		switch {
		case errors.Is(err, ErrNoPeer):
			http.Error(w, "anonymous", http.StatusUnauthorized)
		case err != nil:
			http.Error(w, err.Error(), http.StatusForbidden)
		default:
			w.Header().Set("Caller", name)
		}
	}))
	s.TLS = i.Server()
	s.StartTLS()
	t.Cleanup(s.Close)
	return "https://" + s.Listener.Addr().String()
}

func ask(t *testing.T, url string, c *tls.Config) (*http.Response, error) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}
	t.Cleanup(tr.CloseIdleConnections)
	r, err := (&http.Client{Transport: tr}).Get(url) //nolint:noctx // the test's own server
	if err == nil {
		_ = r.Body.Close()
	}
	return r, err
}

func TestOnlyAllowedNamesAreKnown(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	server := open(t, ca.issue(dir, "context-gateway", time.Hour, "orchestrator", "spiffe://soc.example/batch"))
	url := greet(t, server)
	for _, c := range []struct {
		name   string
		client *tls.Config
		status int
		caller string
	}{
		{"allowed by DNS name", open(t, ca.issue(dir, "orchestrator", time.Hour)).Client("localhost"), http.StatusOK, "orchestrator"},
		{"allowed by URI", open(t, ca.issue(dir, "batch", time.Hour)).Client("context-gateway"), http.StatusOK, "spiffe://soc.example/batch"},
		{"another service", open(t, ca.issue(dir, "ingest", time.Hour)).Client("localhost"), http.StatusForbidden, ""},
		{"no certificate", &tls.Config{RootCAs: func() *x509.CertPool { _, p := server.current(); return p }(), ServerName: "localhost"}, http.StatusUnauthorized, ""},
	} {
		r, err := ask(t, url, c.client)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if r.StatusCode != c.status || r.Header.Get("Caller") != c.caller {
			t.Errorf("%s: status %d, caller %q", c.name, r.StatusCode, r.Header.Get("Caller"))
		}
	}
}

func TestStrangersAreRefusedInTheHandshake(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	server := open(t, ca.issue(dir, "context-gateway", time.Hour, "orchestrator"))
	url := greet(t, server)

	stranger := newAuthority(t)
	own := open(t, stranger.issue(t.TempDir(), "orchestrator", time.Hour)).Client("localhost")
	_, own.RootCAs = server.current() // it trusts the server; the server must not trust it
	if _, err := ask(t, url, own); err == nil {
		t.Error("a certificate of another authority was accepted")
	}
	old := open(t, ca.issue(dir, "orchestrator", time.Hour)).Client("localhost")
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, err := ask(t, url, old); err == nil {
		t.Error("TLS 1.2 was accepted")
	}
	if _, err := ask(t, url, open(t, ca.issue(dir, "orchestrator", time.Hour)).Client("audit-service")); err == nil {
		t.Error("the client took a server of another name")
	}
}

func TestCertificatesAreRenewedWithoutRestart(t *testing.T) {
	dir := t.TempDir()
	first, second := newAuthority(t), newAuthority(t)
	now := &hand{t: time.Now()}
	var trouble []error
	c := first.issue(dir, "context-gateway", time.Hour, "orchestrator")
	c.Clock, c.OnTrouble = now, func(err error) { trouble = append(trouble, err) }
	server := open(t, c)
	url := greet(t, server)

	caller := open(t, second.issue(t.TempDir(), "orchestrator", time.Hour)).Client("localhost")
	if _, err := ask(t, url, caller); err == nil {
		t.Fatal("the new authority is trusted before the renewal")
	}

	// Half-way through: the key does not fit the certificate.
	second.issue(dir, "context-gateway", time.Hour)
	kept, err := os.ReadFile(c.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.KeyFile, []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	now.add(2 * time.Second)
	if _, err := ask(t, url, caller); err == nil || len(trouble) == 0 || !strings.Contains(trouble[0].Error(), "the old ones stay") {
		t.Errorf("half a renewal: %v, trouble %v", err, trouble)
	}

	if err := os.WriteFile(c.KeyFile, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	now.add(2 * time.Second)
	if r, err := ask(t, url, caller); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("after the renewal: %v", err)
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	good := ca.issue(dir, "api", time.Hour)
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	key := good
	key.CAFile = good.KeyFile
	other := good
	other.KeyFile = ca.issue(dir, "ingest", time.Hour).KeyFile
	for _, c := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"nothing", Config{Clock: clock.System{}}, []string{"cert_file is missing", "key_file is missing", "ca_file is missing"}},
		{"absent", Config{CertFile: good.CertFile, KeyFile: filepath.Join(dir, "gone.key"), CAFile: good.CAFile, Clock: clock.System{}}, []string{"gone.key does not exist"}},
		{"a key for an authority", key, []string{"begins with a PRIVATE KEY"}},
		{"a key of another", other, []string{"ingest.key"}},
		{"out of date", ca.issue(dir, "old", -time.Minute), []string{"renew it"}},
	} {
		err := c.cfg.Check()
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", c.name, err, want)
			}
		}
	}
}

// hand is a clock that a test moves.
type hand struct {
	mu sync.Mutex
	t  time.Time
}

func (h *hand) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.t
}

func (h *hand) add(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.t = h.t.Add(d)
}

func (*hand) NewTimer(d time.Duration) *time.Timer { return time.NewTimer(d) }
