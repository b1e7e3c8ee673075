// Package postgres is the production engine of store: PostgreSQL 15 or newer through pgx.
//
// An Update is a SERIALIZABLE transaction, so that an owner's SQL means the same as on SQLite,
// where writers wait for each other: what the server aborts because of another transaction is
// run again. A View is a read-only REPEATABLE READ snapshot. Several processes may share one
// database; each DB is one schema of it.
//
// Every transaction runs under a role that cannot bypass row security: aluskort_app when the
// context names a tenant (store.ForTenant), which then sees and writes that tenant's rows
// alone, and aluskort_system otherwise (ADR 0008).
//
// The connections keep state (prepared statements, session locks, LISTEN): a pooler between
// program and server must work per session.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/id"
)

// Config says which database to open and how. The zero value of a number or duration stands for
// its default.
type Config struct {
	// URL is a connection string, postgres://user@host:port/database?sslmode=verify-full, with
	// every parameter that libpq knows. Several hosts may be named; the writable one is used.
	URL string
	// PasswordFile holds the password and is read at every connect, so that a rotated one is
	// found; white space at its end is cut off. Empty means that of the URL.
	PasswordFile string
	// Schema is the schema that holds the tables; it is created when it is missing. Lower-case
	// letters, digits and underscores; empty means "aluskort".
	Schema        string
	Migrations    fs.FS  // files NNNN_name.sql; nil leaves the schema alone
	MigrationsDir string // directory inside Migrations; empty means its root
	ReadOnly      bool   // open for View only; nothing is created or migrated

	MinConns         int           // connections kept open; 0 means 2
	MaxConns         int           // most connections; 0 means 20, at least 4
	ConnectTimeout   time.Duration // of one attempt to connect; 0 means 5 s
	StatementTimeout time.Duration // of one statement, on the server; 0 means 30 s

	Clock clock.Clock
	IDs   *id.Source // source of the origin of a new database
}

const (
	defaultSchema    = "aluskort"
	defaultMinConns  = 2
	defaultMaxConns  = 20
	leastMaxConns    = 4
	defaultConnect   = 5 * time.Second
	defaultStatement = 30 * time.Second
	// grace is what the client waits beyond the server's own timeout before it gives up a
	// connection that does not answer.
	grace = 5 * time.Second
)

func (c Config) withDefaults() Config {
	if c.Schema == "" {
		c.Schema = defaultSchema
	}
	if c.MaxConns <= 0 {
		c.MaxConns = defaultMaxConns
	}
	c.MaxConns = max(c.MaxConns, leastMaxConns)
	if c.MinConns <= 0 {
		c.MinConns = defaultMinConns
	}
	c.MinConns = min(c.MinConns, c.MaxConns)
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = defaultConnect
	}
	if c.StatementTimeout <= 0 {
		c.StatementTimeout = defaultStatement
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.IDs == nil {
		c.IDs = id.NewSource(nil)
	}
	return c
}

// DB implements store.DB and store.Shared.
type DB struct {
	schema   string
	readOnly bool
	origin   string
	roles    roles
	patience time.Duration // bound of one round trip
	clock    clock.Clock

	pool    *pgxpool.Pool
	writers chan struct{} // holds a token per running Update; the other connections are for Views
	losers  chan struct{} // holds a token while an Update that was aborted is run again
	shapes  sync.Map      // shape -> *plan

	conflicts atomic.Int64

	closing chan struct{}
	close   func() error
}

// Open connects, migrates and returns the database. It fails with store.ErrNewer or
// store.ErrMigrations when the schema does not fit, and with store.ErrUnavailable when the
// server cannot be used. Several processes may open a new database at once: one of them
// migrates it.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	cfg = cfg.withDefaults()
	settings, err := poolSettings(cfg)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	db := &DB{
		schema: cfg.Schema, readOnly: cfg.ReadOnly,
		patience: cfg.StatementTimeout + grace, clock: cfg.Clock,
		pool:    pool,
		writers: make(chan struct{}, cfg.MaxConns-cfg.MaxConns/4),
		losers:  make(chan struct{}, 1),
		closing: make(chan struct{}),
	}
	db.close = sync.OnceValue(db.shutdown)
	if err := db.start(ctx, cfg, settings.ConnConfig); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open schema %s of %s: %w", cfg.Schema, settings.ConnConfig.Host, err)
	}
	return db, nil
}

// Dialect implements store.DB.
func (*DB) Dialect() store.Dialect { return store.Postgres }

// Origin implements store.DB.
func (db *DB) Origin() string { return db.origin }

// Schema returns the name of the schema that holds the tables.
func (db *DB) Schema() string { return db.schema }

// Close implements store.DB.
func (db *DB) Close() error { return db.close() }

func (db *DB) shutdown() error {
	close(db.closing)
	db.pool.Close() // waits for the connections that are lent
	return nil
}

// errClosed is returned after Close.
var errClosed = fmt.Errorf("%w: database is closed", store.ErrUnavailable)

// isClosed tells whether Close was called.
func (db *DB) isClosed() bool {
	select {
	case <-db.closing:
		return true
	default:
		return false
	}
}

// take takes a token of tokens.
func (db *DB) take(ctx context.Context, tokens chan struct{}) error {
	if db.isClosed() {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case tokens <- struct{}{}:
		return nil
	case <-db.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Update implements store.DB.
func (db *DB) Update(ctx context.Context, fn func(tx store.Tx) error) error {
	if db.readOnly {
		return fmt.Errorf("%w: schema %s", store.ErrReadOnly, db.schema)
	}
	if err := store.Nested(ctx, db); err != nil {
		return err
	}
	if err := db.take(ctx, db.writers); err != nil {
		return err
	}
	defer func() { <-db.writers }()
	err := db.transact(ctx, fn, nil)
	if !errors.Is(err, errConflict) {
		return err
	}
	return db.again(ctx, fn)
}

// Stats are the figures of a DB.
type Stats struct {
	Conflicts int64 // transactions that were run again because of another one, since Open
	Conns     int   // connections of the pool
	Busy      int   // of these, in use
	MaxConns  int
}

// Stats returns the figures of this moment. It touches no server.
func (db *DB) Stats() Stats {
	p := db.pool.Stat()
	return Stats{db.conflicts.Load(), int(p.TotalConns()), int(p.AcquiredConns()), int(p.MaxConns())}
}

// again runs a transaction that was aborted because of another one until it is through. Those
// that lost stand in line, in this process and across processes, so that they do not abort each
// other for ever.
func (db *DB) again(ctx context.Context, fn func(tx store.Tx) error) error {
	if err := db.take(ctx, db.losers); err != nil {
		return err
	}
	defer func() { <-db.losers }()
	for attempt := 0; ; attempt++ {
		db.conflicts.Add(1)
		err := db.transact(ctx, fn, db.inLine)
		if !errors.Is(err, errConflict) {
			return err
		}
		if err := db.pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// pause waits a random time that grows with the number of attempts, up to a quarter second.
func (db *DB) pause(ctx context.Context, attempt int) error {
	limit := time.Millisecond << min(attempt, 8)
	timer := db.clock.NewTimer(time.Duration(rand.Int64N(int64(limit))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-db.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// View implements store.DB. The snapshot is taken by the first statement.
func (db *DB) View(ctx context.Context, fn func(tx store.Tx) error) error {
	s, err := db.begin(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", nil)
	if err != nil {
		return err
	}
	t := &tx{Frame: store.NewFrame(ctx, db), db: db, conn: s.Conn.Conn(), view: true}
	defer func() {
		t.End()
		s.rollback()
	}()
	if err := fn(t); err != nil {
		return err
	}
	t.End()
	return t.Failure()
}

// transact runs one attempt of a write transaction from BEGIN to the hooks after its commit.
func (db *DB) transact(ctx context.Context, fn func(tx store.Tx) error, before prelude) error {
	s, err := db.begin(ctx, "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE", before)
	if err != nil {
		return err
	}
	t := &tx{Frame: store.NewFrame(ctx, db), db: db, conn: s.Conn.Conn()}
	committed := false
	defer func() {
		t.End()
		if committed {
			s.finish()
		} else {
			s.rollback()
		}
	}()
	err = fn(t)
	t.End()
	switch {
	case t.conflict:
		return errConflict // whatever fn made of it
	case err != nil:
		return err
	case t.Failure() != nil:
		return t.Failure()
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if err := db.commit(ctx, s.Conn.Conn()); err != nil {
		return err
	}
	committed = true
	t.Committed()
	return nil
}

// commit is finished even when ctx ends, because only the answer tells what happened.
func (db *DB) commit(ctx context.Context, c *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), db.patience)
	defer cancel()
	results, err := c.PgConn().Exec(ctx, "COMMIT").ReadAll()
	if err != nil {
		if conflicts(err) {
			return errConflict
		}
		return classify("commit", err)
	}
	if len(results) != 1 || results[0].CommandTag.String() != "COMMIT" {
		return fmt.Errorf("%w: the server answered COMMIT with a rollback", store.ErrUnavailable)
	}
	return nil
}

var (
	_ store.DB     = (*DB)(nil)
	_ store.Shared = (*DB)(nil)
)
