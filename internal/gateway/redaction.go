package gateway

import (
	"context"
	"maps"
	"sync"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/gateway/redact"
)

// Vault keeps the sealed maps of investigations, so that what was sent can be read again by
// whoever has the tenant's key.
type Vault interface {
	Load(ctx context.Context, tenant, investigation string) (sealed []byte, err error)
	Save(ctx context.Context, tenant, investigation string, sealed []byte) error
}

// RedactWith redacts by the policy of r with the keys of tenants. Stand-ins are derived from the
// key, the investigation and the value, so that they are the same in every question about it.
func RedactWith(r *redact.Redactor, keys *redact.Keys) Redactor {
	return &redactorOf{redactor: r, keys: keys}
}

type redactorOf struct {
	redactor *redact.Redactor
	keys     *redact.Keys
	tenants  sync.Map // tenant → *redact.TenantKey
}

// key reads the key of a tenant once.
func (r *redactorOf) key(tenant string) (*redact.TenantKey, error) {
	if k, ok := r.tenants.Load(tenant); ok {
		return k.(*redact.TenantKey), nil
	}
	k, err := r.keys.Tenant(tenant)
	if err == nil {
		r.tenants.Store(tenant, k)
	}
	return k, err
}

// Open implements Redactor.
func (r *redactorOf) Open(_ context.Context, tenant, investigation string, known []alert.Entity) (Redaction, func(context.Context) error, error) {
	k, err := r.key(tenant)
	if err != nil {
		return nil, nil, err
	}
	key, err := k.Session(investigation)
	if err != nil {
		return nil, nil, err
	}
	s := r.redactor.Session(key, redact.KnownOf(known))
	return sessionOf{s}, func(context.Context) error { return nil }, nil
}

type sessionOf struct{ *redact.Session }

// Counts implements Redaction.
func (s sessionOf) Counts() map[string]int {
	st := s.Stats()
	out := maps.Clone(st.Values)
	maps.Copy(out, st.Secrets)
	return out
}
