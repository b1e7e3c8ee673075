package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/puddle/v2"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// maxStatements bounds the prepared statements that one connection keeps.
const maxStatements = 512

// planning are settings of every session that runs the store's statements. These look up keys and
// walk along indexes; none is better off reading a whole table. Left to itself the server plans by
// the size that a table had when it was last analysed: in the first minutes after a start, and
// after each growth, it joins by reading all of investigation for every key. That also locks
// the table as a whole against serialisation, so that transactions side by side abort each other.
// A plan depends on no parameter for the same reason and is made once per connection.
var planning = map[string]string{
	"enable_seqscan":   "off",
	"enable_hashjoin":  "off",
	"enable_mergejoin": "off",
	"plan_cache_mode":  "force_generic_plan",
	"jit":              "off", // compiling costs more than any of them; a table read in spite of the above would set it off
}

// poolSettings makes the settings of the pool from cfg.
func poolSettings(cfg Config) (*pgxpool.Config, error) {
	if !plainName(cfg.Schema) {
		return nil, fmt.Errorf("%w: schema %q: lower-case letters, digits and underscores are allowed", store.ErrMisuse, cfg.Schema)
	}
	p, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: connection string: %w", store.ErrMisuse, err)
	}
	c := p.ConnConfig
	c.ConnectTimeout = cfg.ConnectTimeout
	c.StatementCacheCapacity = maxStatements
	c.RuntimeParams["search_path"] = cfg.Schema
	c.RuntimeParams["statement_timeout"] = strconv.FormatInt(cfg.StatementTimeout.Milliseconds(), 10)
	// A client that hangs in the middle of a transaction would hold its locks for ever.
	c.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt((2 * cfg.StatementTimeout).Milliseconds(), 10)
	c.RuntimeParams["client_encoding"] = "UTF8"
	for name, value := range planning {
		if _, chosen := c.RuntimeParams[name]; !chosen { // by the connection string
			c.RuntimeParams[name] = value
		}
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "aluskort"
	}
	if c.ValidateConnect == nil && !cfg.ReadOnly {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	p.MinConns, p.MaxConns = int32(cfg.MinConns), int32(cfg.MaxConns)
	p.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error { return readPassword(c, cfg.PasswordFile) }
	p.AfterConnect = durable
	return p, nil
}

// plainName tells whether s can stand in SQL without quotes.
func plainName(s string) bool {
	return s != "" && len(s) <= 63 && (s[0] < '0' || s[0] > '9') && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func readPassword(c *pgx.ConnConfig, file string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read password: %w", err)
	}
	c.Password = strings.TrimRight(string(text), " \t\r\n")
	return nil
}

// durable turns on the wait for the disk where the server's default is not to wait: Update
// promises that a commit is durable. A stronger setting, such as waiting for a replica, stays.
func durable(ctx context.Context, c *pgx.Conn) error {
	const on = `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`
	_, err := c.Exec(ctx, on)
	return err
}

// prelude does something on a connection ahead of a transaction and undoes it afterwards.
type prelude func(ctx context.Context, c *pgxpool.Conn) (undo func(c *pgxpool.Conn), err error)

// begin lends a connection and begins a transaction with the role of ctx. A connection that
// turns out to be dead is replaced: nothing was done on it yet.
func (db *DB) begin(ctx context.Context, mode string, before prelude) (*session, error) {
	for left := int(db.pool.Config().MaxConns); ; left-- {
		s, err := db.session(ctx, mode, before)
		if err == nil {
			return s, nil
		}
		if left <= 0 || !errors.Is(err, errStale) {
			return nil, err
		}
	}
}

// errStale says that a pooled connection was dead before anything was done on it.
var errStale = errors.New("connection is dead")

// session is a lent connection in a transaction.
type session struct {
	*pgxpool.Conn
	undo func(c *pgxpool.Conn)
}

func (db *DB) session(ctx context.Context, mode string, before prelude) (*session, error) {
	c, err := db.acquire(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{Conn: c}
	done := false
	defer func() {
		if !done {
			s.finish()
		}
	}()
	if before != nil {
		if s.undo, err = before(ctx, c); err != nil {
			return nil, err
		}
	}
	run, cancel := context.WithTimeout(ctx, db.patience)
	defer cancel()
	if _, err := c.Conn().PgConn().Exec(run, mode+db.roles.set(ctx)).ReadAll(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if c.Conn().IsClosed() && run.Err() == nil {
			return nil, fmt.Errorf("%w: %w: begin: %w", store.ErrUnavailable, errStale, err)
		}
		return nil, classify("begin", err)
	}
	done = true
	return s, nil
}

func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	if db.isClosed() {
		return nil, errClosed
	}
	c, err := db.pool.Acquire(ctx)
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, puddle.ErrClosedPool):
		return nil, errClosed
	}
	return nil, fmt.Errorf("%w: connect: %w", store.ErrUnavailable, err)
}

// finish gives the connection back. The pool throws away one that is broken or still inside a
// transaction.
func (s *session) finish() {
	if s.undo != nil {
		s.undo(s.Conn)
	}
	s.Release()
}

// rollback undoes the transaction and gives the connection back.
func (s *session) rollback() {
	if !s.Conn.Conn().IsClosed() {
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		// An error leaves the connection inside the transaction, hence it is thrown away.
		_, _ = s.Conn.Conn().PgConn().Exec(ctx, "ROLLBACK").ReadAll()
	}
	s.finish()
}

// inLine waits for the lock of those that lost, before BEGIN, because a transaction that waits
// after it would wait on an old snapshot.
func (db *DB) inLine(ctx context.Context, c *pgxpool.Conn) (func(*pgxpool.Conn), error) {
	run, cancel := context.WithTimeout(ctx, db.patience)
	defer cancel()
	if _, err := c.Exec(run, `SELECT pg_advisory_lock($1, $2)`, lockLosers, db.lockKey()); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, classify("wait in line", err)
	}
	return func(c *pgxpool.Conn) {
		if c.Conn().IsClosed() {
			return // the server let go of it
		}
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		if _, err := c.Exec(ctx, `SELECT pg_advisory_unlock($1, $2)`, lockLosers, db.lockKey()); err != nil {
			_ = c.Conn().Close(ctx) // ends the session and with it the lock
		}
	}, nil
}
