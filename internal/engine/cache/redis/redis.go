// Package redis is the cache in Redis or Valkey, alone or as a cluster.
//
// A key is PREFIX:{TENANT}:SPACE:NAME; the braces keep the keys of a tenant on one node of a
// cluster, so that many are read in one request. Requests are not repeated. After a failure of the
// connection, calls fail at once, without a request, until a probe in the background gets an
// answer: a Redis that is away costs no time per call.
package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/cache"
)

// Config says which server to use and how.
type Config struct {
	// Addresses are HOST:PORT: one of a single server, or some of a cluster.
	Addresses []string
	Cluster   bool
	// User and Password are those of the ACL; PasswordFile, when set, is read for each new
	// connection, so that the password may be rotated.
	User, Password, PasswordFile string
	DB                           int    // of a single server
	Prefix                       string // of every key; empty means "aluskort"
	// TLS turns it on. CAFile holds the certificates that are trusted in place of the system's,
	// CertFile and KeyFile are what we show.
	TLS                       bool
	CAFile, CertFile, KeyFile string
	// DialTimeout bounds connecting, 0 means 1 s; Timeout a request, 0 means 250 ms.
	DialTimeout, Timeout time.Duration
	// PoolSize is the most connections to a node; 0 means 20.
	PoolSize int
	// OnChange, if set, is told when the server is lost, with the reason, and with nil when it is
	// back. It is called from one goroutine at a time and must not block.
	OnChange func(err error)
	Clock    clock.Clock // nil is the machine's
}

// Cache implements cache.Cache.
type Cache struct {
	cfg    Config
	client redis.UniversalClient
	sent   atomic.Int64 // requests that were made
	slow   atomic.Int64 // requests in a row that outlasted their caller's patience
	away   atomic.Bool
	closed atomic.Bool
	lost   chan error // wakes the probe
	end    chan struct{}
	ended  chan struct{}
}

var _ cache.Cache = (*Cache)(nil)

const (
	// Pauses of the probe: the first and the longest. Twice the longest and a request are less
	// than the ten seconds in which a server that is back must be in use again.
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
	// patienceLost is how many requests in a row may end by their caller's deadline before the
	// server counts as lost.
	patienceLost = 3
)

// Open makes a cache. It does not wait for the server: one that is away is a cache that misses.
// Errors of the configuration wrap cache.ErrInvalid. The caller closes it.
func Open(cfg Config) (*Cache, error) {
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	silence()
	c := &Cache{
		cfg: cfg, client: redis.NewUniversalClient(options),
		lost: make(chan error, 1), end: make(chan struct{}), ended: make(chan struct{}),
	}
	go c.watch()
	return c, nil
}

// silence stops the library from writing to the standard error: what it would say is in the errors
// of calls and in OnChange. It offers no other way than one for the whole process.
var silence = sync.OnceFunc(func() { redis.SetLogger(mute{}) })

type mute struct{}

func (mute) Printf(context.Context, string, ...any) {}

func (c *Config) options() (*redis.UniversalOptions, error) {
	switch {
	case len(c.Addresses) == 0:
		return nil, fmt.Errorf("%w: no address of redis", cache.ErrInvalid)
	case len(c.Addresses) > 1 && !c.Cluster:
		return nil, fmt.Errorf("%w: %d addresses of a single redis", cache.ErrInvalid, len(c.Addresses))
	case c.Cluster && c.DB != 0:
		return nil, fmt.Errorf("%w: a cluster has no database %d", cache.ErrInvalid, c.DB)
	case (c.CertFile == "") != (c.KeyFile == ""):
		return nil, fmt.Errorf("%w: certificate and key of redis belong together", cache.ErrInvalid)
	case strings.ContainsAny(c.Prefix, "{}"):
		return nil, fmt.Errorf("%w: prefix %q of redis has braces", cache.ErrInvalid, c.Prefix)
	}
	c.defaults()
	secure, err := c.secure()
	if err != nil {
		return nil, err
	}
	return &redis.UniversalOptions{
		Addrs: c.Addresses, IsClusterMode: c.Cluster, DB: c.DB, CredentialsProviderContext: c.credentials,
		MaxRetries: -1, DialerRetries: 1, MaxRedirects: 3,
		DialTimeout: c.DialTimeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, PoolTimeout: c.Timeout,
		ContextTimeoutEnabled: true, PoolSize: c.PoolSize, TLSConfig: secure,
		DisableIdentity:          true, // the ACL user needs no right to CLIENT SETINFO
		Protocol:                 2,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}, nil
}

func (c *Config) defaults() {
	if c.Prefix == "" {
		c.Prefix = "aluskort"
	}
	if c.DialTimeout <= 0 {
		c.DialTimeout = time.Second
	}
	if c.Timeout <= 0 {
		c.Timeout = 250 * time.Millisecond
	}
	if c.PoolSize <= 0 {
		c.PoolSize = 20
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
}

func (c *Config) credentials(context.Context) (user, password string, err error) {
	if c.PasswordFile == "" {
		return c.User, c.Password, nil
	}
	b, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", "", fmt.Errorf("password of redis: %w", err)
	}
	return c.User, strings.TrimSpace(string(b)), nil
}

func (c *Config) secure() (*tls.Config, error) {
	if !c.TLS {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("%w: certificates of redis: %w", cache.ErrInvalid, err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: %s holds no certificate", cache.ErrInvalid, c.CAFile)
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate of redis: %w", cache.ErrInvalid, err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// Close implements cache.Cache.
func (c *Cache) Close() error {
	if c.closed.Swap(true) {
		<-c.ended
		return nil
	}
	close(c.end)
	<-c.ended
	return c.client.Close()
}

// Ready returns nil while the server is not known to be away.
func (c *Cache) Ready() error {
	if c.away.Load() {
		return errAway
	}
	return nil
}

var errAway = fmt.Errorf("%w: redis is away", cache.ErrUnavailable)

// begin says whether a request is worth making.
func (c *Cache) begin(ctx context.Context, s cache.Space, names ...string) error {
	if err := cache.Check(s, names...); err != nil {
		return err
	}
	if c.closed.Load() {
		return fmt.Errorf("%w: the cache is closed", cache.ErrUnavailable)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", cache.ErrUnavailable, err)
	}
	return c.Ready()
}

// outcome turns the error of a request into one of ours, and looks at what it says of the server.
// redis.Nil is no error.
func (c *Cache) outcome(ctx context.Context, err error) error {
	var answer redis.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		c.slow.Store(0)
		return nil
	case errors.As(err, &answer):
		c.slow.Store(0)
		return c.refusal(answer)
	case ctx.Err() != nil:
		// The caller went away. When that is time and again its deadline, it is the server.
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && c.slow.Add(1) >= patienceLost {
			c.lose(err)
		}
	case !c.closed.Load():
		c.lose(err)
	}
	return fmt.Errorf("%w: %w", cache.ErrUnavailable, err)
}

// refusal sorts what a server answers in place of a result.
func (c *Cache) refusal(answer redis.Error) error {
	text := answer.Error()
	if strings.HasPrefix(text, "WRONGTYPE") || strings.Contains(text, "not an integer") || strings.Contains(text, "would overflow") {
		return fmt.Errorf("%w: %w", cache.ErrInvalid, answer)
	}
	for _, useless := range [...]string{"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOAUTH", "WRONGPASS", "NOPERM", "MISCONF"} {
		if strings.HasPrefix(text, useless) {
			c.lose(answer)
			break
		}
	}
	return fmt.Errorf("%w: %w", cache.ErrUnavailable, answer)
}

// lose stops requests until the probe succeeds.
func (c *Cache) lose(err error) {
	if c.away.CompareAndSwap(false, true) {
		c.lost <- err // has room: one loss for each return
	}
}

// watch probes a server that is away until it answers.
func (c *Cache) watch() {
	defer close(c.ended)
	for {
		select {
		case err := <-c.lost:
			c.tell(err)
		case <-c.end:
			return
		}
		if !c.regain() {
			return
		}
		c.slow.Store(0)
		c.away.Store(false)
		c.tell(nil)
	}
}

func (c *Cache) tell(err error) {
	if c.cfg.OnChange != nil {
		c.cfg.OnChange(err)
	}
}

// regain returns true when the server answers, false at the end.
func (c *Cache) regain() bool {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		t := c.cfg.Clock.NewTimer(pause)
		select {
		case <-t.C:
		case <-c.end:
			t.Stop()
			return false
		}
		if c.probe() == nil {
			return true
		}
	}
}

// probe asks for what every request needs: connection, credentials, and a key.
func (c *Cache) probe() error {
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.DialTimeout+c.cfg.Timeout)
	defer cancel()
	const name = "probe"
	key := c.key(cache.Space{Tenant: "system", Name: "probe"}, name)
	return c.client.Set(ctx, key, name, time.Second).Err()
}
