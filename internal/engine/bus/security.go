package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// TLS says how connections to the brokers are encrypted, with TLS 1.2 or newer. The files are
// read again for every connection, so that certificates are replaced without a restart; while
// one cannot be read, the last that could is used and a warning logged.
type TLS struct {
	Enabled bool
	// CAFile holds the authorities that sign the brokers' certificates, in PEM; empty takes those
	// of the system.
	CAFile string
	// CertFile and KeyFile are the certificate that this client shows and its key, in PEM; both
	// or neither.
	CertFile, KeyFile string
	// ServerName is expected in the certificates of all brokers; empty takes the host of each.
	ServerName string
}

// SASL says how the client proves who it is. Secrets are in files, which are read again for
// every connection and every re-authentication.
type SASL struct {
	// Mechanism is one of the constants below; empty for none.
	Mechanism string
	// User and PasswordFile are for PLAIN and SCRAM. The file holds the password alone; an end of
	// line after it does not count.
	User, PasswordFile string
	// TokenFile is for OAUTHBEARER: a bearer token that someone else keeps fresh.
	TokenFile string
}

// Mechanisms of SASL.
const (
	SASLPlain       = "PLAIN"
	SASLSCRAM256    = "SCRAM-SHA-256"
	SASLSCRAM512    = "SCRAM-SHA-512"
	SASLOAuthBearer = "OAUTHBEARER"
)

// ConfigError says which setting of a production bus is wrong and what to do about it.
type ConfigError struct {
	Key     string // as in the configuration, below the section of the bus: sasl.mechanism
	Problem string
	Fix     string
	Err     error // what was found when a file was read, or nil
}

func (e *ConfigError) Error() string {
	s := e.Key + ": " + e.Problem
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + "; " + e.Fix
}

// Unwrap makes errors.Is work.
func (e *ConfigError) Unwrap() error { return e.Err }

// ErrUnauthorized says that the broker refuses the credentials, or what they ask for. It always
// comes with ErrUnavailable, for a credential may be corrected while the program runs.
var ErrUnauthorized = errors.New("the broker refuses the credentials or their rights; check sasl, the client certificate and the access rules of the cluster")

// refusals are the answers of a broker that knows us and says no.
var refusals = []error{
	kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState,
	kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
	kerr.TransactionalIDAuthorizationFailed,
}

func refused(err error) bool {
	return slices.ContainsFunc(refusals, func(r error) bool { return errors.Is(err, r) })
}

// Check reads the settings of a production bus and the files they name. It returns every
// *ConfigError that it finds, joined; without brokers there is nothing to check.
func (cfg *Config) Check() error {
	if len(cfg.Brokers) == 0 {
		return nil
	}
	var errs []error
	wrong := func(key, problem, fix string, err error) {
		errs = append(errs, &ConfigError{Key: key, Problem: problem, Fix: fix, Err: err})
	}
	for _, b := range cfg.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			wrong("brokers", fmt.Sprintf("%q is no address", b), "write host:port", nil)
		}
	}
	if cfg.Replication < 0 {
		wrong("replication", "is negative", "use the number of copies, or 0 for the cluster's default", nil)
	}
	cfg.TLS.check(wrong)
	cfg.SASL.check(wrong)
	if cfg.inClear() {
		for _, b := range cfg.Brokers {
			if host, _, _ := net.SplitHostPort(b); !loopbackHost(host) {
				wrong("sasl.mechanism", fmt.Sprintf("%s would send its secret to %s unencrypted", cfg.SASL.Mechanism, b),
					"switch tls on, or use SCRAM-SHA-512", nil)
			}
		}
	}
	return errors.Join(errs...)
}

type complaint = func(key, problem, fix string, err error)

func (t *TLS) check(wrong complaint) {
	if !t.Enabled {
		for key, v := range map[string]string{"tls.ca_file": t.CAFile, "tls.cert_file": t.CertFile, "tls.key_file": t.KeyFile, "tls.server_name": t.ServerName} {
			if v != "" {
				wrong(key, "is set while TLS is off", "set tls.enabled: true, or remove it", nil)
			}
		}
		return
	}
	if _, err := t.roots(); err != nil {
		wrong("tls.ca_file", "cannot be used", "name a readable file with certificates in PEM", err)
	}
	switch {
	case (t.CertFile == "") != (t.KeyFile == ""):
		wrong("tls.cert_file", "a certificate and its key go together", "set tls.cert_file and tls.key_file, or neither", nil)
	case t.CertFile != "":
		if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
			wrong("tls.cert_file", "certificate and key cannot be used", "name readable files in PEM that belong together", err)
		}
	}
}

func (s *SASL) check(wrong complaint) {
	needs := func(key, value string) {
		if value == "" {
			wrong(key, "is missing", "set it for "+s.Mechanism, nil)
		}
	}
	secret := func(key, file string) {
		if needs(key, file); file == "" {
			return
		}
		if _, err := readSecret(file); err != nil {
			wrong(key, "cannot be used", "name a readable file that holds the secret alone", err)
		}
	}
	excess := func(key, value string) {
		if value != "" {
			wrong(key, "means nothing here", "remove it, or set sasl.mechanism to what uses it", nil)
		}
	}
	switch s.Mechanism {
	case SASLPlain, SASLSCRAM256, SASLSCRAM512:
		needs("sasl.user", s.User)
		secret("sasl.password_file", s.PasswordFile)
		excess("sasl.token_file", s.TokenFile)
	case SASLOAuthBearer:
		secret("sasl.token_file", s.TokenFile)
		excess("sasl.user", s.User)
		excess("sasl.password_file", s.PasswordFile)
	case "":
		excess("sasl.user", s.User)
		excess("sasl.password_file", s.PasswordFile)
		excess("sasl.token_file", s.TokenFile)
	default:
		wrong("sasl.mechanism", fmt.Sprintf("%q is unknown", s.Mechanism),
			"use "+strings.Join([]string{SASLPlain, SASLSCRAM256, SASLSCRAM512, SASLOAuthBearer}, ", ")+" or nothing", nil)
	}
}

// inClear reports whether a connection would carry a secret that everyone on the way can read.
// SCRAM does not: it proves the password without sending it.
func (cfg *Config) inClear() bool {
	return !cfg.TLS.Enabled && (cfg.SASL.Mechanism == SASLPlain || cfg.SASL.Mechanism == SASLOAuthBearer)
}

func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// maxSecret bounds what is read of a file that should hold one secret.
const maxSecret = 64 << 10

func readSecret(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(b), "\r\n")
	switch {
	case len(b) > maxSecret:
		return "", fmt.Errorf("%s holds more than %d bytes", file, maxSecret)
	case secret == "":
		return "", fmt.Errorf("%s is empty", file)
	}
	return secret, nil
}

// roots are the authorities of CAFile; nil are those of the system.
func (t *TLS) roots() (*x509.CertPool, error) {
	if t.CAFile == "" {
		return nil, nil
	}
	b, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate", t.CAFile)
	}
	return pool, nil
}

// mechanism is how the client authenticates, or nil. Each function runs for every connection.
func (s SASL) mechanism() sasl.Mechanism {
	switch s.Mechanism {
	case SASLPlain:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			p, err := readSecret(s.PasswordFile)
			return plain.Auth{User: s.User, Pass: p}, err
		})
	case SASLSCRAM256, SASLSCRAM512:
		auth := func(context.Context) (scram.Auth, error) {
			p, err := readSecret(s.PasswordFile)
			return scram.Auth{User: s.User, Pass: p}, err
		}
		if s.Mechanism == SASLSCRAM256 {
			return scram.Sha256(auth)
		}
		return scram.Sha512(auth)
	case SASLOAuthBearer:
		return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
			token, err := readSecret(s.TokenFile)
			return oauth.Auth{Token: token}, err
		})
	}
	return nil
}

// transport opens connections to brokers.
type transport struct {
	tls     TLS
	inClear bool // what is sent must not leave the machine
	connect func(ctx context.Context, network, address string) (net.Conn, error)
	log     *slog.Logger

	mu    sync.Mutex // guards what could be read last
	roots *x509.CertPool
	cert  *tls.Certificate
}

// dialTimeout bounds connecting and the TLS handshake together.
const dialTimeout = 5 * time.Second

func newTransport(cfg *Config, log *slog.Logger) *transport {
	t := &transport{tls: cfg.TLS, inClear: cfg.inClear(), connect: cfg.Dial, log: log}
	if t.connect == nil {
		t.connect = new(net.Dialer).DialContext
	}
	return t
}

// dial opens one connection. A secret in clear is held back from every address that is not this
// machine's, also from those that a broker on loopback names as its fellows.
func (t *transport) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := t.connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if t.inClear && !loopbackAddr(conn.RemoteAddr()) {
		_ = conn.Close()
		return nil, &ConfigError{
			Key: "sasl.mechanism", Problem: fmt.Sprintf("the secret would go to %s unencrypted", address), Fix: "switch tls on, or use SCRAM-SHA-512",
		}
	}
	if !t.tls.Enabled {
		return conn, nil
	}
	cfg, err := t.config(address)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return secure, nil
}

func loopbackAddr(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

func (t *transport) config(address string) (*tls.Config, error) {
	roots, err := t.currentRoots()
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.tls.ServerName, RootCAs: roots}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(address)
	}
	if t.tls.CertFile != "" {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.currentCert() }
	}
	return cfg, nil
}

func (t *transport) currentRoots() (*x509.CertPool, error) {
	pool, err := t.tls.roots()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.roots = pool
	case t.roots == nil: // not those of the system: the operator has named others
		return nil, err
	default:
		t.log.Warn("the authorities cannot be read again; the last ones are used", "file", t.tls.CAFile, "error", err)
	}
	return t.roots, nil
}

func (t *transport) currentCert() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(t.tls.CertFile, t.tls.KeyFile)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.cert = &cert
	case t.cert == nil:
		return nil, err
	default: // certificate and key are two files, and may be read between two writes
		t.log.Warn("the client certificate cannot be read again; the last one is used", "file", t.tls.CertFile, "error", err)
	}
	return t.cert, nil
}

// clusterOpts are how the clients of a production bus reach it.
func (b *Bus) clusterOpts() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(b.cfg.Brokers...),
		kgo.Dialer(newTransport(&b.cfg, b.log).dial),
		// A peer that accepts and never answers is given up, and a broker that is back is found,
		// within 10 s together.
		kgo.RequestTimeoutOverhead(requestOverhead),
		kgo.RetryBackoffFn(retryBackoff),
		kgo.MetadataMinAge(time.Second),
	}
	if m := b.cfg.SASL.mechanism(); m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return opts
}
