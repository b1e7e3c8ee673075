package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
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
	// monitors may read the metrics, askers may ask models: people, and other services.
	monitors = access{token.Analyst, token.AuditReader, peerRole}
	askers   = access{token.Admin, peerRole}
)

// peerRole is the role of a process that proved its name by a certificate. No token has it.
const peerRole token.Role = "service"

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

// authenticate finds out who calls and whether that one may. The identity comes from the token, or
// for services from the certificate of the connection, never from another header.
func (a *API) authenticate(r *http.Request, who access) (*http.Request, error) {
	if len(who) == 0 {
		return r, nil
	}
	rec, inside := r.Context().Value(callerKey{}).(token.Record)
	if !inside {
		secret, ok := secretOf(r)
		if !ok && a.cfg.Peer != nil && slices.Contains(who, peerRole) {
			if name, err := a.cfg.Peer(r.TLS); err == nil {
				peer := token.Record{Name: name, Actor: name, Tenant: a.cfg.Owner, Roles: []token.Role{peerRole}}
				return r.WithContext(WithCaller(r.Context(), peer)), nil
			}
		}
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

// secretOf takes the token from the Authorization header. On the paths of other products it may
// come as their senders say it: "Splunk", "ApiKey" (the token, or base64 of id:token) and
// "Basic" with any user name. ok is false when there is none.
func secretOf(r *http.Request) (secret string, ok bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, secret, ok := strings.Cut(values[0], " ")
	secret = strings.TrimSpace(secret)
	if !ok || secret == "" || len(secret) > maxSecret {
		return "", false
	}
	foreign := strings.HasPrefix(r.URL.Path, collectorPath) || isBulk(r.URL.Path)
	switch scheme = strings.ToLower(scheme); {
	case scheme == "bearer", scheme == "splunk":
		return secret, true
	case foreign && scheme == "apikey":
		if _, after, pair := pairOf(secret); pair {
			return after, true
		}
		return secret, true
	case foreign && scheme == "basic":
		_, after, pair := pairOf(secret)
		return after, pair
	}
	return "", false
}

const maxSecret = 512

// pairOf reads base64 of name:secret.
func pairOf(text string) (name, secret string, ok bool) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", "", false
	}
	name, secret, ok = strings.Cut(string(b), ":")
	return name, secret, ok && secret != ""
}

func join(roles []token.Role) string {
	var words []string
	for _, r := range roles {
		if r != peerRole { // nobody can be given it
			words = append(words, string(r))
		}
	}
	return strings.Join(words, " or ")
}
