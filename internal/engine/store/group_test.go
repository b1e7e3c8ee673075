package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func grouped(t *testing.T) (store.DB, *store.Group) {
	t.Helper()
	table := &fstest.MapFile{Data: []byte(`CREATE TABLE kept (n BIGINT PRIMARY KEY)`)}
	db := dbtest.MustOpen(t, dbtest.Config{
		Path:       filepath.Join(t.TempDir(), "state.db"),
		Migrations: fstest.MapFS{"sqlite/0001_kept.sql": table, "postgres/0001_kept.sql": table}, SQLiteDir: "sqlite", PostgresDir: "postgres",
	})
	return db, store.NewGroup(db)
}

var errRefused = errors.New("refused")

// TestAGroupKeepsErrorsApart has callers of whom every fifth fails after it has written: all
// others are kept, and what it wrote is not.
func TestAGroupKeepsErrorsApart(t *testing.T) {
	db, g := grouped(t)
	const callers, each = 32, 10
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				n := c*each + i
				err := g.Update(t.Context(), func(tx store.Tx) error {
					if _, err := tx.Exec(`INSERT INTO kept (n) VALUES ($1)`, n); err != nil {
						return err
					}
					if n%5 == 0 {
						return fmt.Errorf("%d: %w", n, errRefused)
					}
					return nil
				})
				if want := n%5 == 0; errors.Is(err, errRefused) != want || err != nil && !want {
					t.Errorf("%d: %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	var kept, refused int
	err := db.View(t.Context(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*), COALESCE(SUM(CASE WHEN n % 5 = 0 THEN 1 ELSE 0 END), 0) FROM kept`).Scan(&kept, &refused)
	})
	if err != nil || kept != callers*each*4/5 || refused != 0 {
		t.Errorf("%d kept, %d of them refused, %v", kept, refused, err)
	}
}

// TestAGroupSharesCommits holds one transaction while others come: they share the next one.
func TestAGroupSharesCommits(t *testing.T) {
	_, g := grouped(t)
	begun, held, got := make(chan struct{}), make(chan struct{}), make([]store.Tx, 8)
	var wg sync.WaitGroup
	wg.Go(func() {
		begin := sync.OnceFunc(func() { close(begun) }) // a transaction may be run again
		err := g.Update(t.Context(), func(store.Tx) error {
			begin()
			<-held
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-begun
	for i := range got {
		wg.Go(func() {
			if err := g.Update(t.Context(), func(tx store.Tx) error { got[i] = tx; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	for g.Waiting() < len(got) {
		runtime.Gosched() // they are on their way to the lock
	}
	close(held)
	wg.Wait()
	for _, tx := range got {
		if tx != got[0] {
			t.Error("callers that waited together did not share a transaction")
		}
	}
}

// away is a database that cannot be reached once it is let go.
type away struct {
	store.DB
	begun, let chan struct{}
	tries      atomic.Int64
}

func (a *away) Update(context.Context, func(store.Tx) error) error {
	if a.tries.Add(1) == 1 {
		close(a.begun)
	}
	<-a.let
	return store.ErrUnavailable
}

// TestAGroupDoesNotTryAnEngineThatIsAwayForEachCaller: a thousand callers would otherwise wait for
// as many failures, one after the other.
func TestAGroupDoesNotTryAnEngineThatIsAwayForEachCaller(t *testing.T) {
	db := &away{begun: make(chan struct{}), let: make(chan struct{})}
	g := store.NewGroup(db)
	const others = 100
	var wg sync.WaitGroup
	call := func() {
		if err := g.Update(t.Context(), func(store.Tx) error { return nil }); !errors.Is(err, store.ErrUnavailable) {
			t.Error(err)
		}
	}
	wg.Go(call)
	<-db.begun
	for range others {
		wg.Go(call)
	}
	for g.Waiting() < others {
		runtime.Gosched() // they are on their way to the lock
	}
	close(db.let)
	wg.Wait()
	if n := db.tries.Load(); n != 2 {
		t.Errorf("%d transactions for one caller and the others behind it", n)
	}
}

// TestAGroupKeepsTenantsApart: changes for one tenant share a transaction that is bound to it, and
// never one with those of another, or of all.
func TestAGroupKeepsTenantsApart(t *testing.T) {
	db := &noting{begun: make(chan struct{}), let: make(chan struct{})}
	g := store.NewGroup(db)
	var wg sync.WaitGroup
	call := func(ctx context.Context) {
		if err := g.Update(ctx, func(store.Tx) error { return nil }); err != nil {
			t.Error(err)
		}
	}
	wg.Go(func() { call(t.Context()) })
	<-db.begun
	for i := range 12 {
		ctx := t.Context()
		if i%3 > 0 {
			ctx = store.ForTenant(ctx, []string{"", "north", "south"}[i%3])
		}
		wg.Go(func() { call(ctx) })
	}
	for g.Waiting() < 12 {
		runtime.Gosched() // they are on their way to the lock
	}
	close(db.let)
	wg.Wait()
	if got, want := len(db.tenants), 4; got != want {
		t.Errorf("%d transactions, want the first and one for each tenant and for all: %q", got, db.tenants)
	}
	slices.Sort(db.tenants)
	if want := []string{"", "", "north", "south"}; !slices.Equal(db.tenants, want) {
		t.Errorf("transactions for %q, want %q", db.tenants, want)
	}
}

// noting is a database that notes the tenant of each transaction; the first waits to be let go.
type noting struct {
	store.DB
	begun, let chan struct{}
	tenants    []string // one transaction at a time
}

func (n *noting) Update(ctx context.Context, fn func(store.Tx) error) error {
	tenant, _ := store.TenantOf(ctx)
	if n.tenants = append(n.tenants, tenant); len(n.tenants) == 1 {
		close(n.begun)
		<-n.let
	}
	return fn(nil)
}
