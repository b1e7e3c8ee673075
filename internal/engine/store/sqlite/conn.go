package sqlite

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"strconv"
	"strings"
)

// maxStatements bounds the statements kept by one connection. A program that stays below it
// prepares each text once.
const maxStatements = 512

// conn is one connection with its prepared statements. It is used by one goroutine at a time.
type conn struct {
	sql   *sql.Conn
	stmts map[string]*sql.Stmt
}

func open(ctx context.Context, pool *sql.DB) (*conn, error) {
	c, err := pool.Conn(ctx)
	if err != nil {
		return nil, classify("open database", err)
	}
	return &conn{sql: c, stmts: make(map[string]*sql.Stmt)}, nil
}

// prepare returns the statement of query, preparing it at its first use. Preparing is not
// bound to a context: the statement outlives the call.
func (c *conn) prepare(query string) (*sql.Stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.sql.PrepareContext(context.Background(), positional(query))
	if err != nil {
		return nil, err
	}
	c.stmts[query] = s
	return s, nil
}

func (c *conn) exec(query string) error {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	_, err = s.Exec()
	return err
}

// trim drops the statements when there are too many; no cursor is open between transactions.
func (c *conn) trim() {
	if len(c.stmts) <= maxStatements {
		return
	}
	for _, s := range c.stmts {
		_ = s.Close() // an error here is the one its last execution already returned
	}
	clear(c.stmts)
}

// close ends the connection; discard keeps the pool from taking it back.
func (c *conn) close() error {
	for _, s := range c.stmts {
		_ = s.Close()
	}
	err := c.sql.Raw(func(any) error { return sqldriver.ErrBadConn })
	if errors.Is(err, sqldriver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		err = nil
	}
	if e := c.sql.Close(); e != nil && !errors.Is(e, sql.ErrConnDone) {
		err = errors.Join(err, e)
	}
	return err
}

// positional rewrites $1, $2, … to anonymous parameters when they occur once each and in
// order. SQLite takes $1 for a name, which costs a string and a look-up per parameter and
// execution: most of the binding of a multi-row INSERT.
func positional(query string) string {
	if strings.ContainsAny(query, "'\"`[-/?:@") {
		return query // literals, comments or other parameters: leave it to the engine
	}
	var b strings.Builder
	b.Grow(len(query))
	rest := query
	for next := 1; ; next++ {
		before, after, found := strings.Cut(rest, "$")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		rest = strings.TrimLeft(after, "0123456789")
		if after[:len(after)-len(rest)] != strconv.Itoa(next) {
			return query
		}
		b.WriteByte('?')
	}
}
