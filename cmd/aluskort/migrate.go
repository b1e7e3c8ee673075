package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/aluskort/aluskort/internal/auditlog"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/engine/store/sqlite"
	"github.com/aluskort/aluskort/internal/id"
	"github.com/aluskort/aluskort/internal/statedir"
)

type migrateCmd struct{}

// database is one of the two files of the store, with its migrations.
type database struct {
	name       string
	migrations fs.FS
	dir        string
}

func databases() []database {
	return []database{{"state", schema.FS, schema.SQLiteDir}, {"audit", auditlog.Migrations, auditlog.MigrationsSQLite}}
}

// Run brings both databases to the schema of this program. Nothing else may use them.
func (migrateCmd) Run(e *env) (err error) {
	dir, err := statedir.Open(e.config.State)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	for _, d := range databases() {
		before, after, err := migrateOne(e.ctx, dir, d)
		if err != nil {
			return err
		}
		word := "is up to date"
		if before != after {
			word = fmt.Sprintf("migrated from version %d", before)
		}
		if _, err := fmt.Fprintf(e.stdout, "%s: version %d, %s\n", dir.Path("db", d.name+".db"), after, word); err != nil {
			return err
		}
	}
	return nil
}

func migrateOne(ctx context.Context, dir *statedir.Dir, d database) (before, after int64, err error) {
	path := dir.Path("db", d.name+".db")
	before, err = versionOf(ctx, path)
	if err != nil {
		return 0, 0, err
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path, Migrations: d.migrations, MigrationsDir: d.dir, Clock: clock.System{}, IDs: id.NewSource(nil)})
	if err != nil {
		return 0, 0, fmt.Errorf("migrate %s: %w", path, err)
	}
	after, err = db.Version(ctx)
	return before, after, errors.Join(err, db.Close())
}

// versionOf is 0 for a database that does not exist yet.
func versionOf(ctx context.Context, path string) (version int64, err error) {
	if !exists(path) {
		return 0, nil
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path, ReadOnly: true, Clock: clock.System{}})
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", path, err)
	}
	version, err = db.Version(ctx)
	return version, errors.Join(err, db.Close())
}
