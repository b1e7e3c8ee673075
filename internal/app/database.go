package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/aluskort/aluskort/internal/auditlog"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/postgres"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/engine/store/sqlite"
	"github.com/aluskort/aluskort/internal/id"
)

// Database is one of the databases of an installation: a file of SQLite in the state directory, or
// a schema of PostgreSQL.
type Database struct {
	Name string

	schema                 string
	migrations             fs.FS
	sqliteDir, postgresDir string
	cacheKiB               int
}

// Databases are the databases of an installation.
func Databases() []Database { return []Database{stateDatabase(), auditDatabase()} }

func stateDatabase() Database {
	return Database{Name: "state", schema: "aluskort", migrations: schema.FS, sqliteDir: schema.SQLiteDir, postgresDir: schema.PostgresDir, cacheKiB: stateCacheKiB}
}

func auditDatabase() Database {
	return Database{
		Name: "audit", schema: "aluskort_audit", migrations: auditlog.Migrations, sqliteDir: auditlog.MigrationsSQLite, postgresDir: auditlog.MigrationsPostgres, cacheKiB: auditCacheKiB,
	}
}

// Place says where the database of a configuration lies, in words that hold no secret.
func (d *Database) Place(c *config.Config) string {
	if c.Store.URL == "" {
		return d.path(c)
	}
	return "schema " + d.schema + " of " + c.Store.Place()
}

func (d *Database) path(c *config.Config) string {
	return filepath.Join(c.State, "db", d.Name+".db")
}

// versioned is what both engines know of their schema.
type versioned interface {
	store.DB
	Version(ctx context.Context) (int64, error)
}

// open opens the database, brings its schema up to date and returns an untyped nil on error. A
// database that is opened read-only stays as it is.
func (d *Database) open(ctx context.Context, c *config.Config, clk clock.Clock, ids *id.Source, log *slog.Logger, readOnly bool) (versioned, error) {
	if c.Store.URL != "" {
		db, err := postgres.Open(ctx, postgres.Config{
			URL: c.Store.URL, PasswordFile: c.Store.PasswordFile, Schema: d.schema, Migrations: d.migrations, MigrationsDir: d.postgresDir,
			ReadOnly: readOnly, Clock: clk, IDs: ids,
		})
		if err != nil {
			return nil, err
		}
		return db, nil
	}
	cfg := sqlite.Config{Path: d.path(c), CacheKiB: d.cacheKiB, ReadOnly: readOnly, Clock: clk, IDs: ids, Log: log}
	if !readOnly {
		cfg.Migrations, cfg.MigrationsDir = d.migrations, d.sqliteDir
	}
	db, err := sqlite.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return db, nil
}

// OpenReadOnly opens the database for reading, without the lock of the state directory and beside
// whoever works on it. It returns nil for one that does not exist yet.
func (d *Database) OpenReadOnly(ctx context.Context, c *config.Config) (store.DB, error) {
	if c.Store.URL == "" {
		if _, err := os.Stat(d.path(c)); errors.Is(err, fs.ErrNotExist) {
			return nil, nil //nolint:nilnil // there is none
		}
	}
	db, err := d.open(ctx, c, clock.System{}, nil, nil, true)
	if err != nil {
		return nil, err // a nil *DB must not become a store.DB that is not nil
	}
	return db, nil
}

// Migrate brings the database to the schema of this program and returns the versions before and
// after; 0 is that of a database that does not exist yet.
func (d *Database) Migrate(ctx context.Context, c *config.Config) (before, after int64, err error) {
	if before, err = d.version(ctx, c); err != nil {
		return 0, 0, err
	}
	db, err := d.open(ctx, c, clock.System{}, id.NewSource(nil), nil, false)
	if err != nil {
		return 0, 0, fmt.Errorf("migrate %s: %w", d.Place(c), err)
	}
	after, err = db.Version(ctx)
	return before, after, errors.Join(err, db.Close())
}

func (d *Database) version(ctx context.Context, c *config.Config) (version int64, err error) {
	db, err := d.OpenReadOnly(ctx, c)
	switch {
	case errors.Is(err, store.ErrMigrations) && c.Store.URL != "", err == nil && db == nil:
		return 0, nil // no schema yet, or nothing of ours in it
	case err != nil:
		return 0, fmt.Errorf("open %s: %w", d.Place(c), err)
	}
	version, err = db.(versioned).Version(ctx)
	return version, errors.Join(err, db.Close())
}
