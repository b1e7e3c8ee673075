// Package vault keeps the maps of redaction sealed in the state database, one for each
// investigation.
package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/gateway/redact"
)

// ErrNotFound says that nothing is kept for the investigation.
var ErrNotFound = errors.New("vault: no map is kept for the investigation")

// KeyRing gives the key of a tenant, as *redact.Keys does.
type KeyRing interface {
	Tenant(tenant string) (*redact.TenantKey, error)
}

// Vault stores maps (migration 0012). It is safe for concurrent use. Errors of the engine wrap
// store.ErrUnavailable.
type Vault struct {
	db     store.DB
	keys   KeyRing
	random io.Reader
}

// New returns the vault of a state database. random is read for nonces, crypto/rand.Reader
// outside of tests.
func New(db store.DB, keys KeyRing, random io.Reader) *Vault {
	return &Vault{db: db, keys: keys, random: random}
}

const (
	selectMap  = `SELECT body FROM redaction_map WHERE tenant = $1 AND investigation = $2`
	upsertMap  = `INSERT INTO redaction_map (tenant, investigation, body, updated_at) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, investigation) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at`
	deleteMap  = `DELETE FROM redaction_map WHERE tenant = $1 AND investigation = $2`
	deleteMaps = `DELETE FROM redaction_map WHERE tenant = $1 AND updated_at < $2`
)

// Save adds a map to what is kept, in the transaction that makes it needed: before a token goes
// to a model, so that no answer can come back that nobody can read. A map that gives a token to
// another value than the kept one fails with redact.ErrConflict: resume from the kept one and
// redact again.
func (v *Vault) Save(tx store.Tx, tenant, investigation string, m *redact.Map, at time.Time) error {
	key, err := v.keys.Tenant(tenant)
	if err != nil {
		return err
	}
	kept, err := load(tx, key, tenant, investigation)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return err
	default:
		before := kept.Len()
		if m, err = kept.Union(m); err != nil {
			return fmt.Errorf("map of %s: %w", investigation, err)
		}
		if m.Len() == before {
			return nil
		}
	}
	body, err := m.Seal(key, place(tenant, investigation), v.random)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(upsertMap, tenant, investigation, body, at.UnixMicro()); err != nil {
		return fmt.Errorf("keep the map of %s: %w", investigation, err)
	}
	return nil
}

// Load returns what is kept for an investigation; ErrNotFound when nothing is, redact.ErrTampered
// when it was changed.
func (v *Vault) Load(ctx context.Context, tenant, investigation string) (m *redact.Map, err error) {
	key, err := v.keys.Tenant(tenant)
	if err != nil {
		return nil, err
	}
	err = v.db.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		m, err = load(tx, key, tenant, investigation)
		return err
	})
	return m, err
}

func load(tx store.Tx, key *redact.TenantKey, tenant, investigation string) (*redact.Map, error) {
	var body []byte
	err := tx.QueryRow(selectMap, tenant, investigation).Scan(&body)
	if errors.Is(err, store.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("load the map of %s: %w", investigation, err)
	}
	m, err := redact.OpenMap(key, place(tenant, investigation), body)
	if err != nil {
		return nil, fmt.Errorf("map of %s: %w", investigation, err)
	}
	return m, nil
}

// place binds a sealed map to its row.
func place(tenant, investigation string) string { return tenant + "\x00" + investigation }

// Delete forgets the map of an investigation, together with the investigation itself.
func (*Vault) Delete(tx store.Tx, tenant, investigation string) error {
	if _, err := tx.Exec(deleteMap, tenant, investigation); err != nil {
		return fmt.Errorf("forget the map of %s: %w", investigation, err)
	}
	return nil
}

// Expire forgets the maps of a tenant that were last changed before a time, and returns how many.
func (*Vault) Expire(tx store.Tx, tenant string, before time.Time) (int64, error) {
	n, err := tx.Exec(deleteMaps, tenant, before.UnixMicro())
	if err != nil {
		return 0, fmt.Errorf("forget maps of %s: %w", tenant, err)
	}
	return n, nil
}
