package dbtest

import (
	"context"
	"slices"
	"sync"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// Everybody is what Watched notes of a transaction that is for no tenant.
const Everybody = "everybody"

// Watched is a database that notes for which tenant each transaction was begun.
type Watched struct {
	store.DB

	mu             sync.Mutex
	views, updates []string
}

// Watch returns db with nothing noted yet.
func Watch(db store.DB) *Watched { return &Watched{DB: db} }

func tenantOf(ctx context.Context) string {
	if tenant, bound := store.TenantOf(ctx); bound {
		return tenant
	}
	return Everybody
}

// View implements store.DB.
func (w *Watched) View(ctx context.Context, fn func(tx store.Tx) error) error {
	w.mu.Lock()
	w.views = append(w.views, tenantOf(ctx))
	w.mu.Unlock()
	return w.DB.View(ctx, fn)
}

// Update implements store.DB.
func (w *Watched) Update(ctx context.Context, fn func(tx store.Tx) error) error {
	w.mu.Lock()
	w.updates = append(w.updates, tenantOf(ctx))
	w.mu.Unlock()
	return w.DB.Update(ctx, fn)
}

// Take returns for whom transactions were since the last call, in order and each run of the same
// once.
func (w *Watched) Take() (views, updates []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	views, updates = slices.Compact(w.views), slices.Compact(w.updates)
	w.views, w.updates = nil, nil
	return views, updates
}
