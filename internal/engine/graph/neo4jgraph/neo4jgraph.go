// Package neo4jgraph is the asset graph in Neo4j 5.
//
// Every node carries tenant_id, and every pattern of every query states it. Queries are constants
// and values are parameters. Questions are read transactions, which a cluster may route to its
// readers; bookmarks make them see what was written through the same Graph before.
package neo4jgraph

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
	"github.com/neo4j/neo4j-go-driver/v5/neo4j/auth"
	"github.com/neo4j/neo4j-go-driver/v5/neo4j/config"

	"github.com/aluskort/aluskort/internal/engine/graph"
)

// Config says where the server is and how to reach it.
type Config struct {
	// URI is bolt://host:port for one server and neo4j://host:port for a cluster, with "+s" behind
	// the scheme for TLS ("neo4j+s://"). It holds no credentials.
	URI      string
	Username string // "neo4j" by default
	// PasswordFile holds the password on its first line. It is read again when the server refuses
	// the password, so that it can be changed without a restart.
	PasswordFile string
	// CAFile holds certificates in PEM to trust beside those of the system.
	CAFile string
	// Plaintext permits a connection without TLS to another machine. To loopback it always is.
	Plaintext bool
	// Database is the name of the database; empty for the server's default.
	Database string
	// Timeout bounds each call, its retries included; 0 means 5 s.
	Timeout time.Duration
	// Pool is how many connections there may be to one server; 0 means 50.
	Pool int
}

// ErrConfig wraps what is wrong with a Config.
var ErrConfig = errors.New("neo4j graph: configuration")

// Graph implements graph.Graph.
type Graph struct {
	driver    neo4j.DriverWithContext
	bookmarks neo4j.BookmarkManager
	database  string
	timeout   time.Duration

	schema sync.Mutex
	ready  bool // the schema is there
}

var _ graph.Graph = (*Graph)(nil)

// Open checks the configuration. It does not connect: a server that is away makes calls fail with
// graph.ErrUnavailable and not the start. Its schema is made before the first write.
func Open(cfg Config) (*Graph, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	trust, err := cfg.trust()
	if err != nil {
		return nil, err
	}
	driver, err := neo4j.NewDriverWithContext(cfg.URI, auth.BasicTokenManager(cfg.token), func(c *config.Config) {
		c.TlsConfig = trust
		c.MaxConnectionPoolSize = cfg.Pool
		c.MaxTransactionRetryTime = cfg.Timeout
		c.ConnectionAcquisitionTimeout = cfg.Timeout
		c.SocketConnectTimeout = cfg.Timeout
		// A connection that was idle is tried before use: a server that came back has forgotten it.
		c.ConnectionLivenessCheckTimeout = 30 * time.Second
		c.TelemetryDisabled = true
		c.UserAgent = "aluskort"
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return &Graph{
		driver: driver, bookmarks: neo4j.NewBookmarkManager(neo4j.BookmarkManagerConfig{}),
		database: cfg.Database, timeout: cfg.Timeout,
	}, nil
}

func (c *Config) check() error {
	if c.Username == "" {
		c.Username = "neo4j"
	}
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Pool <= 0 {
		c.Pool = 50
	}
	u, err := url.Parse(c.URI)
	switch {
	case err != nil:
		return fmt.Errorf("%w: URI cannot be read", ErrConfig) // the error would repeat a password
	case u.User != nil:
		return fmt.Errorf("%w: the URI holds credentials; use username and password file", ErrConfig)
	case u.Host == "":
		return fmt.Errorf("%w: the URI names no host", ErrConfig)
	case c.PasswordFile == "":
		return fmt.Errorf("%w: no password file", ErrConfig)
	}
	switch u.Scheme {
	case "bolt+s", "neo4j+s":
		return nil
	case "bolt", "neo4j":
		if c.Plaintext || loopback(u.Hostname()) {
			return nil
		}
		return fmt.Errorf("%w: %s without TLS; use %s+s://, or permit plaintext", ErrConfig, u.Host, u.Scheme)
	}
	return fmt.Errorf("%w: scheme %q; use bolt, bolt+s, neo4j or neo4j+s", ErrConfig, u.Scheme)
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func (c *Config) trust() (*tls.Config, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile == "" {
		return trust, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: %s holds no certificate", ErrConfig, c.CAFile)
	}
	trust.RootCAs = pool
	return trust, nil
}

func (c *Config) token(context.Context) (neo4j.AuthToken, error) {
	b, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return neo4j.AuthToken{}, err
	}
	password, _, _ := strings.Cut(string(b), "\n")
	return neo4j.BasicAuth(c.Username, strings.TrimSuffix(password, "\r"), ""), nil
}

// Health implements graph.Graph: it asks the server for an answer, not only for a connection.
func (g *Graph) Health(ctx context.Context) error {
	return g.read(ctx, func(ctx context.Context, tx neo4j.ManagedTransaction) error {
		return query(ctx, tx, `RETURN 1 AS one`, nil, func(*record) error { return nil })
	})
}

// Close implements graph.Graph.
func (g *Graph) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), g.timeout)
	defer cancel()
	return g.driver.Close(ctx)
}

type work func(ctx context.Context, tx neo4j.ManagedTransaction) error

func (g *Graph) read(ctx context.Context, fn work) error {
	return g.session(ctx, neo4j.AccessModeRead, func(ctx context.Context, s neo4j.SessionWithContext) error {
		_, err := s.ExecuteRead(ctx, managed(ctx, fn), neo4j.WithTxTimeout(g.timeout))
		return err
	})
}

func (g *Graph) write(ctx context.Context, fn work) error {
	if err := g.ensure(ctx); err != nil {
		return err
	}
	return g.session(ctx, neo4j.AccessModeWrite, func(ctx context.Context, s neo4j.SessionWithContext) error {
		_, err := s.ExecuteWrite(ctx, managed(ctx, fn), neo4j.WithTxTimeout(g.timeout))
		return err
	})
}

func managed(ctx context.Context, fn work) neo4j.ManagedTransactionWork {
	return func(tx neo4j.ManagedTransaction) (any, error) { return nil, fn(ctx, tx) }
}

// session runs fn within the timeout. The driver tries transient errors again until then.
func (g *Graph) session(ctx context.Context, mode neo4j.AccessMode, fn func(context.Context, neo4j.SessionWithContext) error) error {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	s := g.driver.NewSession(ctx, neo4j.SessionConfig{AccessMode: mode, DatabaseName: g.database, BookmarkManager: g.bookmarks})
	err := fn(ctx, s)
	// What closing a session tells is known already, or concerns a connection that is given up.
	_ = s.Close(ctx)
	return typed(ctx, err)
}

// typed puts errors of the driver into the terms of the graph.
func typed(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, graph.ErrNotFound), errors.Is(err, graph.ErrTooLarge), errors.Is(err, graph.ErrInvalid), errors.Is(err, graph.ErrUnavailable):
		return err
	}
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w: %w", graph.ErrUnavailable, cause, err)
	}
	return fmt.Errorf("%w: %w", graph.ErrUnavailable, err)
}

// record reads values of a row by name; the first that is not as expected is kept.
type record struct {
	*neo4j.Record
	err error
}

func value[T neo4j.RecordValue](r *record, key string) T {
	v, _, err := neo4j.GetRecordValue[T](r.Record, key)
	if err != nil && r.err == nil {
		r.err = err
	}
	return v
}

func (r *record) text(key string) string { return value[string](r, key) }
func (r *record) number(key string) int  { return int(value[int64](r, key)) }
func (r *record) flag(key string) bool   { return value[bool](r, key) }

// named reads a map of id, name and owner.
func (r *record) named(key string) graph.Named {
	return named(value[map[string]any](r, key))
}

func named(m map[string]any) graph.Named {
	text := func(k string) string { s, _ := m[k].(string); return s }
	return graph.Named{ID: text("id"), Name: text("name"), Owner: text("owner")}
}

// query runs a query and calls each with its rows.
func query(ctx context.Context, tx neo4j.ManagedTransaction, text string, params map[string]any, each func(*record) error) error {
	res, err := tx.Run(ctx, text, params)
	if err != nil {
		return err
	}
	for res.Next(ctx) {
		r := &record{Record: res.Record()}
		if err := errors.Join(each(r), r.err); err != nil {
			return err
		}
	}
	return res.Err()
}

// run runs a query of which the rows do not matter.
func run(ctx context.Context, tx neo4j.ManagedTransaction, text string, params map[string]any) error {
	return query(ctx, tx, text, params, func(*record) error { return nil })
}
