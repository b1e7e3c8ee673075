package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ops"
)

// world is one running node with its API, shared by the tests of this package.
type world struct {
	node    *app.Node
	api     *api.API
	health  *ops.Health
	metrics *ops.Registry
	store   *token.Store
	url     string
	spec    *spec // every answer is held against it
	secrets map[token.Role]string
}

var shared *world // set by TestMain before any test runs

func TestMain(m *testing.M) {
	os.Exit(withWorld(m.Run))
}

func withWorld(run func() int) int {
	dir, err := os.MkdirTemp("", "aluskort-api-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		var stop func() error
		if shared, stop, err = newWorld(filepath.Join(dir, "state")); err == nil {
			code := run()
			if list := shared.spec.unseen(); code == 0 && everything() && len(list) > 0 {
				fmt.Fprintln(os.Stderr, "no good answer of these was held against their description:", list)
				code = 1
			}
			if err := stop(); err != nil {
				fmt.Fprintln(os.Stderr, "stop:", err)
				return 1
			}
			return code
		}
	}
	fmt.Fprintln(os.Stderr, "start:", err)
	return 1
}

// everything reports whether all tests run.
func everything() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}

func newWorld(dir string) (*world, func() error, error) {
	cfg := config.Default()
	cfg.State = dir
	// A simulated model answers to the endpoints that ask one; no alert is asked about.
	cfg.Models.Provider = "simulated"
	cfg.Models.Ask = config.Ask{Critical: "never", High: "never", Medium: "never", Low: "never", Informational: "never"}
	ctx, cancel := context.WithCancel(context.Background())
	n, err := app.Open(ctx, app.Options{Dir: dir, Config: cfg})
	if err != nil {
		cancel()
		return nil, nil, err
	}
	w := &world{node: n, health: ops.NewHealth(), metrics: ops.NewRegistry(), secrets: map[token.Role]string{}}
	w.store = token.Open(filepath.Join(dir, token.File), clock.System{}, nil)
	for _, role := range token.Roles() {
		secret, err := w.store.Create(token.Record{Name: "t-" + string(role), Roles: []token.Role{role}, Tenant: cfg.Tenant})
		if err != nil {
			cancel()
			return nil, nil, errors.Join(err, n.Close())
		}
		w.secrets[role] = secret
	}
	if w.api, err = n.NewAPI(w.store, nil, w.health, w.metrics); err != nil {
		cancel()
		return nil, nil, errors.Join(err, n.Close())
	}
	if w.spec, err = newSpec(w.api); err != nil {
		cancel()
		return nil, nil, errors.Join(err, n.Close())
	}
	n.Observe(ctx, w.metrics)
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	srv := httptest.NewServer(w.api)
	w.url = srv.URL
	w.health.Open()
	return w, func() error {
		srv.Close()
		cancel()
		return errors.Join(<-ended, n.Close())
	}, nil
}

// answer is what came back.
type answer struct {
	code   int
	header http.Header
	body   string
}

func (a answer) problem(t *testing.T) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%d %q is no problem: %v", a.code, a.body, err)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	if p.Status != a.code || api.Catalogue()[p.Code].Status != a.code {
		t.Errorf("problem %+v came with %d", p, a.code)
	}
	return p
}

func decodeInto[T any](t *testing.T, a answer) (out T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatalf("%d %q: %v", a.code, a.body, err)
	}
	return out
}

// call makes a request as a role; headers are pairs.
func (w *world) call(t *testing.T, role token.Role, method, path string, body io.Reader, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		req.Header.Set("Authorization", "Bearer "+w.secrets[role])
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	got := answer{resp.StatusCode, resp.Header, string(b)}
	if err := w.spec.check(method, path, got); err != nil {
		t.Errorf("%s %s answers %d otherwise than described: %v\n%.2000s", method, path, got.code, err, got.body)
	}
	return got
}

func (w *world) post(t *testing.T, role token.Role, path, body string, headers ...string) answer {
	t.Helper()
	return w.call(t, role, http.MethodPost, path, strings.NewReader(body), headers...)
}

// settle waits until everything offered has a verdict.
func (w *world) settle(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.node.Settled(ctx); err != nil {
		t.Fatal(err)
	}
}

var serial atomic.Int64

// example returns one of the example alerts, by its rule, with an identity and a host of its own.
func example(t testing.TB, ruleID string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "examples", "wazuh-alerts.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	n := serial.Add(1)
	for line := range strings.Lines(string(b)) {
		var doc map[string]any
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			t.Fatal(err)
		}
		src := doc["_source"].(map[string]any)
		if src["rule"].(map[string]any)["id"] != ruleID {
			continue
		}
		doc["_id"], src["id"] = fmt.Sprintf("test-%d", n), fmt.Sprintf("1772520099.%d", n)
		agent := src["agent"].(map[string]any)
		line = strings.ReplaceAll(string(must(json.Marshal(doc))), agent["name"].(string), fmt.Sprintf("HOST-%d", n))
		return line
	}
	t.Fatalf("no example with rule %s", ruleID)
	return ""
}

// unrecorded stands for an audit trail where nobody looks.
func unrecorded(context.Context, string, []audit.Event) error { return nil }

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// plain is an alert whose evidence decides nothing.
func plain(t testing.TB) string { return example(t, "5710") }

// needsApproval is an alert whose plan has an action that a person must approve.
func needsApproval(t *testing.T) string { return example(t, "92057") }

// proposedBenign is an alert whose verdict is benign: it waits for a person to confirm.
func proposedBenign(t *testing.T) string { return example(t, "92200") }

// take offers alerts, waits for their verdicts and returns their investigations.
func (w *world) take(t *testing.T, alerts ...string) []string {
	t.Helper()
	if a := w.post(t, token.Ingest, "/v1/ingest/wazuh", strings.Join(alerts, "\n")); a.code != http.StatusAccepted {
		t.Fatalf("%d %s", a.code, a.body)
	}
	w.settle(t)
	var ids []string
	for _, raw := range alerts {
		al, err := w.node.Registry.Normalise(ingest.Record{Raw: []byte(raw)}, "wazuh", "default", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		loc, err := w.node.Engine.Locate(t.Context(), "default", al.Source, al.ID)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, loc.Investigation)
	}
	return ids
}
