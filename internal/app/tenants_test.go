package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
	"github.com/aluskort/aluskort/internal/llm/simulated"
	"github.com/aluskort/aluskort/internal/ops"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// neighbours are two tenants that have everything in common but a word.
type neighbours struct {
	*Node
	api     http.Handler
	tokens  map[string]string
	ids     map[string][]string // investigations
	keys    []string            // of groups and plans
	tenants []string
}

// markOf is the word that stands in every alert of a tenant and in nothing else.
func markOf(tenant string) string { return "zq" + tenant + "zq" }

// TestD5TenantsNeverMeet: two tenants send the same alerts, of the same hosts, accounts and hashes,
// under the same numbers. Whatever one asks, with ids of the other and headers that name the other,
// and whatever a model is asked about one, has no word of the other (I9).
func TestD5TenantsNeverMeet(t *testing.T) {
	server := simulated.NewServer(simulated.Config{})
	defer server.Close()
	runNode(t, asking(server), func(ctx context.Context, n *Node) error {
		w := &neighbours{Node: n, tokens: map[string]string{}, ids: map[string][]string{}, tenants: []string{"red", "blue"}}
		w.open(t)
		for _, tenant := range w.tenants {
			feed := "value,type,confidence\n203.0.113.77,ipv4,90\n192.0.2.52,ipv4,90\n"
			if _, err := n.ImportIntel(ctx, tenant, strings.NewReader(feed), intel.Options{Feed: markOf(tenant), Format: intel.FormatCSV}); err != nil {
				return err
			}
			w.send(t, tenant)
		}
		if err := n.Settled(ctx); err != nil {
			return err
		}
		w.collect(ctx, t)
		before := w.state(ctx, t)
		paths := w.paths(t)
		rapid.Check(t, func(t *rapid.T) { w.trespass(t, paths) })
		for tenant, was := range before {
			if is := w.state(ctx, t)[tenant]; is != was {
				t.Errorf("what others asked changed the investigations of %s", tenant)
			}
		}
		w.prompts(t, server)
		w.trails(ctx, t)
		return nil
	})
}

func (w *neighbours) open(t *testing.T) {
	t.Helper()
	store := token.Open(filepath.Join(t.TempDir(), token.File), clock.System{}, nil)
	for _, tenant := range w.tenants {
		secret, err := store.Create(token.Record{Name: tenant, Tenant: tenant, Roles: []token.Role{token.Admin, token.AuditReader}})
		if err != nil {
			t.Fatal(err)
		}
		w.tokens[tenant] = secret
	}
	health := ops.NewHealth()
	health.Open()
	a, err := w.NewAPI(store, nil, health, ops.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	w.api = a
}

func (w *neighbours) call(tenant, method, path string, body []byte, header http.Header) (int, string) {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	maps.Copy(r.Header, header)
	r.Header.Set("Authorization", "Bearer "+w.tokens[tenant])
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	out := httptest.NewRecorder()
	w.api.ServeHTTP(out, r)
	return out.Code, out.Body.String()
}

// send offers the tenant's alerts over HTTP, with everything in them and around them that names the
// other one.
func (w *neighbours) send(t *testing.T, tenant string) {
	t.Helper()
	other := w.other(tenant)
	var body bytes.Buffer
	for _, a := range linked(t, w.Node) {
		var record map[string]any
		if err := json.Unmarshal(a.RawPayload, &record); err != nil {
			t.Fatal(err)
		}
		inner := record
		if s, ok := record["_source"].(map[string]any); ok {
			inner = s
		}
		rule := inner["rule"].(map[string]any)
		rule["description"] = fmt.Sprint(rule["description"], " ", markOf(tenant))
		inner["tenant_id"], inner["TenantId"], record["tenant"] = other, other, other
		b, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		body.Write(append(b, '\n'))
	}
	code, answer := w.call(tenant, http.MethodPost, "/v1/ingest/wazuh?tenant="+other, body.Bytes(), forged(other))
	if code != http.StatusAccepted {
		t.Fatalf("the alerts of %s: %d %s", tenant, code, answer)
	}
}

func (w *neighbours) other(tenant string) string {
	return w.tenants[1-slices.Index(w.tenants, tenant)]
}

// forged are headers by which products and proxies name a tenant.
func forged(tenant string) http.Header {
	h := http.Header{}
	for _, name := range []string{"X-Tenant", "X-Tenant-Id", "X-Scope-OrgID", "X-Aluskort-Tenant", "Tenant", "X-Forwarded-User"} {
		h.Set(name, tenant)
	}
	return h
}

// collect finds the ids of either tenant.
func (w *neighbours) collect(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, tenant := range w.tenants {
		list, _, err := w.Engine.List(ctx, tenant, orchestrate.Filter{Limit: 1000})
		if err != nil || len(list) < 5 {
			t.Fatalf("%s has %d investigations, %v", tenant, len(list), err)
		}
		for i := range list {
			w.ids[tenant] = append(w.ids[tenant], list[i].ID)
		}
		for _, path := range []string{"/api/v1/groups", "/api/v1/plans"} {
			_, body := w.call(tenant, http.MethodGet, path, nil, nil)
			var page struct {
				Groups, Plans []struct{ Key string }
			}
			if err := json.Unmarshal([]byte(body), &page); err != nil {
				t.Fatal(err)
			}
			for _, g := range append(page.Groups, page.Plans...) {
				w.keys = append(w.keys, g.Key)
			}
		}
	}
	for _, id := range w.ids["red"] {
		if slices.Contains(w.ids["blue"], id) {
			t.Errorf("both tenants have an investigation %s", id)
		}
	}
}

// state are the investigations of each tenant as they are stored.
func (w *neighbours) state(ctx context.Context, t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, tenant := range w.tenants {
		for _, id := range w.ids[tenant] {
			rec, err := w.Engine.Get(ctx, tenant, id)
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(rec)
			if err != nil {
				t.Fatal(err)
			}
			out[tenant] += string(b) + "\n"
		}
	}
	return out
}

type operation struct{ method, path string }

// paths are all operations that the API documents, but those that change what all tenants share.
func (w *neighbours) paths(t *testing.T) (out []operation) {
	t.Helper()
	_, body := w.call("red", http.MethodGet, "/api/openapi.json", nil, nil)
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for method := range doc.Paths[path] {
			if strings.Contains(path, "{") || method == "get" {
				out = append(out, operation{strings.ToUpper(method), path})
			}
		}
	}
	if len(out) < 15 {
		t.Fatalf("the API documents %d operations to try", len(out))
	}
	return out
}

// trespass makes one request with everything that could lead to the other tenant.
func (w *neighbours) trespass(t *rapid.T, ops []operation) {
	me := rapid.SampledFrom(w.tenants).Draw(t, "tenant")
	other := w.other(me)
	op := rapid.SampledFrom(ops).Draw(t, "operation")
	path := strings.ReplaceAll(op.path, "{id}", rapid.SampledFrom(w.ids[other]).Draw(t, "id"))
	if strings.Contains(path, "{key}") {
		if len(w.keys) == 0 {
			return
		}
		path = strings.ReplaceAll(path, "{key}", rapid.SampledFrom(w.keys).Draw(t, "key"))
		if op.method != http.MethodGet {
			return // a key may be one's own as well: what it stands for is looked up in one's own
		}
	}
	path = strings.NewReplacer("{source}", "wazuh", "{index}", "wazuh", "{name}", other).Replace(path)
	path += rapid.SampledFrom([]string{"", "?tenant=" + other, "?tenant_id=" + other, "?limit=500&q=" + markOf(other)}).Draw(t, "query")
	body := []byte(fmt.Sprintf(`{"tenant":%q,"tenant_id":%q,"decision":"approve","classification":"benign","reason":"x","confirm":true}`, other, other))
	if strings.Contains(op.path, "ingest") || strings.Contains(op.path, "bulk") || strings.Contains(op.path, "collector") {
		return // send did this
	}
	code, answer := w.call(me, op.method, path, body, forged(other))
	if strings.Contains(answer, markOf(other)) && !strings.Contains(path, markOf(other)) {
		t.Fatalf("%s asked %s %s and read a word of %s:\n%s", me, op.method, path, other, answer)
	}
	if strings.Contains(op.path, "/investigations/{id}") && code < 400 {
		t.Fatalf("%s asked %s %s of %s and was answered %d", me, op.method, path, other, code)
	}
}

// prompts: no question to a model has words of two tenants.
func (w *neighbours) prompts(t *testing.T, s *simulated.Server) {
	t.Helper()
	of := map[string]int{}
	for _, r := range s.Received() {
		if r.Request == nil {
			continue
		}
		b, err := json.Marshal(r.Request)
		if err != nil {
			t.Fatal(err)
		}
		has := func(tenant string) bool { return bytes.Contains(b, []byte(markOf(tenant))) }
		if has("red") && has("blue") {
			t.Fatalf("one prompt has words of two tenants:\n%s", b)
		}
		for _, tenant := range w.tenants {
			if has(tenant) {
				of[tenant]++
			}
		}
	}
	if of["red"] == 0 || of["blue"] == 0 {
		t.Errorf("prompts by tenant %v: the test shows nothing", of)
	}
}

// trails: no audit trail has a word of the other tenant, and each has its own.
func (w *neighbours) trails(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, tenant := range w.tenants {
		var out bytes.Buffer
		if err := w.Audit.Export(ctx, tenant, &out, 0, math.MaxInt64); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(out.Bytes(), []byte(markOf(w.other(tenant)))) {
			t.Errorf("the audit trail of %s has a word of the other tenant", tenant)
		}
		if bytes.Count(out.Bytes(), []byte(`"alert.classified"`)) < 5 {
			t.Errorf("the audit trail of %s has hardly anything: %d bytes", tenant, out.Len())
		}
	}
}
