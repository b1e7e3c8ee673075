// Package store is the contract of the relational engine: durable write transactions,
// snapshot reads, numbered migrations and the transactional outbox with its relay.
//
// The SQL of an aggregate stands in the package that owns the aggregate; such a package
// imports store and no driver. Drivers live in store/sqlite and store/postgres and pass the
// suite in store/storetest. SQL is written once for both: $1 placeholders, ON CONFLICT,
// RETURNING, common table expressions; timestamps are integer microseconds UTC.
package store

import (
	"context"
	"errors"
)

// Dialect names the engine behind a DB, for the few statements that differ.
type Dialect string

// The dialects that exist.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

var (
	// ErrNoRows is returned by Row.Scan when a query found nothing.
	ErrNoRows = errors.New("store: no rows")
	// ErrUnavailable wraps every error of the engine itself (disk full, I/O error, connection
	// lost, closed). It is transient: the caller keeps its message and tries again. When a
	// commit fails with it, the transaction is not durable as far as the caller may rely on
	// it, yet a power cut or a reconnect may still show that it happened: retry idempotently.
	ErrUnavailable = errors.New("store: engine unavailable")
	// ErrConstraint wraps the refusal of data by the schema: UNIQUE, CHECK, NOT NULL, foreign
	// key, wrong type, too long. Trying again cannot help.
	ErrConstraint = errors.New("store: constraint violated")
	// ErrImmutable wraps the refusal of a trigger that guards an append-only table.
	ErrImmutable = errors.New("store: table is append-only")
	// ErrNewer is returned when the database was written by a newer program.
	ErrNewer = errors.New("store: database has a newer schema than this program")
	// ErrMigrations wraps a list of migrations that cannot be applied: a gap, a bad name, or a
	// file that was changed after it had been applied.
	ErrMigrations = errors.New("store: migrations do not fit")
	// ErrReadOnly is returned by Update on a database that was opened for reading.
	ErrReadOnly = errors.New("store: database is open read-only")
	// ErrMisuse wraps calls that break the contract of Tx: a nested Update, a statement while a
	// cursor is open, a Tx used after its end, an argument type that no engine stores.
	ErrMisuse = errors.New("store: misuse of a transaction")
)

// DB is one database. It is safe for concurrent use.
type DB interface {
	// Update runs fn in one write transaction and returns nil only when the commit is durable.
	// Writers are serialised on SQLite. fn may run more than once on engines that abort
	// conflicting transactions, so it must not have effects outside tx; those belong into
	// Tx.OnCommit. An error of fn rolls back and is returned as it is. A panic in fn rolls back
	// and goes on in the caller's goroutine. ctx ends the wait for the writer and stops the
	// transaction between two statements; a commit that has begun is finished.
	Update(ctx context.Context, fn func(tx Tx) error) error
	// View runs fn on a read-only snapshot.
	View(ctx context.Context, fn func(tx Tx) error) error
	// Dialect tells which SQL the engine speaks.
	Dialect() Dialect
	// Origin is the random id given to this database when it was created; it never changes.
	Origin() string
	// Close waits for the running transaction and releases the engine. Safe to call twice.
	Close() error
}

// Tx is one transaction. It is bound to the goroutine that runs fn and dies with it.
//
// A statement that fails dooms the transaction on every engine: Update then rolls back and
// returns that error even when fn returns nil. ErrNoRows and a destination that does not fit
// are no such failures.
//
// Arguments are nil, bool, the integer types, float64, string and []byte (a nil slice is
// NULL); times are passed as integer microseconds. Destinations are pointers to these,
// pointers to pointers and sql.Null for columns that may be NULL. An empty BLOB may be
// scanned as a nil slice; use sql.Null[[]byte] where NULL must be told from empty.
//
// Statements are prepared once per engine connection and reused by their text, so a query
// text must be constant or drawn from a small set.
type Tx interface {
	// Exec runs a statement and returns the number of rows it changed.
	Exec(query string, args ...any) (int64, error)
	// Query runs a statement that returns rows; the caller closes them before the next call on tx.
	Query(query string, args ...any) (Rows, error)
	// QueryRow runs a statement of which at most one row is wanted.
	QueryRow(query string, args ...any) Row
	// OnCommit registers fn to run once after the commit is durable, in order of registration,
	// on the committing goroutine, which serves no other transaction meanwhile: fn must be short
	// and must not call Update. It is ignored in View.
	OnCommit(fn func())
	// Context is the context of the Update or View call.
	Context() context.Context
}

// Rows is a forward cursor.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// Row is the result of QueryRow; Scan returns ErrNoRows when there was none.
type Row interface {
	Scan(dest ...any) error
}
