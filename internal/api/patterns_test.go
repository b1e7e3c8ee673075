package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/investigate"
)

// person makes a token for somebody and returns calls in that name.
func (w *world) person(t *testing.T, name, tenant string, roles ...token.Role) func(method, path, body string, headers ...string) answer {
	t.Helper()
	secret, err := w.store.Create(token.Record{Name: name, Roles: roles, Tenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Revoke(name) })
	return func(method, path, body string, headers ...string) answer {
		t.Helper()
		return w.call(t, "", method, path, strings.NewReader(body), append(headers, "Authorization", "Bearer "+secret)...)
	}
}

// records returns the audit records of the tenant that hold all of the texts.
func (w *world) records(t *testing.T, texts ...string) []string {
	t.Helper()
	w.settle(t)
	var out []string
	head, err := w.node.Audit.Head(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	err = w.node.Audit.Records(t.Context(), "default", 0, head.Sequence, func(r audit.Record) error {
		for _, text := range texts {
			if !strings.Contains(string(r.Bytes), text) {
				return nil
			}
		}
		out = append(out, string(r.Bytes))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// onHost is an alert like plain on a host whose name begins so.
func onHost(t *testing.T, prefix string) string {
	t.Helper()
	return strings.ReplaceAll(plain(t), "HOST-", prefix)
}

func definition(t *testing.T, name, prefix string) string {
	t.Helper()
	return fmt.Sprintf(`{"name":%q,"threshold":0.9,"justification":"The owner confirmed this is the probe of the load balancer.",
		"analytics":["rule:5710"],"entities":[{"type":"host","op":"glob","value":"%s*"}]}`, name, prefix)
}

// TestPatternLife takes a pattern through the API as three people would, on a running server,
// and looks at what each step does to the alerts that come meanwhile.
func TestPatternLife(t *testing.T) {
	ann := shared.person(t, "ann", "default", token.SeniorAnalyst)
	bob := shared.person(t, "bob", "default", token.SeniorAnalyst)
	cleo := shared.person(t, "cleo", "default", token.Admin)
	def := definition(t, "Probe of the load balancer", "lbprobe-")
	state := func() investigate.State {
		t.Helper()
		d, _ := shared.detail(t, shared.take(t, onHost(t, "lbprobe-"))[0])
		return d.State
	}
	for range 12 { // so that the pattern would have hidden a small part of all alerts
		shared.take(t, plain(t))
	}
	if got := state(); got == investigate.Closed {
		t.Fatal("closed without a pattern: this test would prove nothing")
	}

	a := ann("POST", "/api/v1/patterns", `{"definition":`+def+`}`)
	p := decodeInto[api.PatternResult](t, a)
	if a.code != http.StatusOK || p.Pattern.Status != fp.PendingReview || p.Pattern.Proposer != "ann" || p.Pattern.Tenant != "default" || p.Backtest.Hidden == 0 {
		t.Fatalf("propose: %d %s", a.code, a.body)
	}
	path := "/api/v1/patterns/" + p.Pattern.ID
	step := func(who func(string, string, string, ...string) answer, action string, version int64) api.PatternResult {
		t.Helper()
		a := who("POST", path+"/"+action, fmt.Sprintf(`{"reason":"looked at it","version":%d}`, version))
		if a.code != http.StatusOK {
			t.Fatalf("%s: %d %s", action, a.code, a.body)
		}
		return decodeInto[api.PatternResult](t, a)
	}
	refuse := func(who func(string, string, string, ...string) answer, action, body string, code api.Code) {
		t.Helper()
		if p := who("POST", path+"/"+action, body).problem(t); p.Code != code {
			t.Errorf("%s: %+v, want %s", action, p, code)
		}
	}
	refuse(ann, "approve", `{"reason":"mine","version":1}`, api.CodeForbidden)
	refuse(bob, "approve", `{"reason":"r"}`, api.CodePrecondition)
	refuse(bob, "approve", `{"reason":"r","version":7}`, api.CodeChanged)
	step(bob, "approve", 1)
	refuse(bob, "approve", `{"reason":"again","version":2}`, api.CodeForbidden)
	refuse(cleo, "approve", `{"reason":"r","version":1}`, api.CodeChanged)
	if got := state(); got == investigate.Closed {
		t.Error("closed after one approval")
	}
	if got := step(cleo, "approve", 2); got.Pattern.Status != fp.Active || got.Pattern.ApprovedBy2 != "cleo" {
		t.Errorf("second approval: %+v", got.Pattern)
	}
	if got := state(); got != investigate.Closed {
		t.Errorf("with the pattern in force: %s", got)
	}

	on := func(dimension, value string) {
		t.Helper()
		if a := cleo("POST", "/api/v1/kill-switches/on", fmt.Sprintf(`{"dimension":%q,"value":%q,"reason":"incident 7"}`, dimension, value)); a.code != http.StatusOK {
			t.Fatalf("kill switch %s: %d %s", dimension, a.code, a.body)
		}
		if got := state(); got == investigate.Closed {
			t.Errorf("the kill switch on %s %s stops nothing", dimension, value)
		}
		list := decodeInto[api.SwitchList](t, bob("GET", "/api/v1/kill-switches", ""))
		if len(list.Switches) != 1 || list.Switches[0].ActivatedBy != "cleo" {
			t.Errorf("%+v", list)
		}
		if a := cleo("POST", "/api/v1/kill-switches/off", fmt.Sprintf(`{"dimension":%q,"value":%q,"reason":"over"}`, dimension, value)); a.code != http.StatusOK {
			t.Fatalf("kill switch off: %d %s", a.code, a.body)
		}
		if got := state(); got != investigate.Closed {
			t.Errorf("the switch on %s is off and nothing closes: %s", dimension, got)
		}
	}
	on("datasource", "wazuh")
	on("pattern", p.Pattern.ID)
	on("tenant", "default")
	on("tenant", "*")
	if p := cleo("POST", "/api/v1/kill-switches/off", `{"dimension":"tenant","value":"default","reason":"again"}`).problem(t); p.Code != api.CodeNotFound {
		t.Errorf("a switch that is not on: %+v", p)
	}

	if got := step(bob, "revoke", 0); got.Pattern.Status != fp.Revoked || len(got.Reopening) == 0 {
		t.Errorf("revoke: %+v", got)
	}
	if got := state(); got == investigate.Closed {
		t.Error("a revoked pattern closes")
	}
	refuse(bob, "reaffirm", `{"reason":"r","version":99}`, api.CodeChanged)
	a = bob("GET", path, "")
	refuse(bob, "reaffirm", `{"reason":"r","version":`+strings.Trim(a.header.Get("ETag"), `"`)+`}`, api.CodeConflict)
	for _, want := range [][]string{
		{"fp_pattern.created", `"ann"`}, {"fp_pattern.approved", `"bob"`}, {"fp_pattern.activated", `"cleo"`},
		{"kill_switch.activated", `"cleo"`, "incident 7"}, {"kill_switch.deactivated", `"cleo"`}, {"fp_pattern.revoked", `"bob"`, "looked at it"},
		{`"approval.denied"`, "pattern.approve", `"by":"ann"`, `"code":"forbidden"`}, {`"approval.denied"`, "pattern.approve", `"by":"bob"`, `"code":"changed"`},
	} {
		if len(shared.records(t, want...)) == 0 {
			t.Errorf("the trail has no record with %q", want)
		}
	}
}

func TestPatternsThatMustNotBe(t *testing.T) {
	ann := shared.person(t, "ann", "default", token.SeniorAnalyst)
	for name, c := range map[string]struct {
		body string
		code api.Code
	}{
		"attacker-writable": {`{"definition":{"name":"n","justification":"because it is so","analytics":["rule:1"],"entities":[{"type":"url","op":"prefix","value":"https://example.com/"}]}}`, api.CodePatternRefused},
		"no justification":  {`{"definition":{"name":"n","analytics":["rule:1"]}}`, api.CodeInvalid},
		"another tenant":    {`{"definition":{"name":"n","tenant":"neighbour","justification":"because it is so","analytics":["rule:1"]}}`, api.CodeForbidden},
		"unknown member":    {`{"definition":{"name":"n","regex":".*"}}`, api.CodeInvalidJSON},
		"empty":             {``, api.CodeEmpty},
		"as somebody else":  {`{"definition":` + definition(t, "n", "abcd-") + `,"actor":"ciso"}`, api.CodeInvalidJSON},
	} {
		for _, path := range []string{"/api/v1/patterns", "/api/v1/patterns/backtest"} {
			p := ann("POST", path, c.body).problem(t)
			if p.Code != c.code {
				t.Errorf("%s at %s: %+v, want %s", name, path, p, c.code)
			}
			if c.code == api.CodePatternRefused && (len(p.Refusals) == 0 || p.Refusals[0].Code == "") {
				t.Errorf("%s: no reasons in %+v", name, p)
			}
		}
	}
	// What a backtest forbids comes with the backtest: here a person said true positive.
	id := shared.take(t, onHost(t, "stolen-"))[0]
	if a := shared.post(t, token.Analyst, "/api/v1/investigations/"+id+"/feedback", `{"reason":"an intruder","classification":"true_positive"}`); a.code != http.StatusOK {
		t.Fatalf("%d %s", a.code, a.body)
	}
	p := ann("POST", "/api/v1/patterns", `{"definition":`+definition(t, "Hides an intruder", "stolen-")+`}`).problem(t)
	if p.Code != api.CodePatternRefused || p.Backtest == nil || p.Backtest.Confirmed != 1 || len(p.Refusals) == 0 {
		t.Errorf("a pattern that would have hidden an intruder: %+v", p)
	}
	if list := decodeInto[api.PatternList](t, ann("GET", "/api/v1/patterns?status=pending_review", "")); len(list.Patterns) != 0 {
		t.Errorf("%d refused patterns were stored", len(list.Patterns))
	}
	if p := ann("GET", "/api/v1/patterns?status=secret", "").problem(t); p.Code != api.CodeInvalid {
		t.Errorf("%+v", p)
	}
}

// TestPatternsOfOthers: an administrator of one tenant sees and stops nothing of another's.
func TestPatternsOfOthers(t *testing.T) {
	ann := shared.person(t, "ann", "default", token.Admin)
	eve := shared.person(t, "eve", "neighbour", token.Admin)
	p := decodeInto[api.PatternResult](t, ann("POST", "/api/v1/patterns", `{"definition":`+definition(t, "Ours", "ourhost-")+`}`))
	if p.Pattern == nil {
		t.Fatal("not proposed")
	}
	for _, c := range []struct {
		method, path, body string
		code               api.Code
	}{
		{"GET", "/api/v1/patterns/" + p.Pattern.ID, "", api.CodeNotFound},
		{"POST", "/api/v1/patterns/" + p.Pattern.ID + "/approve", `{"reason":"r","version":1}`, api.CodeNotFound},
		{"POST", "/api/v1/patterns/" + p.Pattern.ID + "/revoke", `{"reason":"r"}`, api.CodeNotFound},
		{"POST", "/api/v1/kill-switches/on", `{"dimension":"tenant","value":"default","reason":"r"}`, api.CodeForbidden},
		{"POST", "/api/v1/kill-switches/on", `{"dimension":"tenant","value":"*","reason":"r"}`, api.CodeForbidden},
		{"POST", "/api/v1/kill-switches/on", `{"dimension":"technique","value":"T1046","reason":"r"}`, api.CodeForbidden},
		{"POST", "/api/v1/kill-switches/on", `{"dimension":"pattern","value":"` + p.Pattern.ID + `","reason":"r"}`, api.CodeNotFound},
		{"POST", "/api/v1/reload", "", api.CodeForbidden},
		{"POST", "/api/v1/kill-switches/on", `{"dimension":"colour","value":"red","reason":"r"}`, api.CodeInvalid},
		{"POST", "/api/v1/kill-switches/on", `{"dimension":"tenant","value":"neighbour"}`, api.CodeInvalid},
	} {
		if got := eve(c.method, c.path, c.body).problem(t); got.Code != c.code {
			t.Errorf("%s %s %s: %+v, want %s", c.method, c.path, c.body, got, c.code)
		}
	}
	if list := decodeInto[api.PatternList](t, eve("GET", "/api/v1/patterns", "")); len(list.Patterns) != 0 {
		t.Errorf("sees %d patterns of another tenant", len(list.Patterns))
	}
	if a := ann("POST", "/api/v1/kill-switches/on", `{"dimension":"pattern","value":"`+p.Pattern.ID+`","reason":"r"}`); a.code != http.StatusOK {
		t.Fatalf("%d %s", a.code, a.body)
	}
	defer ann("POST", "/api/v1/kill-switches/off", `{"dimension":"pattern","value":"`+p.Pattern.ID+`","reason":"r"}`)
	if list := decodeInto[api.SwitchList](t, eve("GET", "/api/v1/kill-switches", "")); len(list.Switches) != 0 {
		t.Errorf("sees switches of another tenant's patterns: %+v", list)
	}
	if a := eve("POST", "/api/v1/kill-switches/on", `{"dimension":"tenant","value":"neighbour","reason":"ours"}`); a.code != http.StatusOK {
		t.Errorf("its own tenant: %d %s", a.code, a.body)
	}
	if list := decodeInto[api.SwitchList](t, ann("GET", "/api/v1/kill-switches", "")); len(list.Switches) != 1 {
		t.Errorf("sees %+v", list)
	}
	if a := eve("POST", "/api/v1/kill-switches/off", `{"dimension":"tenant","value":"neighbour","reason":"ours"}`); a.code != http.StatusOK {
		t.Errorf("its own tenant: %d %s", a.code, a.body)
	}
}

// TestRejectionsAreRecorded: one record of bounded size, whatever a request brings.
func TestRejectionsAreRecorded(t *testing.T) {
	var lines []string
	for i := range 3000 {
		lines = append(lines, fmt.Sprintf(`{"garbage_%d":"%s"}`, i, strings.Repeat("x", 100)))
	}
	before := len(shared.records(t, `"alert.rejected"`))
	if a := shared.post(t, token.Ingest, "/v1/ingest/auto", strings.Join(lines, "\n")); a.code != http.StatusUnprocessableEntity {
		t.Fatalf("%d %s", a.code, a.body)
	}
	got := shared.records(t, `"alert.rejected"`)
	if len(got) != before+1 {
		t.Fatalf("%d new records", len(got)-before)
	}
	last := got[len(got)-1]
	var r struct {
		Context struct {
			SHA256 []string `json:"sha256"`
		} `json:"context"`
		Outcome struct {
			Count   int `json:"count"`
			Other   int `json:"with_other_reasons"`
			Reasons []struct {
				Count  int    `json:"count"`
				Reason string `json:"reason"`
			} `json:"reasons"`
		} `json:"outcome"`
	}
	if err := json.Unmarshal([]byte(last), &r); err != nil {
		t.Fatal(err)
	}
	sum := r.Outcome.Other
	for _, x := range r.Outcome.Reasons {
		sum += x.Count
	}
	if r.Outcome.Count != 3000 || sum != 3000 || len(r.Outcome.Reasons) == 0 || len(r.Context.SHA256) == 0 || len(last) > 8<<10 {
		t.Errorf("%d bytes: %s", len(last), last)
	}
	if a := shared.post(t, token.Ingest, "/v1/ingest/auto", plain(t)); a.code != http.StatusAccepted {
		t.Fatal(a.body)
	}
	if now := len(shared.records(t, `"alert.rejected"`)); now != before+1 {
		t.Errorf("a good alert left %d records of a rejection", now-before-1)
	}
}

// TestFaultB14RefusedDecisionsAreRecorded: whoever tries what is not theirs, late, twice or for
// a changed plan leaves a record; a malformed request decides nothing and leaves none.
func TestFaultB14RefusedDecisionsAreRecorded(t *testing.T) {
	id := shared.take(t, needsApproval(t))[0]
	d, _ := shared.detail(t, id)
	path := "/api/v1/investigations/" + id + "/approve"
	good := `{"reason":"yes","plan_hash":"` + d.PlanHash + `"}`
	denied := func(texts ...string) int {
		t.Helper()
		n := 0
		shared.settle(t)
		err := shared.node.Audit.Investigation(t.Context(), "default", id, func(r audit.Record) error {
			for _, text := range append(texts, `"approval.denied"`, `"outcome_status":"refused"`) {
				if !strings.Contains(string(r.Bytes), text) {
					return nil
				}
			}
			n++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, c := range []struct {
		name    string
		role    token.Role
		body    string
		headers []string
		want    []string
	}{
		{"wrong role", token.Analyst, good, nil, []string{`"by":"t-analyst"`, `"code":"forbidden"`}},
		{"changed plan", token.SeniorAnalyst, `{"reason":"yes","plan_hash":"00ff"}`, nil, []string{`"code":"changed"`}},
		{"another version", token.SeniorAnalyst, good, []string{"If-Match", `"999"`}, []string{`"code":"changed"`}},
		{"no plan", token.SeniorAnalyst, `{"reason":"yes"}`, nil, []string{`"code":"precondition_required"`}},
	} {
		before := denied(c.want...)
		if a := shared.post(t, c.role, path, c.body, c.headers...); a.code < 400 {
			t.Fatalf("%s: %d", c.name, a.code)
		}
		if got := denied(c.want...); got != before+1 {
			t.Errorf("%s left %d records", c.name, got-before)
		}
	}
	all := denied()
	for _, body := range []string{"", "yes", `{"reason":""}`, `{"reason":"yes","actor":"ciso"}`} {
		shared.post(t, token.SeniorAnalyst, path, body)
	}
	shared.call(t, "", "POST", path, strings.NewReader(good))
	if got := denied(); got != all {
		t.Errorf("malformed requests left %d records", got-all)
	}
	if a := shared.post(t, token.SeniorAnalyst, path, good); a.code != http.StatusOK {
		t.Fatalf("%d %s", a.code, a.body)
	}
	for range 2 { // a key makes the second the same request
		shared.post(t, token.SeniorAnalyst, path, good, "Idempotency-Key", "late-"+id)
	}
	if got := denied(`"code":"conflict"`, `"attempted":"investigation.approve"`); got != 1 {
		t.Errorf("a second approval, repeated by its key, left %d records", got)
	}
	if got := shared.records(t, `"approval.granted"`, id); len(got) != 1 {
		t.Errorf("%d grants", len(got))
	}
}
