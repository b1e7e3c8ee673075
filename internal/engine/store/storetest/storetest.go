// Package storetest is the behaviour that every engine of store owes its users, as a suite
// that the tests of an engine run against it.
package storetest

import (
	"context"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// Open opens the database of test t with the migrations given. Called again in the same test
// after Close it opens the same database again. It closes nothing by itself; the error of the
// engine is returned as it is.
type Open func(t *testing.T, migrations fs.FS) (store.DB, error)

// Run runs the suite. open is called with a fresh t for each part.
func Run(t *testing.T, open Open) {
	parts := []struct {
		name string
		run  func(t *testing.T, open Open)
	}{
		{"transactions", testTransactions},
		{"values", testValues},
		{"errors", testErrors},
		{"concurrency", testConcurrency},
		{"bulk insert", testBulkInsert},
		{"migrations", testMigrations},
		{"outbox", testOutbox},
	}
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) { p.run(t, open) })
	}
}

// schema is the first migration of the suite in the SQL of each engine.
func schema(d store.Dialect) string {
	if d == store.Postgres {
		return `CREATE TABLE item (id BIGINT PRIMARY KEY, name TEXT UNIQUE, data BYTEA, score DOUBLE PRECISION, flag BOOLEAN);
CREATE TABLE child (id BIGINT PRIMARY KEY, item BIGINT NOT NULL REFERENCES item (id));
CREATE TABLE ledger (id BIGINT PRIMARY KEY, body TEXT NOT NULL);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'append-only: ledger'; END $$;
CREATE TRIGGER ledger_guard BEFORE UPDATE OR DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION refuse();
` + store.OutboxPostgres
	}
	return `CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT UNIQUE, data BLOB, score REAL, flag INTEGER);
CREATE TABLE child (id INTEGER PRIMARY KEY, item INTEGER NOT NULL REFERENCES item (id));
CREATE TABLE ledger (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'append-only: ledger'); END;
CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'append-only: ledger'); END;
` + store.OutboxSQLite
}

// Migrations returns the schema of the suite for an engine.
func Migrations(d store.Dialect) fstest.MapFS {
	return fstest.MapFS{"0001_start.sql": {Data: []byte(schema(d))}}
}

// dialectOf asks the engine which SQL it speaks by opening it without a schema.
func dialectOf(t *testing.T, open Open) store.Dialect {
	t.Helper()
	db, err := open(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, db)
	return db.Dialect()
}

// fresh opens a database with the schema of the suite and closes it with the test.
func fresh(t *testing.T, open Open) store.DB {
	t.Helper()
	db, err := open(t, Migrations(dialectOf(t, open)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, db) })
	return db
}

func mustClose(t *testing.T, db store.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func update(t *testing.T, db store.DB, fn func(tx store.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func exec(t *testing.T, db store.DB, query string, args ...any) {
	t.Helper()
	update(t, db, func(tx store.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
}

// number reads one integer on a snapshot of its own.
func number(t *testing.T, db store.DB, query string, args ...any) (n int64) {
	t.Helper()
	err := db.View(context.WithoutCancel(t.Context()), func(tx store.Tx) error {
		return tx.QueryRow(query, args...).Scan(&n)
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
