package store

import "context"

type tenantKey struct{}

// ForTenant returns a context under which transactions are for one tenant. Engines with row
// security (PostgreSQL) then hide the rows of others and refuse to write them, below whatever
// the SQL says; others take no notice. A context without a tenant is for work over all tenants.
func ForTenant(ctx context.Context, tenant string) context.Context {
	return context.WithValue(ctx, tenantKey{}, tenant)
}

// TenantOf returns the tenant of ForTenant and whether there is one.
func TenantOf(ctx context.Context) (tenant string, bound bool) {
	tenant, bound = ctx.Value(tenantKey{}).(string)
	return tenant, bound
}

// Shared is implemented by engines whose database several processes use at the same time.
type Shared interface {
	// TryLease takes the named lease of this database if nobody holds it; otherwise it returns
	// nil and no error. Names are lower-case letters, digits and underscores.
	TryLease(ctx context.Context, name string) (Lease, error)
	// Notify wakes the holder of the named lease, in whichever process it is. A holder that is
	// just changing may miss it.
	Notify(ctx context.Context, name string) error
}

// Lease is the right to be the only one that does something. It ends when the holder releases
// it, dies or loses its connection; the holder may learn of the latter after somebody else has
// taken over, so what is done under a lease must bear being done twice.
type Lease interface {
	// Wake receives after Notify was called; calls that come together give one.
	Wake() <-chan struct{}
	// Lost is closed when the lease has ended.
	Lost() <-chan struct{}
	// Release gives the lease back. Safe to call twice.
	Release()
}

// SkipLocked is what a SELECT that claims rows ends with, so that several processes claim
// different rows instead of waiting for each other; empty on engines with one writer.
func SkipLocked(d Dialect) string {
	if d == Postgres {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}
