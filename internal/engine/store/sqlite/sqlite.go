// Package sqlite is the embedded engine of store: one SQLite file in WAL mode, written by one
// goroutine with synchronous=FULL and read through a small pool of snapshots.
//
// Every Update is a transaction and an fsync of its own: callers that want group commit batch
// their work into one Update. After an I/O error the writer's connection is thrown away and
// the next Update opens a new one, so the database works again as soon as the disk does.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	driver "modernc.org/sqlite"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/migrate"
	"github.com/aluskort/aluskort/internal/id"
)

const (
	defaultCacheKiB = 64 << 10
	readerCacheKiB  = 4 << 10
	defaultReaders  = 4
	// walPages is the length of the WAL at which a commit copies what is left of it into the file
	// (see checkpoint): 64 MB at 4 KiB a page. The file is cut back to walBytes after that.
	walPages = 16000
	walBytes = 64 << 20
	// busyMillis bounds the wait for another process that holds the file, such as a backup.
	busyMillis = 5000
)

// Config says which database to open and how.
type Config struct {
	Path          string // file; its directory must exist
	Migrations    fs.FS  // files NNNN_name.sql; nil leaves the schema alone
	MigrationsDir string // directory inside Migrations; empty means its root
	CacheKiB      int    // page cache of the writer; 0 means 65,536
	Readers       int    // concurrent Views; 0 means 4
	ReadOnly      bool   // open an existing file for View only; nothing is migrated
	Clock         clock.Clock
	IDs           *id.Source   // source of the origin of a new database
	Log           *slog.Logger // hears what goes wrong beside the transactions; nil: nobody
}

// DB implements store.DB.
type DB struct {
	path     string
	readOnly bool
	origin   string

	writePool *sql.DB // nil when read-only
	readPool  *sql.DB
	readers   chan *conn // holds one entry per allowed View; nil entries are opened on demand

	requests chan *request // unbuffered: callers wait in order of arrival
	ahead    chan *request // the same for those of store.Ahead
	closing  chan struct{}
	idle     chan struct{} // closed when the writer has ended
	dirty    chan struct{} // holds a token while the WAL may be longer than what was copied
	copied   chan struct{} // closed when checkpoint has ended
	clock    clock.Clock
	log      *slog.Logger
	writer   *conn // owned by the writer goroutine; nil after a failure
	anchor   *conn // idle; see openAnchor
	close    func() error
}

// Open opens or creates the database, migrates it and starts its writer. It fails with
// store.ErrNewer or store.ErrMigrations when the schema does not fit, and with
// store.ErrUnavailable when the file cannot be used.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.IDs == nil {
		cfg.IDs = id.NewSource(nil)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	// Data and size of the WAL reach the disk either way; fsync adds the time stamps only.
	// The error says that the platform has no fdatasync, where fsync is used.
	_, _ = driver.Fdatasync(true)

	db, err := newDB(cfg)
	if err != nil {
		return nil, err
	}
	if err := db.start(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Path, errors.Join(err, db.release()))
	}
	if cfg.ReadOnly {
		close(db.idle)
		close(db.copied)
	} else {
		go db.write()
		go db.checkpoint(context.WithoutCancel(ctx))
	}
	return db, nil
}

func newDB(cfg Config) (*DB, error) {
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Path, err)
	}
	readers := cfg.Readers
	if readers <= 0 {
		readers = defaultReaders
	}
	db := &DB{
		path: path, readOnly: cfg.ReadOnly,
		readers:  make(chan *conn, readers),
		requests: make(chan *request), ahead: make(chan *request),
		closing: make(chan struct{}),
		idle:    make(chan struct{}),
		dirty:   make(chan struct{}, 1), copied: make(chan struct{}), clock: cfg.Clock, log: cfg.Log,
	}
	db.close = sync.OnceValue(db.shutdown)
	for range readers {
		db.readers <- nil
	}
	if db.readPool, err = pool(path, readPragmas(cfg.ReadOnly)); err != nil {
		return nil, err
	}
	if cfg.ReadOnly {
		return db, nil
	}
	// SQLite would create the file readable for everyone; its WAL inherits the mode.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	cache := cfg.CacheKiB
	if cache <= 0 {
		cache = defaultCacheKiB
	}
	db.writePool, err = pool(path, writePragmas(cache))
	return db, err
}

func writePragmas(cacheKiB int) url.Values {
	return url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyMillis),
		"journal_mode(WAL)",
		"synchronous(FULL)",
		fmt.Sprintf("wal_autocheckpoint(%d)", walPages),
		fmt.Sprintf("journal_size_limit(%d)", walBytes),
		fmt.Sprintf("cache_size(%d)", -cacheKiB),
		"foreign_keys(ON)",
		"temp_store(MEMORY)",
	}}
}

func readPragmas(readOnly bool) url.Values {
	v := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyMillis),
		fmt.Sprintf("cache_size(%d)", -readerCacheKiB),
		"temp_store(MEMORY)",
		"query_only(ON)",
	}}
	if readOnly {
		v.Set("mode", "ro")
	}
	return v
}

// pool makes connections with the given settings and keeps none: a conn is kept by its owner
// and gone when the owner lets go.
func pool(path string, settings url.Values) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), OmitHost: true, RawQuery: settings.Encode()}
	c, err := driver.NewConnector(dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	p := sql.OpenDB(c)
	p.SetMaxIdleConns(-1)
	return p, nil
}

// start opens the first connections, migrates and reads the origin.
func (db *DB) start(ctx context.Context, cfg Config) error {
	files, err := migrate.Load(cfg.Migrations, cfg.MigrationsDir)
	if err != nil {
		return err
	}
	var c *conn
	if db.readOnly {
		<-db.readers
		if c, err = open(ctx, db.readPool); err != nil {
			db.readers <- nil
			return err
		}
		db.readers <- c
	} else {
		if c, err = open(ctx, db.writePool); err != nil {
			return err
		}
		db.writer = c
	}
	if err := db.migrate(ctx, c, files, cfg.Clock); err != nil {
		return err
	}
	if err := db.readOrigin(ctx, c, cfg.IDs); err != nil || db.readOnly {
		return err
	}
	return db.openAnchor(ctx)
}

// openAnchor keeps one idle connection on the file for as long as the DB lives. Without it
// the writer's could be the only one, and replacing it after a failed fsync would make SQLite
// rebuild its index of the WAL from the file: it would then find the frames of the failed
// commit in the page cache, take them for durable and put later commits behind frames that a
// power cut removes. With the index alive they stay uncommitted and are overwritten.
func (db *DB) openAnchor(ctx context.Context) (err error) {
	if db.anchor, err = open(ctx, db.readPool); err != nil {
		return err
	}
	_, err = hasTable(ctx, db.anchor, "meta") // the index is mapped by the first read
	return err
}

func (db *DB) migrate(ctx context.Context, c *conn, files []migrate.File, clk clock.Clock) error {
	known, err := hasTable(ctx, c, "schema_version")
	if err != nil {
		return err
	}
	pending, err := migrate.Pending(ctx, c.sql, files, !known)
	if err != nil || len(pending) == 0 || db.readOnly {
		return classifyMigration(err)
	}
	return classifyMigration(migrate.Up(ctx, db.writePool, files, clk))
}

func classifyMigration(err error) error {
	if err == nil || errors.Is(err, store.ErrNewer) || errors.Is(err, store.ErrMigrations) {
		return err
	}
	return classify("migrate", err)
}

func hasTable(ctx context.Context, c *conn, name string) (bool, error) {
	var n int
	err := c.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?`, name).Scan(&n)
	return n > 0, classify("read schema", err)
}

// readOrigin reads the id of the database; a new one gets its id here. The table meta belongs
// to the engine.
func (db *DB) readOrigin(ctx context.Context, c *conn, ids *id.Source) error {
	known, err := hasTable(ctx, c, "meta")
	if err != nil {
		return err
	}
	if !known {
		if db.readOnly {
			return fmt.Errorf("%w: the file is not a database of this program: it has no table meta", store.ErrMigrations)
		}
		origin, err := ids.New()
		if err != nil {
			return fmt.Errorf("make origin: %w", err)
		}
		// One script, hence one transaction: a crash leaves no table without its row.
		_, err = c.sql.ExecContext(context.WithoutCancel(ctx), `BEGIN IMMEDIATE;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES ('origin', $1);
COMMIT`, origin)
		if err != nil {
			return classify("create meta", err)
		}
	}
	err = c.sql.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'origin'`).Scan(&db.origin)
	return classify("read origin", err)
}

// Dialect implements store.DB.
func (*DB) Dialect() store.Dialect { return store.SQLite }

// Origin implements store.DB.
func (db *DB) Origin() string { return db.origin }

// Version returns the number of the last applied migration, 0 for none.
func (db *DB) Version(ctx context.Context) (version int64, err error) {
	err = db.withReader(ctx, func(c *conn) error {
		known, err := hasTable(ctx, c, "schema_version")
		if err != nil || !known {
			return err
		}
		version, err = migrate.Version(ctx, c.sql)
		return classify("read version", err)
	})
	return version, err
}

// Close implements store.DB.
func (db *DB) Close() error { return db.close() }

// shutdown ends the writer after its running transaction and waits for the running Views.
func (db *DB) shutdown() error {
	close(db.closing)
	<-db.idle
	<-db.copied
	return db.release()
}

// release closes all connections; the writer's last, so that it copies the WAL into the file.
func (db *DB) release() error {
	var errs []error
	for range cap(db.readers) {
		if c := <-db.readers; c != nil {
			errs = append(errs, c.close())
		}
	}
	if db.anchor != nil {
		errs = append(errs, db.anchor.close())
	}
	errs = append(errs, db.readPool.Close())
	if db.writer != nil {
		errs = append(errs, db.writer.close())
	}
	if db.writePool != nil {
		errs = append(errs, db.writePool.Close())
	}
	return classify("close "+db.path, errors.Join(errs...))
}

// errClosed is returned after Close.
var errClosed = fmt.Errorf("%w: database is closed", store.ErrUnavailable)

// View implements store.DB. The snapshot is taken by the first statement.
func (db *DB) View(ctx context.Context, fn func(tx store.Tx) error) error {
	return db.withReader(ctx, func(c *conn) error { return db.view(ctx, c, fn) })
}

// withReader lends a reading connection to fn.
func (db *DB) withReader(ctx context.Context, fn func(c *conn) error) error {
	var c *conn
	select {
	case <-db.closing:
		return errClosed
	default:
	}
	select {
	case c = <-db.readers:
	case <-db.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	keep := false
	defer func() {
		if !keep && c != nil {
			_ = c.close() // it is given up because of an error that the caller has
			c = nil
		}
		db.readers <- c
	}()
	if c == nil {
		var err error
		if c, err = open(ctx, db.readPool); err != nil {
			return err
		}
	}
	err := fn(c)
	// An interrupt or an I/O error leaves a connection behind that is cheap to replace.
	keep = ctx.Err() == nil && !errors.Is(err, store.ErrUnavailable)
	return err
}

func (db *DB) view(ctx context.Context, c *conn, fn func(tx store.Tx) error) error {
	c.trim()
	if err := c.exec("BEGIN"); err != nil {
		return classify("begin", err)
	}
	t := &tx{Frame: store.NewFrame(ctx, db), conn: c, run: ctx}
	err := fn(t)
	t.End()
	if err == nil {
		err = t.Failure()
	}
	if e := c.exec("ROLLBACK"); e != nil && err == nil && ctx.Err() == nil {
		err = classify("end snapshot", e)
	}
	return err
}

var _ store.DB = (*DB)(nil)
