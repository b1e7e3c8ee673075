// Package dbtest opens the databases of tests, so that what an owner does with SQL is tested on
// every engine: on SQLite always, and on PostgreSQL where enginetest knows one.
package dbtest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/postgres"
	"github.com/aluskort/aluskort/internal/engine/store/sqlite"
	"github.com/aluskort/aluskort/internal/id"
)

// onPostgres is set during the second run of Main.
var onPostgres atomic.Bool

// Main is the TestMain of a package whose tests open their databases with Open: it runs all tests
// on SQLite and then, where an address is known, all of them again on PostgreSQL. A process that
// a test started again, which is told by a variable of its own, runs once. It returns the code to
// exit with.
func Main(m *testing.M) int {
	if os.Getenv(child) == string(store.Postgres) {
		onPostgres.Store(true)
		return m.Run()
	}
	if os.Getenv(child) != "" {
		return m.Run()
	}
	code := m.Run()
	if code != 0 || !enginetest.Known("postgres") {
		return code
	}
	fmt.Println("again on PostgreSQL:")
	onPostgres.Store(true)
	defer onPostgres.Store(false)
	return m.Run()
}

// child is the variable of Child.
const child = "ALUSKORT_TEST_CHILD"

// Child returns the variable, NAME=VALUE, with which a test that starts this test program again
// has Main run once, on the same engine.
func Child() string { return child + "=" + string(Dialect()) }

// Dialect is the engine that Open uses at this moment.
func Dialect() store.Dialect {
	if onPostgres.Load() {
		return store.Postgres
	}
	return store.SQLite
}

// SQLiteOnly skips t on other engines; why says what it looks at that they do not have.
func SQLiteOnly(t testing.TB, why string) {
	t.Helper()
	if onPostgres.Load() {
		t.Skip("SQLite only: " + why)
	}
}

// Config says what to open.
type Config struct {
	// Path names the database: the file on SQLite, by its hash the schema on PostgreSQL. Opening
	// it again finds the same data. Empty means a new one.
	Path        string
	Migrations  fs.FS
	SQLiteDir   string // folder in Migrations for SQLite
	PostgresDir string // the same for PostgreSQL
	CacheKiB    int    // page cache of SQLite; 0 means 1,024
	Clock       clock.Clock
}

// Open opens the database of a test on the engine of this run. The caller closes it; what it
// left is removed with the test. On PostgreSQL every write transaction of a test runs twice, the
// first time for nothing: what an owner does outside its transaction shows up as done twice.
func Open(t testing.TB, cfg Config) (store.DB, error) {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "test.db")
	}
	if cfg.CacheKiB == 0 {
		cfg.CacheKiB = 1024
	}
	ctx := context.WithoutCancel(t.Context())
	var db store.DB
	var err error
	if onPostgres.Load() {
		name := schema(t, cfg.Path)
		db, err = postgres.Open(ctx, postgres.Config{
			URL: enginetest.Address(t, "postgres") + "&application_name=" + name, Schema: name,
			Migrations: cfg.Migrations, MigrationsDir: cfg.PostgresDir, MinConns: 1, Clock: cfg.Clock, IDs: id.NewSource(nil),
		})
	} else {
		db, err = sqlite.Open(ctx, sqlite.Config{
			Path: cfg.Path, Migrations: cfg.Migrations, MigrationsDir: cfg.SQLiteDir, CacheKiB: cfg.CacheKiB, Clock: cfg.Clock, IDs: id.NewSource(nil),
		})
	}
	if err != nil {
		return nil, err
	}
	if _, measured := t.(*testing.B); onPostgres.Load() && !measured {
		return twice{db}, nil
	}
	return db, nil
}

// MustOpen is Open for a database that is closed with the test.
func MustOpen(t testing.TB, cfg Config) store.DB {
	t.Helper()
	db, err := Open(t, cfg)
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

// Tamper runs queries as somebody would who owns the disk: on SQLite without the triggers that are
// named, on PostgreSQL as a superuser for whom no trigger fires.
func Tamper(t testing.TB, db store.DB, triggers []string, queries ...string) {
	t.Helper()
	if d, ok := db.(twice); ok {
		db = d.DB
	}
	p, ok := db.(*postgres.DB)
	if !ok {
		for _, name := range triggers {
			queries = append([]string{`DROP TRIGGER ` + name}, queries...)
		}
		if err := db.Update(t.Context(), func(tx store.Tx) error { return execAll(tx, queries) }); err != nil {
			t.Fatal(err)
		}
		return
	}
	ctx := t.Context()
	c, err := pgx.Connect(ctx, enginetest.Address(t, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	for _, q := range append([]string{`SET search_path = ` + p.Schema(), `SET session_replication_role = replica`}, queries...) {
		if _, err := c.Exec(ctx, q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// CutConnections ends all connections of db at the server, as a failing network would. It does
// nothing on engines without connections.
func CutConnections(t testing.TB, db store.DB) {
	t.Helper()
	if d, ok := db.(twice); ok {
		db = d.DB
	}
	p, ok := db.(*postgres.DB)
	if !ok {
		return
	}
	ctx := t.Context()
	c, err := pgx.Connect(ctx, enginetest.Address(t, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1`, p.Schema()); err != nil {
		t.Fatal(err)
	}
}

func execAll(tx store.Tx, queries []string) error {
	for _, q := range queries {
		if _, err := tx.Exec(q); err != nil {
			return err
		}
	}
	return nil
}

// schema names the schema of path and has it dropped with the test; a process that a test started
// leaves that to the test.
func schema(t testing.TB, path string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(path)) // never fails
	name := fmt.Sprintf("t_%016x", h.Sum64())
	if os.Getenv(child) != "" {
		return name
	}
	url := enginetest.Address(t, "postgres")
	t.Cleanup(func() {
		ctx := context.Background()
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Errorf("drop schema %s: %v", name, err)
			return
		}
		defer func() { _ = c.Close(ctx) }()
		if _, err := c.Exec(ctx, `DROP SCHEMA IF EXISTS `+name+` CASCADE`); err != nil {
			t.Errorf("drop schema %s: %v", name, err)
		}
	})
	return name
}

// Database makes an empty database on the PostgreSQL of the tests, for processes that a test
// starts, and removes it with the test. It returns a URL without a password, and the file that
// holds it.
func Database(t testing.TB) (url, passwordFile string) {
	t.Helper()
	admin := enginetest.Address(t, "postgres")
	cfg, err := pgx.ParseConfig(admin)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("e2e_%d_%d", os.Getpid(), databases.Add(1))
	run := func(query string) {
		ctx := context.Background()
		c, err := pgx.Connect(ctx, admin)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			return
		}
		defer func() { _ = c.Close(ctx) }()
		if _, err := c.Exec(ctx, query); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	run(`CREATE DATABASE ` + name)
	t.Cleanup(func() { run(`DROP DATABASE IF EXISTS ` + name + ` WITH (FORCE)`) })
	passwordFile = filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(passwordFile, []byte(cfg.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("postgres://%s@%s:%d/%s?sslmode=disable", cfg.User, cfg.Host, cfg.Port, name), passwordFile
}

// databases numbers the databases of this process.
var databases atomic.Int64

// twice runs every write transaction two times and keeps what the second one did, as an engine
// does that aborted the first because of another process.
type twice struct{ store.DB }

var errAborted = errors.New("aborted to be run again")

func (d twice) Update(ctx context.Context, fn func(tx store.Tx) error) error {
	var failed error
	err := d.DB.Update(ctx, func(tx store.Tx) error {
		failed = fn(tx)
		return errAborted
	})
	if !errors.Is(err, errAborted) || failed != nil {
		if failed != nil {
			return failed
		}
		return err
	}
	return d.DB.Update(ctx, fn)
}
