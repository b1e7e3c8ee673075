package mtls

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/auth/mtls/mtlstest"
	"github.com/aluskort/aluskort/internal/clock"
)

// issue writes a certificate of a service and returns the configuration that uses it.
func issue(a *mtlstest.Authority, dir, name string, ends time.Duration, allow ...string) Config {
	f := a.Issue(dir, name, ends)
	return Config{CertFile: f.Cert, KeyFile: f.Key, CAFile: f.CA, Allow: allow, Clock: clock.System{}}
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

// answer is what a server said.
type answer struct {
	status int
	caller string
}

func ask(t *testing.T, url string, c *tls.Config) (answer, error) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}
	t.Cleanup(tr.CloseIdleConnections)
	r, err := (&http.Client{Transport: tr}).Get(url) //nolint:noctx // the test's own server
	if err != nil {
		return answer{}, err
	}
	return answer{r.StatusCode, r.Header.Get("Caller")}, r.Body.Close()
}

func TestOnlyAllowedNamesAreKnown(t *testing.T) {
	ca, dir := mtlstest.New(t), t.TempDir()
	server := open(t, issue(ca, dir, "context-gateway", time.Hour, "orchestrator", "spiffe://soc.example/batch"))
	url := greet(t, server)
	for _, c := range []struct {
		name   string
		client *tls.Config
		status int
		caller string
	}{
		{"allowed by DNS name", open(t, issue(ca, dir, "orchestrator", time.Hour)).Client("localhost"), http.StatusOK, "orchestrator"},
		{"allowed by URI", open(t, issue(ca, dir, "batch", time.Hour)).Client("context-gateway"), http.StatusOK, "spiffe://soc.example/batch"},
		{"another service", open(t, issue(ca, dir, "ingest", time.Hour)).Client("localhost"), http.StatusForbidden, ""},
		{"no certificate", &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}, http.StatusUnauthorized, ""},
	} {
		r, err := ask(t, url, c.client)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if want := (answer{c.status, c.caller}); r != want {
			t.Errorf("%s: got %+v, want %+v", c.name, r, want)
		}
	}
}

func TestStrangersAreRefusedInTheHandshake(t *testing.T) {
	ca, dir := mtlstest.New(t), t.TempDir()
	server := open(t, issue(ca, dir, "context-gateway", time.Hour, "orchestrator"))
	url := greet(t, server)

	stranger := mtlstest.New(t)
	own := open(t, issue(stranger, t.TempDir(), "orchestrator", time.Hour)).Client("localhost")
	own.RootCAs = ca.Pool() // it trusts the server; the server must not trust it
	if _, err := ask(t, url, own); err == nil {
		t.Error("a certificate of another authority was accepted")
	}
	old := open(t, issue(ca, dir, "orchestrator", time.Hour)).Client("localhost")
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, err := ask(t, url, old); err == nil {
		t.Error("TLS 1.2 was accepted")
	}
	if _, err := ask(t, url, open(t, issue(ca, dir, "orchestrator", time.Hour)).Client("audit-service")); err == nil {
		t.Error("the client took a server of another name")
	}
}

func TestCertificatesAreRenewedWithoutRestart(t *testing.T) {
	dir := t.TempDir()
	first, second := mtlstest.New(t), mtlstest.New(t)
	now := &hand{t: time.Now()}
	var trouble []error
	c := issue(first, dir, "context-gateway", time.Hour, "orchestrator")
	c.Clock, c.OnTrouble = now, func(err error) { trouble = append(trouble, err) }
	server := open(t, c)
	url := greet(t, server)

	caller := open(t, issue(second, t.TempDir(), "orchestrator", time.Hour)).Client("localhost")
	if _, err := ask(t, url, caller); err == nil {
		t.Fatal("the new authority is trusted before the renewal")
	}

	// Half-way through: the key does not fit the certificate.
	issue(second, dir, "context-gateway", time.Hour)
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
	if r, err := ask(t, url, caller); err != nil || r.status != http.StatusOK {
		t.Errorf("after the renewal: %v", err)
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	ca, dir := mtlstest.New(t), t.TempDir()
	good := issue(ca, dir, "api", time.Hour)
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	key := good
	key.CAFile = good.KeyFile
	other := good
	other.KeyFile = issue(ca, dir, "ingest", time.Hour).KeyFile
	for _, c := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"nothing", Config{Clock: clock.System{}}, []string{"cert_file is missing", "key_file is missing", "ca_file is missing"}},
		{"absent", Config{CertFile: good.CertFile, KeyFile: filepath.Join(dir, "gone.key"), CAFile: good.CAFile, Clock: clock.System{}}, []string{"gone.key does not exist"}},
		{"a key for an authority", key, []string{"begins with a PRIVATE KEY"}},
		{"a key of another", other, []string{"ingest.key"}},
		{"out of date", issue(ca, dir, "old", -time.Minute), []string{"renew it"}},
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
