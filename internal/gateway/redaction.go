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
	// Load returns the map that is kept, nil when there is none.
	Load(ctx context.Context, tenant, investigation string) (*redact.Map, error)
	Save(ctx context.Context, tenant, investigation string, m *redact.Map) error
}

// RedactWith redacts by the policy of r with the keys of tenants. A value has the same stand-in in
// every question about an investigation: what was given before is taken from the vault, and what
// is new is kept there before anything leaves.
func RedactWith(r *redact.Redactor, keys *redact.Keys, vault Vault) Redactor {
	return &redactorOf{redactor: r, keys: keys, vault: vault}
}

type redactorOf struct {
	redactor *redact.Redactor
	keys     *redact.Keys
	vault    Vault
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
func (r *redactorOf) Open(ctx context.Context, tenant, investigation string, known []alert.Entity) (Redaction, func(context.Context) error, error) {
	k, err := r.key(tenant)
	if err != nil {
		return nil, nil, err
	}
	key, err := k.Session(investigation)
	if err != nil {
		return nil, nil, err
	}
	kept, err := r.vault.Load(ctx, tenant, investigation)
	if err != nil {
		return nil, nil, err
	}
	s := r.redactor.Resume(key, redact.KnownOf(known), kept)
	saved := 0
	if kept != nil {
		saved = kept.Len()
	}
	save := func(ctx context.Context) error {
		m := s.Map()
		if m.Len() == saved {
			return nil
		}
		if err := r.vault.Save(ctx, tenant, investigation, m); err != nil {
			return err
		}
		saved = m.Len()
		return nil
	}
	return sessionOf{s}, save, nil
}

type sessionOf struct{ *redact.Session }

// Counts implements Redaction.
func (s sessionOf) Counts() map[string]int {
	st := s.Stats()
	out := maps.Clone(st.Values)
	maps.Copy(out, st.Secrets)
	return out
}
