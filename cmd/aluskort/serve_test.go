package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/bench"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// served is a run of `aluskort serve` inside the test.
type served struct {
	state string
	info  serverInfo
	stop  context.CancelFunc
	code  chan int
	errs  *lockedBuffer
}

// lockedBuffer is written by the server while the test reads it.
type lockedBuffer struct {
	mu    sync.Mutex
	b     bytes.Buffer
	first chan struct{}
	once  sync.Once
}

func newLockedBuffer() *lockedBuffer { return &lockedBuffer{first: make(chan struct{})} }

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.once.Do(func() { close(l.first) })
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func noEnv(string) string { return "" }

// serve starts a server and waits until it is ready.
func serve(t *testing.T, state string, args ...string) *served {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &served{state: state, stop: stop, code: make(chan int, 1), errs: newLockedBuffer()}
	out := newLockedBuffer()
	args = append([]string{"--state", state, "serve", "--listen", "127.0.0.1:0"}, args...)
	go func() { s.code <- run(ctx, args, strings.NewReader(""), out, s.errs, noEnv) }()
	select {
	case <-out.first:
	case code := <-s.code:
		t.Fatalf("serve ended with %d: %s", code, s.errs)
	case <-time.After(30 * time.Second):
		t.Fatal("serve is not ready after 30 s")
	}
	var err error
	if s.info, err = readServerInfo(state); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), s.info.URL) || !strings.Contains(out.String(), "ready after") {
		t.Errorf("printed %q", out)
	}
	return s
}

// end tells the server to stop, as SIGTERM does, and returns its exit code.
func (s *served) end(t *testing.T) int {
	t.Helper()
	s.stop()
	select {
	case code := <-s.code:
		return code
	case <-time.After(drainWithin):
		t.Fatalf("serve did not end within %s", drainWithin)
		return 0
	}
}

func (s *served) aluskort(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return aluskort(t, "", append([]string{"--state", s.state}, args...)...)
}

// want runs a command and fails the test when it ends otherwise.
func (s *served) want(t *testing.T, code int, args ...string) string {
	t.Helper()
	got, out, errs := s.aluskort(t, args...)
	if got != code {
		t.Fatalf("%v: exit %d, want %d\n%s%s", args, got, code, out, errs)
	}
	return out + errs
}

func TestServeEndToEnd(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	s := serve(t, state)
	for _, name := range []string{serverFile, tokenFile, token.File} {
		if info, err := os.Stat(filepath.Join(state, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	second := s.want(t, exitFailed, "serve", "--listen", "127.0.0.1:0")
	if !strings.Contains(second, strconv.Itoa(os.Getpid())) || !strings.Contains(second, filepath.Join(state, "LOCK")) {
		t.Errorf("the second serve says %q", second)
	}
	if out := s.want(t, exitDone, "ingest", example); !strings.Contains(out, "15 accepted, 1 dropped, 0 rejected") {
		t.Errorf("ingest says %q", out)
	}
	id, hash := s.waiting(t)
	if out := s.want(t, exitFailed, "review", "approve", id, "--reason", "r", "--plan-hash", "00"); !strings.Contains(out, "plan changed") {
		t.Errorf("another plan: %q", out)
	}
	if out := s.want(t, exitUsage, "review", "approve", id, "--reason", "r", "--actor", "ciso"); !strings.Contains(out, "takes the name from the token") {
		t.Errorf("another name: %q", out)
	}
	if out := s.want(t, exitDone, "review", "approve", id, "--reason", "real", "--plan-hash", hash); !strings.Contains(out, "it is responding now") {
		t.Errorf("approve says %q", out)
	}
	s.want(t, exitFailed, "review", "approve", id, "--reason", "again", "--plan-hash", hash)
	if out := s.want(t, exitDone, "doctor"); !strings.Contains(out, "0 failed") || !strings.Contains(out, "all 45 exist") {
		t.Errorf("doctor beside the server says %q", out)
	}
	list := filepath.Join(t.TempDir(), "feed.txt")
	if err := os.WriteFile(list, []byte("198.51.100.23\n203.0.113.200\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := s.want(t, exitDone, "intel", "import", list, "--feed", "ours"); !strings.Contains(out, "indicators") {
		t.Errorf("intel import says %q", out)
	}
	s.want(t, exitFailed, "migrate")
	if code := s.end(t); code != exitDone {
		t.Fatalf("serve ended with %d: %s", code, s.errs)
	}
	if exists(filepath.Join(state, serverFile)) {
		t.Error("server.json is still there")
	}
	s.withoutServer(t, id)
}

// waiting returns an investigation that waits for approval, and its plan.
func (s *served) waiting(t *testing.T) (id, hash string) {
	t.Helper()
	for range 200 { // each is a request; the verdicts are made meanwhile
		var page api.Page
		if err := json.Unmarshal([]byte(s.want(t, exitDone, "review", "list", "--wait", "approval", "--limit", "1", "--json")), &page); err != nil {
			t.Fatal(err)
		}
		if len(page.Investigations) == 1 {
			id = page.Investigations[0].ID
			break
		}
	}
	var d api.Detail
	if err := json.Unmarshal([]byte(s.want(t, exitDone, "review", "show", id, "--json")), &d); err != nil {
		t.Fatal(err)
	}
	return id, d.PlanHash
}

// withoutServer checks that the same commands work on the state itself.
func (s *served) withoutServer(t *testing.T, id string) {
	t.Helper()
	if out := s.want(t, exitDone, "review", "show", id); !strings.Contains(out, "approve by ") || !strings.Contains(out, "task: ") {
		t.Errorf("the approval is not there: %q", out)
	}
	var list api.GroupList
	if err := json.Unmarshal([]byte(s.want(t, exitDone, "review", "groups", "--json")), &list); err != nil || len(list.Groups) == 0 {
		t.Fatalf("%d groups, %v", len(list.Groups), err)
	}
	if out := s.want(t, exitDone, "review", "confirm", list.Groups[0].Key, "--reason", "known", "--actor", "kim"); !strings.Contains(out, "concluded as") {
		t.Errorf("confirm says %q", out)
	}
	if out := s.want(t, exitDone, "review", "show", list.Groups[0].Members[0].ID); !strings.Contains(out, "conclude by kim: known") {
		t.Errorf("kim's decision is not there: %q", out)
	}
	if out := s.want(t, exitDone, "ingest", example); !strings.Contains(out, "15 accepted") || !strings.Contains(out, "investigations") {
		t.Errorf("ingest says %q", out)
	}
	if out := s.want(t, exitDone, "intel", "list"); !strings.Contains(out, "2 indicators in use") || !strings.Contains(out, "ours") {
		t.Errorf("intel list says %q", out)
	}
	if out := s.want(t, exitDone, "migrate"); strings.Count(out, "is up to date") != 2 {
		t.Errorf("migrate says %q", out)
	}
	s.want(t, exitDone, "audit", "verify")
	s.want(t, exitDone, "taxonomy", "status")
}

func TestIngestRejections(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	file := filepath.Join(t.TempDir(), "odd.jsonl")
	if err := os.WriteFile(file, []byte("{\"odd\":1}\nnot JSON\n"+read(t, example)), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := aluskort(t, "", "--state", state, "ingest", file)
	if code != exitFindings || !strings.Contains(out, "15 accepted, 1 dropped, 2 rejected") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	code, out, _ = aluskort(t, "", "--state", state, "dlq", "list", "alerts.raw", "--bytes")
	if code != exitDone || !strings.Contains(out, `{"odd":1}`) || !strings.Contains(out, "not JSON") {
		t.Errorf("dead letters: %s", out)
	}
	if code, _, errs := aluskort(t, "", "--state", state, "ingest", "--source", "siem9", file); code != exitUsage || !strings.Contains(errs, "siem9") {
		t.Errorf("unknown source: %d %s", code, errs)
	}
}

func TestServeRefusesOpenAddresses(t *testing.T) {
	for _, args := range [][]string{
		{"--listen", "0.0.0.0:0"}, {"--listen", "[::]:0"}, {"--listen", "192.0.2.1:80"}, {"--listen", "host.example.com:80"}, {"--listen", ":8088"},
		{"--listen", "nonsense"}, {"--listen", "127.0.0.1:0", "--tls-cert", example},
	} {
		code, _, errs := aluskort(t, "", append([]string{"--state", t.TempDir(), "serve"}, args...)...)
		if code != exitUsage {
			t.Errorf("%v: exit %d %s", args, code, errs)
		}
	}
}

// TestServeTLS: commands on this machine trust the very certificate that the server has,
// whatever its names, and no other.
func TestServeTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := selfSigned(t, dir, "a"), filepath.Join(dir, "a.key")
	s := serve(t, filepath.Join(dir, "state"), "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(s.info.URL, "https://") {
		t.Errorf("URL %s", s.info.URL)
	}
	s.want(t, exitDone, "review", "list")
	info := s.info
	info.Certificate = strings.Repeat("00", 32)
	b, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.state, serverFile), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := s.want(t, exitFailed, "review", "list"); !strings.Contains(out, "another certificate") {
		t.Errorf("another certificate: %q", out)
	}
	if code := s.end(t); code != exitDone {
		t.Errorf("serve ended with %d: %s", code, s.errs)
	}
}

// selfSigned writes a certificate and its key and returns the path of the former.
func selfSigned(t *testing.T, dir, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "soc.example.com"}, DNSNames: []string{"soc.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for ext, block := range map[string]*pem.Block{"crt": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name+"."+ext), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, name+".crt")
}

func TestTokenCommands(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	cmd := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := aluskort(t, "", append([]string{"--state", state, "token"}, args...)...)
		if code != want {
			t.Fatalf("token %v: exit %d\n%s%s", args, code, out, errs)
		}
		return strings.TrimSpace(out)
	}
	cmd(exitFailed)
	if err := os.MkdirAll(filepath.Join(state, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	local := cmd(exitDone, "rotate")
	if got := cmd(exitDone); got != local {
		t.Errorf("token prints %q, rotate made %q", got, local)
	}
	dana := cmd(exitDone, "create", "--name", "dana", "--role", "senior_analyst", "--role", "ingest")
	cmd(exitFailed, "create", "--name", "dana", "--role", "analyst")
	cmd(exitUsage, "create", "--name", "local", "--role", "admin")
	cmd(exitUsage, "create", "--name", "x", "--role", "king")
	if list := cmd(exitDone, "list"); !strings.Contains(list, "dana") || !strings.Contains(list, "senior_analyst,ingest") || strings.Contains(list, dana) {
		t.Errorf("list says %q", list)
	}
	cmd(exitDone, "revoke", "dana")
	cmd(exitFailed, "revoke", "dana")
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	if code, out, errs := aluskort(t, "", "--state", state, "ingest", example); code != exitDone {
		t.Fatalf("%s%s", out, errs)
	}
	doctor := func() (int, string) {
		code, out, _ := aluskort(t, "", "--state", state, "doctor", "--json")
		return code, out
	}
	if code, out := doctor(); code != exitDone {
		t.Fatalf("a sound state: exit %d\n%s", code, out)
	}
	path := filepath.Join(state, "db", "state.db")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b[4096 : len(b)-4096] {
		b[4096+i] ^= 0x5a
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(state, 0o755); err != nil {
		t.Fatal(err)
	}
	code, out := doctor()
	var rep struct {
		Findings []struct{ Check, Status, Found, Mend string }
		Failed   bool
	}
	if err := json.Unmarshal([]byte(out), &rep); err != nil {
		t.Fatal(err)
	}
	failed := map[string]bool{}
	for _, f := range rep.Findings {
		if f.Status == "fail" {
			failed[f.Check] = true
			if f.Mend == "" {
				t.Errorf("%s says not how to mend it", f.Check)
			}
		}
	}
	if code != exitFindings || !rep.Failed || !failed["state database"] || !failed["state directory"] || failed["audit database"] {
		t.Errorf("exit %d, failed %v", code, failed)
	}
}

// TestFaultB12ShutdownUnderLoad stops a server while requests and batches are in work: every
// alert that was acknowledged has a verdict after the next start.
func TestFaultB12ShutdownUnderLoad(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "state"))
	secret, err := os.ReadFile(filepath.Join(s.state, tokenFile))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	enough := make(chan struct{})
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			g := bench.NewGenerator(uint64(worker+1), time.Now())
			for {
				raw := make([][]byte, 25)
				for i := range raw {
					raw[i] = g.Next()
				}
				req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.info.URL+"/v1/ingest/wazuh", bytes.NewReader(bytes.Join(raw, []byte("\n"))))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(secret)))
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					return // the server is gone
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusAccepted {
					return // it is going
				}
				mu.Lock()
				before := len(acknowledged)
				for _, r := range raw {
					acknowledged[string(r)] = true
				}
				if before < 1000 && len(acknowledged) >= 1000 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	if code := s.end(t); code != exitDone {
		t.Errorf("serve ended with %d: %s", code, s.errs)
	}
	wg.Wait()
	awaitVerdicts(t, s.state, acknowledged)
}

// awaitVerdicts opens the state again and waits until every alert is in an investigation.
func awaitVerdicts(t *testing.T, state string, alerts map[string]bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	news := make(chan struct{}, 1)
	w := &workspace{dir: state, verdicts: func([]orchestrate.Outcome, int64) {
		select {
		case news <- struct{}{}:
		default:
		}
	}}
	cfg := config.Default()
	err := w.run(&env{ctx: ctx, config: cfg, log: newLog(&bytes.Buffer{}, cfg.Log)}, func(ctx context.Context, n *app.Node) error {
		for {
			missing := 0
			for raw := range alerts {
				a, err := n.Registry.Normalise(ingest.Record{Raw: []byte(raw)}, "wazuh", cfg.Tenant, time.Now())
				if err != nil {
					return err
				}
				if _, err := n.Engine.Locate(ctx, cfg.Tenant, a.Source, a.ID); err != nil {
					missing++
				}
			}
			if missing == 0 {
				return nil
			}
			select {
			case <-news:
			case <-ctx.Done():
				return fmt.Errorf("%d of %d acknowledged alerts have no verdict", missing, len(alerts))
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}
