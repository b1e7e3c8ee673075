package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

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

// TestKeysAreLookedUpInTablesThatJustGrew: statistics come a minute late, and a table that is read
// as a whole is locked as a whole.
func TestKeysAreLookedUpInTablesThatJustGrew(t *testing.T) {
	db := mustOpen(t, config(t, schemaOf(t), fstest.MapFS{"0001_start.sql": {Data: []byte(
		`CREATE TABLE item (id BIGINT PRIMARY KEY, name TEXT NOT NULL);
		CREATE TABLE part (key BYTEA, item BIGINT, PRIMARY KEY (key, item));`)}}))
	const explain = `EXPLAIN SELECT i.name FROM part p JOIN item i ON i.id = p.item WHERE p.key = $1`
	var plan strings.Builder
	err := db.Update(t.Context(), func(tx store.Tx) error {
		plan.Reset()
		for _, insert := range []string{
			`INSERT INTO item SELECT n, repeat('x', 100) FROM generate_series(1, 300) n`,
			`INSERT INTO part SELECT decode(md5(n::text), 'hex'), n FROM generate_series(1, 300) n`,
		} {
			if _, err := tx.Exec(insert); err != nil {
				return err
			}
		}
		rows, err := tx.Query(explain, []byte("key"))
		if err != nil {
			return err
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				return err
			}
			plan.WriteString(line + "\n")
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plan.String(), "Seq Scan") || !strings.Contains(plan.String(), "Index") {
		t.Errorf("the plan reads a whole table:\n%s", plan.String())
	}
}
