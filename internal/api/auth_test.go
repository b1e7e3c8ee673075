package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/api/token"
)

// surface is every endpoint and the roles that may use it; nil means everybody.
func surface() []struct {
	method, path string
	roles        []token.Role
} {
	read := []token.Role{token.Analyst, token.SeniorAnalyst, token.Admin, token.AuditReader}
	decide := []token.Role{token.SeniorAnalyst, token.Admin}
	intake := []token.Role{token.Ingest, token.Admin}
	return []struct {
		method, path string
		roles        []token.Role
	}{
		{"GET", "/health", nil},
		{"GET", "/ready", nil},
		{"GET", "/api/openapi.json", nil},
		{"GET", "/services/collector/health", nil},
		{"GET", "/metrics", read},
		{"GET", "/api/v1/whoami", token.Roles()},
		{"POST", "/v1/ingest/auto", intake},
		{"POST", "/services/collector", intake},
		{"POST", "/services/collector/event", intake},
		{"POST", "/services/collector/1.0", intake},
		{"POST", "/services/collector/event/1.0", intake},
		{"POST", "/services/collector/raw", intake},
		{"POST", "/services/collector/raw/1.0", intake},
		{"POST", "/services/collector/ack", intake},
		{"GET", "/services/collector/health/1.0", nil},
		{"POST", "/_bulk", intake},
		{"PUT", "/_bulk", intake},
		{"POST", "/alerts/_bulk", intake},
		{"PUT", "/alerts/_bulk", intake},
		{"GET", "/api/v1/investigations", read},
		{"GET", "/api/v1/investigations/none", read},
		{"GET", "/api/v1/groups", read},
		{"GET", "/api/v1/intel", read},
		{"GET", "/api/v1/taxonomy", read},
		{"POST", "/api/v1/investigations/none/approve", decide},
		{"POST", "/api/v1/investigations/none/reject", decide},
		{"POST", "/api/v1/investigations/none/feedback", []token.Role{token.Analyst, token.SeniorAnalyst, token.Admin}},
		{"POST", "/api/v1/groups/none/confirm", decide},
		{"GET", "/api/v1/patterns", read},
		{"GET", "/api/v1/patterns/none", read},
		{"POST", "/api/v1/patterns", decide},
		{"POST", "/api/v1/patterns/backtest", []token.Role{token.Analyst, token.SeniorAnalyst, token.Admin}},
		{"POST", "/api/v1/patterns/none/approve", decide},
		{"POST", "/api/v1/patterns/none/promote", decide},
		{"POST", "/api/v1/patterns/none/reaffirm", decide},
		{"POST", "/api/v1/patterns/none/reject", decide},
		{"POST", "/api/v1/patterns/none/revoke", decide},
		{"GET", "/api/v1/kill-switches", read},
		{"POST", "/api/v1/kill-switches/on", []token.Role{token.Admin}},
		{"POST", "/api/v1/kill-switches/off", []token.Role{token.Admin}},
		{"POST", "/api/v1/reload", []token.Role{token.Admin}},
		{"GET", "/api/v1/priors", read},
		{"POST", "/api/v1/priors/refit", []token.Role{token.Admin}},
		{"GET", "/api/v1/plans", read},
		{"POST", "/api/v1/plans/none/approve", decide},
		{"POST", "/v1/llm/complete", []token.Role{token.Admin}},
		{"POST", "/v1/llm/stream", []token.Role{token.Admin}},
		{"POST", "/v1/route", []token.Role{token.Admin}},
		{"GET", "/api/v1/models", read},
		{"POST", "/api/v1/intel/import", []token.Role{token.Admin}},
		{"POST", "/api/v1/taxonomy/import", []token.Role{token.Admin}},
	}
}

func TestEveryRoleAtEveryEndpoint(t *testing.T) {
	for _, e := range surface() {
		for _, role := range append(token.Roles(), "") {
			a := shared.call(t, role, e.method, e.path, strings.NewReader("{}"))
			allowed := e.roles == nil || slices.Contains(e.roles, role)
			switch {
			case role == "" && e.roles != nil:
				if a.code != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
					t.Errorf("%s %s without a token: %d", e.method, e.path, a.code)
				}
			case allowed && (a.code == http.StatusUnauthorized || a.code == http.StatusForbidden || a.code >= 500):
				t.Errorf("%s %s as %q: %d %s", e.method, e.path, role, a.code, a.body)
			case !allowed && a.code != http.StatusForbidden:
				t.Errorf("%s %s as %q: %d, want 403", e.method, e.path, role, a.code)
			}
		}
	}
}

func TestTokensThatAreNone(t *testing.T) {
	good := shared.secrets[token.Admin]
	for name, header := range map[string]string{
		"no scheme": good, "basic": "Basic " + good, "cut": "Bearer " + good[:len(good)-1], "empty": "Bearer ", "long": "Bearer " + strings.Repeat("x", 4096),
		"two": "Bearer " + good + ", Bearer " + good,
	} {
		if a := shared.call(t, "", "GET", "/api/v1/investigations", nil, "Authorization", header); a.code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, a.code)
		}
	}
}

// TestActorIsTheToken sends headers by which other products let callers choose who they are.
func TestActorIsTheToken(t *testing.T) {
	a := shared.call(t, token.Analyst, "GET", "/api/v1/whoami", nil, "X-User", "ciso", "X-User-Role", "admin", "X-Forwarded-User", "ciso", "X-Tenant-ID", "other")
	me := decodeInto[api.Caller](t, a)
	if me.Actor != "t-analyst" || !slices.Equal(me.Roles, []token.Role{token.Analyst}) || me.Tenant != "default" {
		t.Errorf("got %+v", me)
	}
}

func TestRevokedTokenEndsAtOnce(t *testing.T) {
	secret, err := shared.store.Create(token.Record{Name: "short-lived", Roles: []token.Role{token.Analyst}, Tenant: "default"})
	if err != nil {
		t.Fatal(err)
	}
	ask := func() int {
		return shared.call(t, "", "GET", "/api/v1/investigations", nil, "Authorization", "Bearer "+secret).code
	}
	if got := ask(); got != http.StatusOK {
		t.Fatalf("before: %d", got)
	}
	if err := shared.store.Revoke("short-lived"); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != http.StatusUnauthorized {
		t.Errorf("after: %d", got)
	}
}

func TestOtherTenantsSeeNothing(t *testing.T) {
	id := shared.take(t, plain(t))[0]
	secret, err := shared.store.Create(token.Record{Name: "neighbour", Roles: []token.Role{token.Admin}, Tenant: "neighbour"})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path string) answer {
		return shared.call(t, "", "GET", path, nil, "Authorization", "Bearer "+secret)
	}
	if a := ask("/api/v1/investigations/" + id); a.code != http.StatusNotFound {
		t.Errorf("another tenant's investigation: %d", a.code)
	}
	if p := decodeInto[api.Page](t, ask("/api/v1/investigations")); len(p.Investigations) != 0 {
		t.Errorf("%d investigations of another tenant", len(p.Investigations))
	}
}
