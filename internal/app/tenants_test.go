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
	api      http.Handler
	tokens   map[string]string
	ids      map[string][]string // investigations
	patterns map[string]string   // ids of patterns
	tenants  []string
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
		w := &neighbours{Node: n, tokens: map[string]string{}, ids: map[string][]string{}, patterns: map[string]string{}, tenants: []string{"red", "blue"}}
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
		before, paths := w.state(ctx, t), w.readable(t)
		rapid.Check(t, func(t *rapid.T) { w.peek(t, paths) })
		rapid.Check(t, func(t *rapid.T) { w.meddle(ctx, t) })
		for tenant, is := range w.state(ctx, t) {
			if is != before[tenant] {
				t.Errorf("what others asked changed the investigations of %s", tenant)
			}
		}
		w.own(t)
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

// collect finds the investigations of either tenant and makes a pattern of each.
func (w *neighbours) collect(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, tenant := range w.tenants {
		list, _, err := w.Engine.List(ctx, tenant, orchestrate.Filter{Limit: 500})
		if err != nil || len(list) < 5 {
			t.Fatalf("%s has %d investigations, %v", tenant, len(list), err)
		}
		for i := range list {
			w.ids[tenant] = append(w.ids[tenant], list[i].ID)
		}
		code, body := w.call(tenant, http.MethodPost, "/api/v1/patterns", []byte(`{"definition":{"name":"`+markOf(tenant)+`","threshold":0.9,
			"justification":"The owner confirmed this is a probe.","analytics":["rule:5710"],"entities":[{"type":"host","op":"glob","value":"probe-*"}]}}`), nil)
		var made struct {
			Pattern struct {
				ID string `json:"pattern_id"`
			} `json:"pattern"`
		}
		if err := json.Unmarshal([]byte(body), &made); err != nil || made.Pattern.ID == "" {
			t.Fatalf("pattern of %s: %d %s", tenant, code, body)
		}
		w.patterns[tenant] = made.Pattern.ID
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

// readable are all paths that the API documents for reading.
func (w *neighbours) readable(t *testing.T) (out []string) {
	t.Helper()
	_, body := w.call("red", http.MethodGet, "/api/openapi.json", nil, nil)
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		if doc.Paths[path]["get"] != nil {
			out = append(out, path)
		}
	}
	if len(out) < 12 {
		t.Fatalf("the API documents %d paths to read", len(out))
	}
	return out
}

// peek reads with everything that could lead to the other tenant.
func (w *neighbours) peek(t *rapid.T, paths []string) {
	me := rapid.SampledFrom(w.tenants).Draw(t, "tenant")
	other := w.other(me)
	what := rapid.SampledFrom(paths).Draw(t, "path")
	id := rapid.SampledFrom(w.ids[other]).Draw(t, "id")
	if strings.Contains(what, "/patterns/") {
		id = w.patterns[other]
	}
	path := strings.ReplaceAll(what, "{id}", id) + rapid.SampledFrom([]string{"", "?tenant=" + other, "?tenant_id=" + other, "?limit=500"}).Draw(t, "query")
	code, answer := w.call(me, http.MethodGet, path, nil, forged(other))
	if strings.Contains(answer, markOf(other)) {
		t.Fatalf("%s asked %s and read a word of %s:\n%s", me, path, other, answer)
	}
	if strings.Contains(what, "{id}") && code != http.StatusNotFound {
		t.Fatalf("%s asked %s of %s and was answered %d", me, path, other, code)
	}
}

// decision is what a person may do to something of an id, with a body that is right for it.
type decision struct{ path, body string }

var decisions = []decision{
	{"/api/v1/investigations/%s/approve", `{"reason":"r","plan_hash":%q}`},
	{"/api/v1/investigations/%s/reject", `{"reason":"r"}`},
	{"/api/v1/investigations/%s/feedback", `{"reason":"r","classification":"false_positive"}`},
	{"/api/v1/patterns/%s/approve", `{"reason":"r"}`},
	{"/api/v1/patterns/%s/reject", `{"reason":"r"}`},
	{"/api/v1/patterns/%s/revoke", `{"reason":"r"}`},
}

// meddle decides about something of the other tenant, as it was looked at.
func (w *neighbours) meddle(ctx context.Context, t *rapid.T) {
	me := rapid.SampledFrom(w.tenants).Draw(t, "tenant")
	other := w.other(me)
	d := rapid.SampledFrom(decisions).Draw(t, "decision")
	id := rapid.SampledFrom(w.ids[other]).Draw(t, "id")
	inv, err := w.Engine.Get(ctx, other, id)
	if err != nil {
		t.Fatal(err)
	}
	body := d.body
	if strings.Contains(body, "%q") {
		body = fmt.Sprintf(body, orchestrate.PlanHash(inv))
	}
	if strings.Contains(d.path, "/patterns/") {
		id = w.patterns[other]
	}
	path := fmt.Sprintf(d.path, id) + rapid.SampledFrom([]string{"", "?tenant=" + other}).Draw(t, "query")
	code, answer := w.call(me, http.MethodPost, path, []byte(body), forged(other))
	if code != http.StatusNotFound || strings.Contains(answer, markOf(other)) {
		t.Fatalf("%s decided %s about %s of %s and was answered %d %s", me, path, id, other, code, answer)
	}
}

// own shows that what was refused about another's is allowed about one's own, with the same bodies.
func (w *neighbours) own(t *testing.T) {
	t.Helper()
	code, body := w.call("red", http.MethodGet, "/api/v1/investigations/"+w.ids["red"][0], nil, forged("blue"))
	if code != http.StatusOK || !strings.Contains(body, markOf("red")) {
		t.Errorf("one's own investigation: %d %s", code, body)
	}
	code, body = w.call("red", http.MethodPost, "/api/v1/investigations/"+w.ids["red"][0]+"/feedback", []byte(decisions[2].body), forged("blue"))
	if code != http.StatusOK {
		t.Errorf("feedback about one's own investigation: %d %s", code, body)
	}
	code, body = w.call("red", http.MethodPost, "/api/v1/patterns/"+w.patterns["red"]+"/reject", []byte(decisions[4].body), forged("blue"))
	if code != http.StatusOK {
		t.Errorf("rejecting one's own pattern: %d %s", code, body)
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
