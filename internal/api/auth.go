package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/aluskort/aluskort/internal/api/token"
)

// access says who may call an endpoint. An empty list means everybody, without a token.
type access []token.Role

// The groups of roles that endpoints ask for.
var (
	anyone   = access{}
	readers  = access{token.Analyst, token.AuditReader}
	analysts = access{token.Analyst}
	seniors  = access{token.SeniorAnalyst}
	admins   = access{token.Admin}
	intakers = access{token.Ingest}
)

type callerKey struct{}

// WithCaller marks calls inside the process as made by a person who was already identified by
// the system: the owner of the state directory. Requests from the network cannot carry it.
func WithCaller(ctx context.Context, who token.Record) context.Context {
	return context.WithValue(ctx, callerKey{}, who)
}

func caller(ctx context.Context) token.Record {
	r, _ := ctx.Value(callerKey{}).(token.Record)
	return r
}

// authenticate finds out who calls and whether that one may. The identity comes from the
// token alone, never from another header.
func (a *API) authenticate(r *http.Request, who access) (*http.Request, error) {
	if len(who) == 0 {
		return r, nil
	}
	rec, inside := r.Context().Value(callerKey{}).(token.Record)
	if !inside {
		secret, ok := bearer(r.Header)
		if !ok {
			return r, problem(CodeUnauthenticated, "send Authorization: Bearer with a token; `aluskort token` prints the local one")
		}
		var err error
		if rec, err = a.cfg.Tokens.Verify(secret); err != nil {
			return r, err
		}
		r = r.WithContext(WithCaller(r.Context(), rec))
	}
	if !rec.May(who...) {
		return r, problem(CodeForbidden, "this needs the role %s; the token %q has %s", join(who), rec.Name, join(rec.Roles))
	}
	return r, nil
}

// bearer takes the token from the Authorization header; "Splunk" is what senders to an HTTP
// Event Collector say.
func bearer(h http.Header) (string, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, secret, ok := strings.Cut(values[0], " ")
	secret = strings.TrimSpace(secret)
	if !ok || secret == "" || len(secret) > 512 || !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "Splunk") {
		return "", false
	}
	return secret, true
}

func join(roles []token.Role) string {
	words := make([]string, len(roles))
	for i, r := range roles {
		words[i] = string(r)
	}
	return strings.Join(words, " or ")
}
