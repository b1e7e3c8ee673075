package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/storetest"
	"github.com/aluskort/aluskort/internal/id"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// schemaOf gives test t a schema of its own, which is dropped after it.
func schemaOf(t testing.TB) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", t.Name(), os.Getpid())
	name := fmt.Sprintf("t_%016x", h.Sum64())
	root := administrator(t)
	drop := func(ctx context.Context) {
		if _, err := root.Exec(ctx, `DROP SCHEMA IF EXISTS `+name+` CASCADE`); err != nil {
			t.Error(err)
		}
	}
	drop(t.Context())
	t.Cleanup(func() { drop(context.Background()) })
	return name
}

// administrator is a connection of the superuser that ends with the test.
func administrator(t testing.TB) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), enginetest.Address(t, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func config(t testing.TB, schema string, migrations fs.FS) Config {
	return Config{
		URL: enginetest.Address(t, "postgres"), Schema: schema, Migrations: migrations,
		Clock: clock.System{}, IDs: id.NewSource(nil),
	}
}

func mustOpen(t testing.TB, cfg Config) *DB {
	t.Helper()
	db, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestSuite(t *testing.T) {
	enginetest.Address(t, "postgres")
	var mu sync.Mutex
	schemas := map[*testing.T]string{} // one per test, so that a second open finds it
	storetest.Run(t, func(t *testing.T, migrations fs.FS) (store.DB, error) {
		mu.Lock()
		defer mu.Unlock()
		schema, ok := schemas[t]
		if !ok {
			schema = schemaOf(t)
			schemas[t] = schema
		}
		db, err := Open(t.Context(), config(t, schema, migrations))
		if err != nil {
			return nil, err
		}
		return db, nil
	})
}
