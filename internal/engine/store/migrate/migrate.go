// Package migrate brings a database to the schema of this program. It is shared by the
// engines of store: goose applies the files, this package decides whether they fit.
package migrate

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// File is one migration.
type File struct {
	Version  int64
	Name     string // file name, NNNN_name.sql
	SQL      string
	Checksum string // SHA-256 of the file, in hex
}

// Load reads the files NNNN_name.sql of dir, which must be numbered 1, 2, 3 … without a gap.
// Other files are an error, so that a misspelt name cannot go unnoticed. A nil fsys has none.
func Load(fsys fs.FS, dir string) ([]File, error) {
	if fsys == nil {
		return nil, nil
	}
	if dir == "" {
		dir = "."
	}
	entries, err := fs.ReadDir(fsys, dir) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	files := make([]File, 0, len(entries))
	for _, e := range entries {
		number, _, ok := strings.Cut(e.Name(), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if e.IsDir() || !ok || err != nil || len(number) != 4 || path.Ext(e.Name()) != ".sql" {
			return nil, fmt.Errorf("%w: %s: want a file named NNNN_name.sql", store.ErrMigrations, path.Join(dir, e.Name()))
		}
		if want := int64(len(files) + 1); version != want {
			return nil, fmt.Errorf("%w: %s: number %04d is expected here", store.ErrMigrations, path.Join(dir, e.Name()), want)
		}
		text, err := fs.ReadFile(fsys, path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		sum := sha256.Sum256(text)
		files = append(files, File{Version: version, Name: e.Name(), SQL: string(text), Checksum: hex.EncodeToString(sum[:])})
	}
	return files, nil
}

// Querier is a *sql.DB or *sql.Conn.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Pending compares files with what the database says was applied and returns those that are
// to be applied. fresh says that the database has no version table yet. It fails with
// store.ErrNewer when the database is ahead and with store.ErrMigrations when an applied file
// differs from the one of this program.
func Pending(ctx context.Context, q Querier, files []File, fresh bool) ([]File, error) {
	if len(files) == 0 || fresh {
		return files, nil
	}
	applied, err := applied(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(applied) > len(files) {
		return nil, fmt.Errorf("%w: it has version %d, the program knows %d", store.ErrNewer, len(applied), len(files))
	}
	for i, sum := range applied {
		if sum != files[i].Checksum {
			return nil, fmt.Errorf("%w: %s was changed after it had been applied; restore it and add a new file",
				store.ErrMigrations, files[i].Name)
		}
	}
	return files[len(applied):], nil
}

// applied returns the checksums of versions 1, 2, 3 … in order.
func applied(ctx context.Context, q Querier) (sums []string, err error) {
	rows, err := q.QueryContext(ctx, `SELECT version, checksum FROM schema_version WHERE version > 0 ORDER BY version`)
	if err != nil {
		return nil, fmt.Errorf("read schema_version: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var version int64
		var sum string
		if err := rows.Scan(&version, &sum); err != nil {
			return nil, fmt.Errorf("read schema_version: %w", err)
		}
		sums = append(sums, sum)
		if version != int64(len(sums)) {
			return nil, fmt.Errorf("%w: the database lacks version %d and has %d", store.ErrMigrations, len(sums), version)
		}
	}
	return sums, rows.Err()
}

// Version returns the number of the last applied migration, 0 for none.
func Version(ctx context.Context, q Querier) (version int64, err error) {
	sums, err := applied(ctx, q)
	return int64(len(sums)), err
}

// Up applies every pending file in a transaction of its own together with its row in
// schema_version. db must be able to open a second connection.
func Up(ctx context.Context, db *sql.DB, files []File, clk clock.Clock) error {
	migrations := make([]*goose.Migration, len(files))
	for i, f := range files {
		migrations[i] = goose.NewGoMigration(f.Version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, f.SQL)
			return err
		}}, nil)
	}
	provider, err := goose.NewProvider(goose.DialectCustom, db, nil,
		goose.WithStore(versions{files: files, clock: clk}),
		goose.WithGoMigrations(migrations...),
		goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		var partial *goose.PartialError
		if errors.As(err, &partial) && partial.Failed != nil && partial.Failed.Source != nil {
			if v := partial.Failed.Source.Version; v >= 1 && v <= int64(len(files)) {
				return fmt.Errorf("apply migration %s: %w", files[v-1].Name, partial.Err)
			}
		}
		return fmt.Errorf("apply migrations: %w", err)
	}
	return nil
}
