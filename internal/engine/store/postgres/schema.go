package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/migrate"
	"github.com/aluskort/aluskort/internal/id"
)

// leastVersion is the oldest server that is supported, as the server counts.
const leastVersion = 150000

// The first of the two numbers of an advisory lock; the second is the schema's.
const (
	lockMigrate int32 = 0x616c7531 + iota
	lockLosers
	lockLease
)

// lockKey is the second number of this schema's advisory locks: FNV-1a of its name. Two schemas
// that share one only wait for each other.
func (db *DB) lockKey() int32 { return lockNumber(db.schema) }

func lockNumber(name string) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return int32(h.Sum32())
}

// start checks the server, brings the schema up to date and reads the origin.
func (db *DB) start(ctx context.Context, cfg Config, connect *pgx.ConnConfig) error {
	if err := readPassword(connect, cfg.PasswordFile); err != nil { // migrations connect beside the pool
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	files, err := migrate.Load(cfg.Migrations, cfg.MigrationsDir)
	if err != nil {
		return err
	}
	c, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	if err := checkServer(ctx, c.Conn()); err != nil {
		return err
	}
	if cfg.ReadOnly {
		return db.inspect(ctx, c.Conn(), connect, files)
	}
	if _, err := c.Exec(ctx, `SELECT pg_advisory_lock($1, $2)`, lockMigrate, db.lockKey()); err != nil {
		return classify("wait for other migrations", err)
	}
	err = db.prepare(ctx, c.Conn(), connect, files, cfg.Clock, cfg.IDs)
	if _, e := c.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1, $2)`, lockMigrate, db.lockKey()); e != nil {
		_ = c.Conn().Close(context.WithoutCancel(ctx)) // ends the session and with it the lock
	}
	return err
}

// checkServer refuses servers on which the promises of the contract would not hold.
func checkServer(ctx context.Context, c *pgx.Conn) error {
	var version int
	var encoding string
	const look = `SELECT current_setting('server_version_num')::int, current_setting('server_encoding')`
	if err := c.QueryRow(ctx, look).Scan(&version, &encoding); err != nil {
		return classify("look at the server", err)
	}
	if version < leastVersion {
		return fmt.Errorf("%w: server version %d, want PostgreSQL 15 or newer", store.ErrUnavailable, version)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("%w: the database has encoding %s, want UTF8", store.ErrUnavailable, encoding)
	}
	return nil
}

// prepare runs under the migration lock.
func (db *DB) prepare(ctx context.Context, c *pgx.Conn, connect *pgx.ConnConfig, files []migrate.File, clk clock.Clock, ids *id.Source) error {
	if err := ensureRoles(ctx, c); err != nil {
		return err
	}
	if err := db.ensureSchema(ctx, c); err != nil {
		return err
	}
	if err := db.migrate(ctx, c, connect, files, clk); err != nil {
		return err
	}
	if err := db.ensureOrigin(ctx, c, ids); err != nil {
		return err
	}
	return db.readRoles(ctx, c)
}

// inspect is what start does on a database that is opened for reading.
func (db *DB) inspect(ctx context.Context, c *pgx.Conn, connect *pgx.ConnConfig, files []migrate.File) error {
	known, err := hasTable(ctx, c, "meta")
	if err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("%w: the schema is not one of this program: it has no table meta", store.ErrMigrations)
	}
	if err := withSQL(connect, func(std *sql.DB) error {
		_, err := pending(ctx, c, std, files)
		return err
	}); err != nil {
		return err
	}
	if err := c.QueryRow(ctx, `SELECT value FROM meta WHERE key = 'origin'`).Scan(&db.origin); err != nil {
		return classify("read origin", err)
	}
	return db.readRoles(ctx, c)
}

func hasTable(ctx context.Context, c *pgx.Conn, name string) (known bool, err error) {
	err = c.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, name).Scan(&known)
	return known, classify("read schema", err)
}

// ensureSchema creates the schema. Its default privileges let roleSystem use the tables that
// migrations create; roleApp gets what a migration grants, and nothing otherwise.
func (db *DB) ensureSchema(ctx context.Context, c *pgx.Conn) error {
	var exists bool
	if err := c.QueryRow(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, db.schema).Scan(&exists); err != nil {
		return classify("read schema", err)
	}
	if exists {
		return nil
	}
	// One script, hence one transaction.
	script := fmt.Sprintf(`CREATE SCHEMA %[1]s;
GRANT USAGE ON SCHEMA %[1]s TO %[2]s, %[3]s;
ALTER DEFAULT PRIVILEGES IN SCHEMA %[1]s GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %[3]s;
ALTER DEFAULT PRIVILEGES IN SCHEMA %[1]s GRANT USAGE ON SEQUENCES TO %[2]s, %[3]s;`, db.schema, roleApp, roleSystem)
	_, err := c.Exec(ctx, script)
	return classify("create schema "+db.schema, err)
}

// withSQL lends fn a database/sql handle, which the migrations want.
func withSQL(connect *pgx.ConnConfig, fn func(std *sql.DB) error) error {
	std := stdlib.OpenDB(*connect)
	std.SetMaxIdleConns(1)
	err := fn(std)
	if e := std.Close(); err == nil && e != nil {
		err = classify("close", e)
	}
	return err
}

func pending(ctx context.Context, c *pgx.Conn, std *sql.DB, files []migrate.File) ([]migrate.File, error) {
	known, err := hasTable(ctx, c, "schema_version")
	if err != nil {
		return nil, err
	}
	left, err := migrate.Pending(ctx, std, files, !known)
	return left, classifyMigration(err)
}

func (db *DB) migrate(ctx context.Context, c *pgx.Conn, connect *pgx.ConnConfig, files []migrate.File, clk clock.Clock) error {
	connect = connect.Copy()
	// A migration may rewrite a large table.
	connect.RuntimeParams["statement_timeout"] = "0"
	connect.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	for name := range planning {
		delete(connect.RuntimeParams, name)
	}
	return withSQL(connect, func(std *sql.DB) error {
		left, err := pending(ctx, c, std, files)
		if err != nil || len(left) == 0 {
			return err
		}
		if err := migrate.Up(ctx, std, files, clk); err != nil {
			return classifyMigration(err)
		}
		_, err = c.Exec(ctx, `REVOKE INSERT, UPDATE, DELETE ON schema_version FROM `+roleSystem+`; GRANT SELECT ON schema_version TO `+roleApp)
		return classify("protect schema_version", err)
	})
}

func classifyMigration(err error) error {
	if err == nil || errors.Is(err, store.ErrNewer) || errors.Is(err, store.ErrMigrations) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	// What the server refuses about a file is no content that somebody sent.
	return fmt.Errorf("%w: migrate: %w", store.ErrUnavailable, err)
}

// ensureOrigin reads the id of the database; a new one gets its id here. The table meta belongs
// to the engine.
func (db *DB) ensureOrigin(ctx context.Context, c *pgx.Conn, ids *id.Source) error {
	known, err := hasTable(ctx, c, "meta")
	if err != nil {
		return err
	}
	if !known {
		origin, err := ids.New()
		if err != nil {
			return fmt.Errorf("make origin: %w", err)
		}
		// One script, hence one transaction: a crash leaves no table without its row.
		script := `CREATE TABLE meta (key TEXT COLLATE "C" PRIMARY KEY, value TEXT NOT NULL);
REVOKE INSERT, UPDATE, DELETE ON meta FROM ` + roleSystem + `;
GRANT SELECT ON meta TO ` + roleApp + `;
INSERT INTO meta (key, value) VALUES ('origin', ` + literal(origin) + `);`
		if _, err := c.Exec(context.WithoutCancel(ctx), script); err != nil {
			return classify("create meta", err)
		}
	}
	err = c.QueryRow(ctx, `SELECT value FROM meta WHERE key = 'origin'`).Scan(&db.origin)
	return classify("read origin", err)
}

// Version returns the number of the last applied migration, 0 for none.
func (db *DB) Version(ctx context.Context) (version int64, err error) {
	err = db.View(ctx, func(t store.Tx) error {
		var known bool
		if err := t.QueryRow(`SELECT to_regclass($1) IS NOT NULL`, "schema_version").Scan(&known); err != nil || !known {
			return err
		}
		return t.QueryRow(`SELECT COALESCE(MAX(version), 0) FROM schema_version`).Scan(&version)
	})
	return version, err
}
