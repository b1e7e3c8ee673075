package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/ops"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

func (w *world) detail(t *testing.T, id string) (api.Detail, string) {
	t.Helper()
	a := w.call(t, token.Analyst, "GET", "/api/v1/investigations/"+id, nil)
	if a.code != http.StatusOK {
		t.Fatalf("%d %s", a.code, a.body)
	}
	return decodeInto[api.Detail](t, a), a.header.Get("ETag")
}

func TestInvestigation(t *testing.T) {
	id := shared.take(t, needsApproval(t))[0]
	d, tag := shared.detail(t, id)
	if d.ID != id || d.State != investigate.AwaitingHuman || d.PlanHash == "" || len(d.Actions) == 0 || len(d.Members) != 1 || len(d.Evidence) == 0 || len(d.Entities) == 0 {
		t.Errorf("got %+v", d)
	}
	if want := fmt.Sprintf("%q", fmt.Sprint(d.Version)); tag != want {
		t.Errorf("ETag %s, want %s", tag, want)
	}
	if a := shared.call(t, token.Analyst, "GET", "/api/v1/investigations/"+id, nil, "If-None-Match", tag); a.code != http.StatusNotModified || a.body != "" {
		t.Errorf("with its own ETag: %d %q", a.code, a.body)
	}
	if p := shared.call(t, token.Analyst, "GET", "/api/v1/investigations/none", nil).problem(t); p.Code != api.CodeNotFound {
		t.Errorf("got %+v", p)
	}
}

func TestList(t *testing.T) {
	ids := shared.take(t, plain(t), needsApproval(t), needsApproval(t))
	list := func(q string) api.Page {
		t.Helper()
		a := shared.call(t, token.AuditReader, "GET", "/api/v1/investigations?"+q, nil)
		if a.code != http.StatusOK {
			t.Fatalf("%s: %d %s", q, a.code, a.body)
		}
		return decodeInto[api.Page](t, a)
	}
	var seen []string
	for q := "limit=2"; ; {
		p := list(q)
		for _, i := range p.Investigations {
			seen = append(seen, i.ID)
		}
		if p.Next == "" {
			break
		}
		q = "limit=2&cursor=" + p.Next
	}
	for _, id := range ids {
		if n := len(slices.DeleteFunc(slices.Clone(seen), func(x string) bool { return x != id })); n != 1 {
			t.Errorf("%s is listed %d times over the pages", id, n)
		}
	}
	for _, i := range list("wait_reason=approval&state=awaiting_human&classification=true_positive").Investigations {
		if i.WaitReason != "approval" || i.State != "awaiting_human" || i.Classification != "true_positive" {
			t.Errorf("filtered list holds %+v", i)
		}
	}
	var queue []string
	for q := "order=urgency&limit=2"; ; {
		p := list(q)
		for _, i := range p.Investigations {
			if i.State != "awaiting_human" || i.RiskState == "" {
				t.Errorf("the queue holds %+v", i)
			}
			queue = append(queue, i.ID)
		}
		if p.Next == "" {
			break
		}
		q = "order=urgency&limit=2&cursor=" + p.Next
	}
	waiting := len(list("state=awaiting_human&limit=500").Investigations)
	if slices.Sort(queue); len(slices.Compact(queue)) != waiting {
		t.Errorf("%d of %d that wait are in the queue", len(queue), waiting)
	}
	for _, q := range []string{"state=open", "wait_reason=coffee", "classification=bad", "limit=0", "limit=501", "limit=x", "cursor=-1", "sort=age", "order=age"} {
		if p := shared.call(t, token.Analyst, "GET", "/api/v1/investigations?"+q, nil).problem(t); p.Code != api.CodeInvalid {
			t.Errorf("%s: %+v", q, p)
		}
	}
}

// TestFaultB14Approval: an approval is applied once, for the plan that was shown.
func TestFaultB14Approval(t *testing.T) {
	id := shared.take(t, needsApproval(t))[0]
	d, tag := shared.detail(t, id)
	path := "/api/v1/investigations/" + id + "/approve"
	good := `{"reason":"confirmed with the owner","plan_hash":"` + d.PlanHash + `"}`
	for name, c := range map[string]struct {
		role    token.Role
		body    string
		headers []string
		code    api.Code
	}{
		"by an analyst":     {token.Analyst, good, nil, api.CodeForbidden},
		"no plan":           {token.SeniorAnalyst, `{"reason":"yes"}`, nil, api.CodePrecondition},
		"another plan":      {token.SeniorAnalyst, `{"reason":"yes","plan_hash":"00ff"}`, nil, api.CodeChanged},
		"another version":   {token.SeniorAnalyst, good, []string{"If-Match", `"999"`}, api.CodeChanged},
		"no reason":         {token.SeniorAnalyst, `{"plan_hash":"` + d.PlanHash + `","reason":"  "}`, nil, api.CodeInvalid},
		"long reason":       {token.SeniorAnalyst, `{"reason":"` + strings.Repeat("x", 5000) + `"}`, nil, api.CodeInvalid},
		"misspelt key":      {token.SeniorAnalyst, `{"reason":"yes","planhash":"x"}`, nil, api.CodeInvalidJSON},
		"no JSON":           {token.SeniorAnalyst, `yes`, nil, api.CodeInvalidJSON},
		"two values":        {token.SeniorAnalyst, good + good, nil, api.CodeInvalidJSON},
		"empty":             {token.SeniorAnalyst, ``, nil, api.CodeEmpty},
		"someone else acts": {token.SeniorAnalyst, `{"reason":"yes","actor":"ciso"}`, nil, api.CodeInvalidJSON},
	} {
		if p := shared.post(t, c.role, path, c.body, c.headers...).problem(t); p.Code != c.code {
			t.Errorf("%s: %+v, want %s", name, p, c.code)
		}
	}
	if after, _ := shared.detail(t, id); after.Version != d.Version {
		t.Fatalf("a refused approval changed the investigation")
	}
	var codes [4]int
	var wg sync.WaitGroup
	for i := range codes {
		wg.Go(func() { codes[i] = shared.post(t, token.SeniorAnalyst, path, good, "If-Match", tag).code })
	}
	wg.Wait()
	slices.Sort(codes[:])
	if codes != [4]int{200, 409, 409, 409} {
		t.Errorf("four at once: %v", codes)
	}
	after, _ := shared.detail(t, id)
	if after.State != investigate.Responding || len(after.Decisions) != 1 || after.Decisions[0].Actor != "t-senior_analyst" || len(after.Tasks) != len(d.Actions) {
		t.Errorf("got %+v", after)
	}
	if p := shared.post(t, token.SeniorAnalyst, path, good).problem(t); p.Code != api.CodeConflict {
		t.Errorf("late: %+v", p)
	}
	shared.settle(t)
	actors := map[string]int{}
	err := shared.node.Audit.Investigation(t.Context(), "default", id, func(r audit.Record) error {
		if strings.Contains(string(r.Bytes), `"approval.granted"`) {
			actors[fmt.Sprint(strings.Contains(string(r.Bytes), "t-senior_analyst") && strings.Contains(string(r.Bytes), "confirmed with the owner"))]++
		}
		return nil
	})
	if err != nil || actors["true"] != 1 || actors["false"] != 0 {
		t.Errorf("records of the approval: %v, %v", actors, err)
	}
}

func TestRejectAndFeedback(t *testing.T) {
	ids := shared.take(t, needsApproval(t), plain(t))
	a := shared.post(t, token.Admin, "/api/v1/investigations/"+ids[0]+"/reject", `{"reason":"announced exercise"}`)
	if d := decodeInto[api.Detail](t, a); a.code != 200 || d.State == investigate.Responding || len(d.Decisions) != 1 || a.header.Get("ETag") == "" {
		t.Errorf("reject: %d %s", a.code, a.body)
	}
	path := "/api/v1/investigations/" + ids[1] + "/feedback"
	for _, class := range []string{"", "suspicious", "benign"} {
		if p := shared.post(t, token.Analyst, path, `{"reason":"r","classification":"`+class+`"}`).problem(t); p.Code != api.CodeInvalid {
			t.Errorf("%q: %+v", class, p)
		}
	}
	a = shared.post(t, token.Analyst, path, `{"reason":"scanner of ours","classification":"false_positive"}`)
	if d := decodeInto[api.Detail](t, a); a.code != 200 || d.State != investigate.Closed || d.Classification != evidence.FalsePositive || d.By != "t-analyst" {
		t.Errorf("feedback: %d %s", a.code, a.body)
	}
	if p := shared.post(t, token.Analyst, path, `{"reason":"again","classification":"true_positive"}`).problem(t); p.Code != api.CodeConflict {
		t.Errorf("feedback on a closed one: %+v", p)
	}
}

func TestIdempotencyKey(t *testing.T) {
	id := shared.take(t, plain(t))[0]
	path := "/api/v1/investigations/" + id + "/feedback"
	body := `{"reason":"known","classification":"false_positive"}`
	var wg sync.WaitGroup
	answers := make([]answer, 5)
	for i := range answers {
		wg.Go(func() { answers[i] = shared.post(t, token.Analyst, path, body, "Idempotency-Key", "k1") })
	}
	wg.Wait()
	for i, a := range answers {
		if a.code != 200 || a.body != answers[0].body {
			t.Errorf("answer %d: %d %s", i, a.code, a.body)
		}
	}
	if d, _ := shared.detail(t, id); len(d.Decisions) != 1 {
		t.Errorf("%d decisions", len(d.Decisions))
	}
	if p := shared.post(t, token.Analyst, path, `{"reason":"other","classification":"true_positive"}`, "Idempotency-Key", "k1").problem(t); p.Code != api.CodeIdempotencyReused {
		t.Errorf("another body: %+v", p)
	}
	if p := shared.post(t, token.SeniorAnalyst, path, body, "Idempotency-Key", "k1").problem(t); p.Code != api.CodeConflict {
		t.Errorf("another person's key is another key: %+v", p)
	}
	if p := shared.post(t, token.Analyst, path, body, "Idempotency-Key", strings.Repeat("k", 201)).problem(t); p.Code != api.CodeInvalid {
		t.Errorf("long key: %+v", p)
	}
}

func (w *world) groupOf(t *testing.T, id string) (api.GroupList, api.Group) {
	t.Helper()
	list := decodeInto[api.GroupList](t, w.call(t, token.Analyst, "GET", "/api/v1/groups", nil))
	for _, g := range list.Groups {
		if slices.ContainsFunc(g.Members, func(m api.Member) bool { return m.ID == id }) {
			return list, g
		}
	}
	t.Fatalf("%s is in no group: %+v", id, list)
	return list, api.Group{}
}

func TestConfirmGroup(t *testing.T) {
	ids := shared.take(t, proposedBenign(t), proposedBenign(t), proposedBenign(t), proposedBenign(t))
	list, g := shared.groupOf(t, ids[0])
	if g.Count < 4 || len(g.Hosts.Values) < 4 || len(g.Explanation) == 0 || g.FirstSeen.IsZero() || g.Classification != evidence.FalsePositive {
		t.Fatalf("group %+v", g)
	}
	if !slices.ContainsFunc(g.Differs, func(d api.Difference) bool { return d.What == "host" }) {
		t.Errorf("that the hosts differ is not shown: %+v", g.Differs)
	}
	path := "/api/v1/groups/" + g.Key + "/confirm"
	asOf := list.AsOf.Format(time.RFC3339Nano)
	late := shared.take(t, proposedBenign(t))[0] // came after the group was looked at
	for name, c := range map[string]struct {
		path, body string
		code       api.Code
	}{
		"no time":       {path, `{"reason":"r"}`, api.CodePrecondition},
		"no reason":     {path, `{"as_of":"` + asOf + `"}`, api.CodeInvalid},
		"before all":    {path, `{"reason":"r","as_of":"2026-01-01T00:00:00Z"}`, api.CodeChanged},
		"strange one":   {path, `{"reason":"r","as_of":"` + asOf + `","except":["none"]}`, api.CodeInvalid},
		"unknown group": {"/api/v1/groups/00/confirm", `{"reason":"r","as_of":"` + asOf + `"}`, api.CodeNotFound},
	} {
		if p := shared.post(t, token.SeniorAnalyst, c.path, c.body).problem(t); p.Code != c.code {
			t.Errorf("%s: %+v, want %s", name, p, c.code)
		}
	}
	a := shared.post(t, token.SeniorAnalyst, path, `{"reason":"servicing, seen on all hosts","as_of":"`+asOf+`","except":["`+ids[1]+`"]}`)
	got := decodeInto[api.Confirmed](t, a)
	if a.code != 200 || len(got.Concluded) != g.Count-1 || len(got.Left) != 2 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	for i, id := range append(ids, late) {
		want := investigate.Closed
		if i == 1 || id == late {
			want = investigate.AwaitingHuman
		}
		d, _ := shared.detail(t, id)
		if d.State != want {
			t.Errorf("member %d is %s, want %s", i, d.State, want)
		}
		if want == investigate.Closed && (d.By != "t-senior_analyst" || d.Decisions[0].Reason != "servicing, seen on all hosts") {
			t.Errorf("member %d: %+v", i, d.Decisions)
		}
	}
}

// broken answers every question with an error that must not leave the process.
type broken struct{ api.Investigations }

var errInside = errors.New("pq: password authentication failed for user root at 10.1.2.3")

func (broken) Get(context.Context, string, string) (*investigate.Investigation, error) {
	return nil, errInside
}

func (broken) List(context.Context, string, orchestrate.Filter) ([]orchestrate.Summary, int64, error) {
	panic(errInside)
}

func TestStrangersSeeInternalError(t *testing.T) {
	f := newFake(t)
	a, err := api.New(api.Config{
		Registry: shared.node.Registry, Investigations: broken{}, Tokens: everybody{}, Health: f.health, Metrics: ops.NewRegistry(), Clock: clock.System{},
		Offer: shared.node.Offer, DeadLetter: func(context.Context, []api.Letter) error { return nil }, Record: unrecorded, OutboxLag: shared.node.OutboxLag,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/api/v1/investigations/x", "/api/v1/investigations", "/api/v1/groups"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer x")
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		p := answer{w.Code, w.Header(), w.Body.String()}.problem(t)
		if p.Code != api.CodeInternal || p.Title != "internal error" || p.Detail != "" || strings.Contains(w.Body.String(), "root") {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}

func TestMetrics(t *testing.T) {
	shared.take(t, plain(t))
	a := shared.call(t, token.Analyst, "GET", "/metrics", nil)
	for _, want := range []string{
		`aluskort_intake_records_total{source="wazuh",outcome="accepted"}`, `aluskort_investigations_by_state{state="awaiting_human",wait_reason="verdict"`,
		`aluskort_kafka_consumer_lag{topic="alerts.raw",partition="0",consumer_group="aluskort.entity-parser"} 0`, `aluskort_audit_kafka_lag{tenant_id="default"} 0`,
		"aluskort_outbox_rows ", `aluskort_http_requests_total{path="/v1/ingest/{source}",method="POST",code="202"}`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s in\n%s", want, a.body)
		}
	}
}

func TestClient(t *testing.T) {
	id := shared.take(t, needsApproval(t))[0]
	for name, c := range map[string]*api.Client{
		"network": api.Dial(shared.url, shared.secrets[token.Admin], nil),
		"direct":  api.Direct(shared.api, token.Record{Name: "local", Actor: "kim", Roles: []token.Role{token.Admin}, Tenant: "default"}),
	} {
		if err := errors.Join(c.Health(t.Context()), c.Ready(t.Context())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.List(t.Context(), url.Values{"limit": {"1"}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		d, err := c.Get(t.Context(), id)
		if err != nil || d.ID != id {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
		var p *api.Problem
		if _, err := c.Decide(t.Context(), id, "approve", d.Version+1, api.DecisionRequest{Reason: "r", PlanHash: d.PlanHash}); !errors.As(err, &p) || p.Code != api.CodeChanged {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.Taxonomy(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.Confirm(t.Context(), "none", api.ConfirmRequest{Reason: "r", AsOf: time.Now()}); !errors.As(err, &p) || p.Code != api.CodeNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	direct := api.Direct(shared.api, token.Record{Name: "local", Actor: "kim", Roles: []token.Role{token.Admin}, Tenant: "default"})
	d, err := direct.Decide(t.Context(), id, "reject", 0, api.DecisionRequest{Reason: "no"})
	if err != nil || d.Decisions[0].Actor != "kim" {
		t.Errorf("%+v, %v", d.Decisions, err)
	}
}

func TestKnowledge(t *testing.T) {
	c := api.Dial(shared.url, shared.secrets[token.Admin], nil)
	var rep struct{ Accepted, Refused int }
	err := c.ImportIntel(t.Context(), strings.NewReader("198.51.100.77\nevil.example\nnot an indicator at all\n"), "test feed", "", 80, &rep)
	if err != nil || rep.Accepted < 1 {
		t.Fatalf("%+v, %v", rep, err)
	}
	s, err := c.Intel(t.Context())
	if err != nil || s.Indicators < 1 || len(s.Imports) == 0 || s.Imports[0].Feed != "test feed" {
		t.Errorf("%+v, %v", s, err)
	}
	var p *api.Problem
	if err := c.ImportIntel(t.Context(), strings.NewReader("x"), "", "neighbour", 0, nil); !errors.As(err, &p) || p.Code != api.CodeForbidden {
		t.Errorf("another tenant: %v", err)
	}
	if err := c.ImportIntel(t.Context(), strings.NewReader(`{"type":"bundle","objects":[`), "", "", 0, nil); !errors.As(err, &p) || p.Status != 422 {
		t.Errorf("half a bundle: %v", err)
	}
	if _, err := c.ImportTaxonomy(t.Context(), strings.NewReader(`{"hello":"world"}`), ""); !errors.As(err, &p) || p.Code != api.CodeUnreadable {
		t.Errorf("no bundle: %v", err)
	}
}
