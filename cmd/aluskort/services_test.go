package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/auth/mtls/mtlstest"
	"github.com/aluskort/aluskort/internal/bench"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/demo"
	"github.com/aluskort/aluskort/internal/engine/bus/bustest"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
)

// programEnv makes the test program the product itself, so that tests can start it as processes.
const programEnv = "ALUSKORT_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

// installation is an installation of several processes on real engines.
type installation struct {
	t       *testing.T
	dir     string
	ca      *mtlstest.Authority
	secret  string // a token that may send alerts and read
	url, pw string // the database
	brokers string
	others  string // the sections of engines that are used where they are known
	lines   map[string]*process
}

// process is one running process of the product.
type process struct {
	name string
	cmd  *exec.Cmd
	url  string
	out  *bytes.Buffer
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	in := &installation{t: t, dir: t.TempDir(), ca: mtlstest.New(t), brokers: enginetest.Address(t, "kafka"), lines: map[string]*process{}}
	in.url, in.pw = dbtest.Database(t)
	if enginetest.Known("redis") {
		host, user, file := in.account("redis")
		in.others += fmt.Sprintf("cache: {addresses: [%q], user: %s, password_file: %s}\n", host, user, file)
	}
	if enginetest.Known("neo4j") {
		host, user, file := in.account("neo4j")
		in.others += fmt.Sprintf("graph: {uri: bolt://%s, user: %s, password_file: %s}\n", host, user, file)
	}
	org, err := demo.Organisation(demo.Published)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(in.path("org.yaml"), org, 0o600), os.MkdirAll(in.path("certs"), 0o700)); err != nil {
		t.Fatal(err)
	}
	in.secret, err = token.Open(in.path("tokens.json"), clock.System{}, nil).Replace(token.Record{
		Name: "story", Actor: "story", Tenant: "default", Roles: []token.Role{token.Ingest, token.Analyst, token.AuditReader},
	})
	if err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := aluskort(t, "", "topics", "apply", "--config", in.configure("topics")); code != exitDone {
		t.Fatalf("topics apply: %s", stderr)
	}
	bustest.Empty(t, in.brokers)
	return in
}

// account takes the address of an engine apart, and puts its password into a file.
func (in *installation) account(engine string) (host, user, passwordFile string) {
	in.t.Helper()
	u, err := url.Parse(enginetest.Address(in.t, engine))
	if err != nil {
		in.t.Fatal(err)
	}
	password, _ := u.User.Password()
	passwordFile = in.path(engine + "-password")
	if err := os.WriteFile(passwordFile, []byte(password+"\n"), 0o600); err != nil {
		in.t.Fatal(err)
	}
	return u.Host, u.User.Username(), passwordFile
}

func (in *installation) path(name string) string { return filepath.Join(in.dir, name) }

// configure writes the configuration of a process and returns its path.
func (in *installation) configure(name string) string {
	in.t.Helper()
	f := in.ca.Issue(in.path("certs"), name, time.Hour)
	text := fmt.Sprintf(`state: %s
org: %s
tokens: %s
keys: %s
listen: 127.0.0.1:0
bus: {brokers: [%q]}
store: {url: %q, password_file: %s}
objects: {dir: %s}
services: {cert_file: %s, key_file: %s, ca_file: %s, allow: [prometheus]}
parse: {count_documentation: true}
log: {level: warn}
%s`, in.path("state-"+name), in.path("org.yaml"), in.path("tokens.json"), in.path("keys"), in.brokers, in.url, in.pw, in.path("objects"), f.Cert, f.Key, f.CA, in.others)
	path := in.path(name + ".yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		in.t.Fatal(err)
	}
	return path
}

var serves = regexp.MustCompile(`aluskort serves (https://\S+),`)

// start runs a target as a process of its own and returns when it serves.
func (in *installation) start(name string) *process {
	in.t.Helper()
	target, _, _ := strings.Cut(name, "-at-")
	p := &process{name: name, cmd: exec.Command(os.Args[0], "serve", "--target", target, "--config", in.configure(name)), out: &bytes.Buffer{}}
	p.cmd.Env = append(os.Environ(), programEnv+"=1")
	p.cmd.Stderr = p.out
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		in.t.Fatal(err)
	}
	in.lines[name] = p
	in.t.Cleanup(func() { in.stop(name, syscall.SIGKILL) })
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if m := serves.FindStringSubmatch(lines.Text()); m != nil {
			p.url = m[1]
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return p
		}
	}
	in.t.Fatalf("%s does not serve:\n%s", name, p.out)
	return nil
}

// stop ends a process; a second call does nothing.
func (in *installation) stop(name string, how os.Signal) {
	p := in.lines[name]
	if p == nil {
		return
	}
	delete(in.lines, name)
	_ = p.cmd.Process.Signal(how)
	err := p.cmd.Wait()
	if how == syscall.SIGTERM && err != nil {
		in.t.Errorf("%s ended with %v:\n%s", name, err, p.out)
	}
	if in.t.Failed() {
		in.t.Logf("%s said:\n%s", name, p.out)
	}
}

// observe opens the installation in this process, beside the others: nothing runs in it.
func (in *installation) observe(targets ...string) *app.Node {
	in.t.Helper()
	c, err := config.Load(in.configure("observer"), func(string) string { return "" })
	if err != nil {
		in.t.Fatal(err)
	}
	n, err := app.Open(context.Background(), app.Options{Dir: c.State, Config: c, Targets: targets})
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() {
		if err := n.Close(); err != nil {
			in.t.Error(err)
		}
	})
	return n
}

// client speaks TLS to the processes without a certificate, as senders and people do.
func (in *installation) client() *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: in.ca.Pool()}}
	in.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func (in *installation) post(p *process, path string, body []byte) {
	in.t.Helper()
	r, err := http.NewRequestWithContext(in.t.Context(), http.MethodPost, p.url+path, bytes.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+in.secret)
	r.Header.Set("Content-Type", "application/x-ndjson")
	a, err := in.client().Do(r)
	if err != nil {
		in.t.Fatal(err)
	}
	text, _ := io.ReadAll(a.Body)
	_ = a.Body.Close()
	if a.StatusCode/100 != 2 {
		in.t.Fatalf("%s %s: %d %s", p.name, path, a.StatusCode, text)
	}
}

// settled waits until nothing is on the way any more and every audit event is in the chain.
func settled(ctx context.Context, t *testing.T, n *app.Node, alerts int64) {
	t.Helper()
	for {
		left, err := onTheWay(ctx, n, alerts)
		if err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		if left == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not settled: %s", left)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// onTheWay says what is left to do, or nothing.
func onTheWay(ctx context.Context, n *app.Node, alerts int64) (string, error) {
	counts, err := n.Engine.Counts(ctx, "default")
	if err != nil {
		return "", err
	}
	have := int64(0)
	for _, c := range counts {
		have += c.Alerts
	}
	if have < alerts {
		return fmt.Sprintf("%d of %d alerts have verdicts", have, alerts), nil
	}
	dirty, err := n.Engine.Dirty(ctx)
	if err != nil || dirty > 0 {
		return fmt.Sprintf("%d investigations wait for a revision", dirty), err
	}
	lag, err := n.AuditLag(ctx)
	for tenant, events := range lag {
		if events > 0 {
			return fmt.Sprintf("%d audit events of %s are not in the chain", events, tenant), err
		}
	}
	return "", err
}

// verdictsOf is what the product says about each alert of the story.
func verdictsOf(ctx context.Context, t *testing.T, n *app.Node, events []demo.Event) map[string]string {
	t.Helper()
	out := map[string]string{}
	for i := range events {
		e := &events[i]
		loc, err := n.Engine.Locate(ctx, "default", sourceName(t, n, e), e.ID)
		if err != nil {
			t.Fatalf("%s %s: %v", e.Source, e.ID, err)
		}
		inv, err := n.Engine.Get(ctx, "default", loc.Investigation)
		if err != nil {
			t.Fatal(err)
		}
		v := &inv.Verdict
		out[e.Source+" "+e.ID] = fmt.Sprintf("%s %s %.6f %s %s %s", inv.ID, v.Classification, v.Probability, v.Severity, inv.State, inv.WaitReason)
	}
	return out
}

// sourceName is the source under which the adapter files an event.
func sourceName(t *testing.T, n *app.Node, e *demo.Event) string {
	t.Helper()
	a, err := n.Registry.Normalise(ingest.Record{Raw: e.Raw}, ingest.Auto, "default", e.Arrives)
	if err != nil {
		t.Fatal(err)
	}
	return a.Source
}

// embedded tells the story to one process with embedded engines.
func embedded(ctx context.Context, t *testing.T, events []demo.Event) map[string]string {
	t.Helper()
	c := config.Default()
	c.Org = filepath.Join(t.TempDir(), "org.yaml")
	org, err := demo.Organisation(demo.Published)
	if err == nil {
		err = os.WriteFile(c.Org, org, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	n, err := app.Open(ctx, app.Options{Dir: t.TempDir(), Config: c, CountDocumentation: true})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- n.Run(running) }()
	importIntel(ctx, t, n)
	s := app.NewSession(n, ingest.Auto, "default", app.NewTimes())
	if err := errors.Join(s.Read(ctx, bytes.NewReader(demo.Alerts(events)), "story", nil), n.Settled(ctx)); err != nil {
		t.Fatal(err)
	}
	out := verdictsOf(ctx, t, n, events)
	stop()
	if err := errors.Join(<-ended, n.Close()); err != nil {
		t.Fatal(err)
	}
	return out
}

func importIntel(ctx context.Context, t *testing.T, n *app.Node) {
	t.Helper()
	table, err := demo.Intel(demo.Published)
	if err == nil {
		_, err = n.ImportIntel(ctx, "default", bytes.NewReader(table), intel.Options{Feed: "demo", Now: time.Now()})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestServicesOnRealEngines runs the product as processes of its targets on Kafka and PostgreSQL:
// the story of the demo ends with the same verdicts as embedded, and a killed orchestrator loses
// and repeats nothing.
func TestServicesOnRealEngines(t *testing.T) {
	in := newInstallation(t)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	n := in.observe("api", "ingest")
	importIntel(ctx, t, n)

	for _, name := range []string{
		"audit-service-at-1", "orchestrator-at-1", "orchestrator-at-2", "entity-parser-at-1", "entity-parser-at-2", "context-gateway-at-1", "api-at-1", "ingest-at-1", "ingest-at-2",
	} {
		in.start(name)
	}
	t.Run("only services with an allowed name read metrics without a token", func(t *testing.T) { monitored(t, in) })
	events := demo.Story(demo.Published)
	distinct := map[string]bool{}
	for i := range events {
		distinct[events[i].Source+events[i].ID] = true
	}
	told := int64(len(distinct))
	if !t.Run("the story ends as it does embedded", func(t *testing.T) {
		half := len(events) / 2
		in.post(in.lines["ingest-at-1"], "/v1/ingest/auto", demo.Alerts(events[:half]))
		in.post(in.lines["ingest-at-2"], "/v1/ingest/auto", demo.Alerts(events[half:]))
		settled(ctx, t, n, told)
		got := verdictsOf(ctx, t, n, events)
		if d := cmp.Diff(embedded(ctx, t, events), got); d != "" {
			t.Errorf("not the verdicts of the embedded run:\n%s", d)
		}
		rep, err := n.Audit.Verify(ctx, "default")
		if err != nil || !rep.OK() {
			t.Errorf("audit chain: %+v, %v", rep, err)
		}
	}) {
		return
	}
	t.Run("a killed orchestrator loses and repeats nothing", func(t *testing.T) { killed(ctx, t, in, n, told) })
	t.Run("processes drain when told to stop", func(t *testing.T) {
		for _, name := range slices.Sorted(maps.Keys(in.lines)) {
			in.stop(name, syscall.SIGTERM)
		}
	})
}

// monitored asks every process for its metrics as different callers.
func monitored(t *testing.T, in *installation) {
	for _, c := range []struct {
		name string
		want int
	}{{"prometheus", http.StatusOK}, {"ingest", http.StatusUnauthorized}, {"", http.StatusUnauthorized}} {
		client := in.client()
		if c.name != "" {
			f := in.ca.Issue(t.TempDir(), c.name, time.Hour)
			cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
			if err != nil {
				t.Fatal(err)
			}
			client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{cert}
		}
		for _, p := range in.lines {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/metrics", nil)
			if err != nil {
				t.Fatal(err)
			}
			a, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, a.Body)
			_ = a.Body.Close()
			if a.StatusCode != c.want {
				t.Errorf("%s asked by %q: status %d, want %d", p.name, c.name, a.StatusCode, c.want)
			}
		}
	}
}

// killed offers many alerts to three orchestrators and kills one in the middle.
func killed(ctx context.Context, t *testing.T, in *installation, n *app.Node, told int64) {
	in.start("orchestrator-at-3")
	total := 20_000
	if testing.Short() {
		total = 4_000
	}
	alerts := generated(t, n, total)
	begin := time.Now()
	for chunk := range slices.Chunk(alerts, 500) {
		if err := n.Offer(ctx, chunk); err != nil {
			t.Fatal(err)
		}
	}
	offered := time.Since(begin)
	settleHalf(ctx, t, n, told+int64(total/3))
	in.stop("orchestrator-at-2", syscall.SIGKILL)
	at := time.Now()
	settled(ctx, t, n, told+int64(total))
	t.Logf("%d alerts offered in %s, everything settled %s after the kill, %s after the first", total, offered.Round(time.Millisecond),
		time.Since(at).Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))

	counts, err := n.Engine.Counts(ctx, "default")
	if err != nil {
		t.Fatal(err)
	}
	have := int64(0)
	for _, c := range counts {
		have += c.Alerts
	}
	if have != told+int64(total) {
		t.Errorf("investigations count %d alerts, %d were sent", have, told+int64(total))
	}
	for i := range alerts {
		if _, err := n.Engine.Locate(ctx, "default", alerts[i].Source, alerts[i].ID); err != nil {
			t.Fatalf("alert %s is lost: %v", alerts[i].ID, err)
		}
	}
	classified := map[string]int{}
	err = n.Audit.Records(ctx, "default", 0, math.MaxInt64, func(r audit.Record) error {
		f, err := audit.ParseRecord(r.Bytes)
		if f.Type == audit.AlertClassified {
			classified[f.InvestigationID]++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, k := range classified {
		if k != 1 {
			t.Errorf("investigation %s was classified for the first time %d times", id, k)
		}
	}
	if rep, err := n.Audit.Verify(ctx, "default"); err != nil || !rep.OK() {
		t.Errorf("audit chain: %+v, %v", rep, err)
	}
}

// settleHalf waits until so many alerts have verdicts.
func settleHalf(ctx context.Context, t *testing.T, n *app.Node, alerts int64) {
	t.Helper()
	for {
		left, err := onTheWay(ctx, n, alerts)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(left, "have verdicts") {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(left)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func generated(t *testing.T, n *app.Node, total int) []alert.Alert {
	t.Helper()
	at := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	g := bench.NewGenerator(7, at)
	out := make([]alert.Alert, total)
	for i := range out {
		a, err := n.Registry.Normalise(ingest.Record{Raw: g.Next()}, "wazuh", "default", at.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		out[i] = a
	}
	return out
}
