// Package mtls is how services of one installation prove to each other who they are: TLS 1.3
// with certificates on both sides, signed by an authority of the operator, and a list of the
// names that may call.
//
// Files are read again when they change, so that certificates are renewed without a restart. A
// renewed file that cannot be used changes nothing: what was in force stays, and the trouble is
// reported.
package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
)

var (
	// ErrNoPeer says that the other side showed no certificate.
	ErrNoPeer = errors.New("mtls: no client certificate")
	// ErrNotAllowed says that a certificate is sound and its names are not on the list.
	ErrNotAllowed = errors.New("mtls: name is not on the allow-list")
)

// Config says where the identity of this process lies. All files are PEM.
type Config struct {
	// CertFile is the chain that this process shows, KeyFile its key, CAFile the authorities that
	// sign the certificates of the others.
	CertFile, KeyFile, CAFile string
	// Allow are the names that may call this process, as they stand in DNS or URI entries of
	// their certificates (subject alternative names); common names do not count. Empty allows
	// nobody.
	Allow []string
	Clock clock.Clock
	// OnTrouble hears of files that were renewed and cannot be used; nil hears nothing.
	OnTrouble func(error)
}

// lookEvery bounds how often the files are looked at.
const lookEvery = time.Second

// Identity is the certificates of this process and those it trusts. It is safe for concurrent use.
type Identity struct {
	cfg Config

	mu     sync.Mutex
	looked time.Time
	stamps [3]stamp
	cert   *tls.Certificate
	pool   *x509.CertPool
}

// stamp tells two versions of a file apart.
type stamp struct {
	modified time.Time
	size     int64
}

// Open reads the files; the error names the one that is at fault.
func Open(cfg Config) (*Identity, error) {
	i := &Identity{cfg: cfg}
	stamps, err := i.stat()
	if err != nil {
		return nil, err
	}
	if i.cert, i.pool, err = cfg.load(); err != nil {
		return nil, err
	}
	i.stamps, i.looked = stamps, cfg.Clock.Now()
	return i, nil
}

func (i *Identity) stat() (out [3]stamp, err error) {
	for k, path := range []string{i.cfg.CertFile, i.cfg.KeyFile, i.cfg.CAFile} {
		s, err := os.Stat(path)
		if err != nil {
			return out, fmt.Errorf("mtls: %w", err)
		}
		out[k] = stamp{s.ModTime(), s.Size()}
	}
	return out, nil
}

func (c *Config) load() (*tls.Certificate, *x509.CertPool, error) {
	cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("mtls: certificate %s with key %s: %w", c.CertFile, c.KeyFile, err)
	}
	now := c.Clock.Now()
	if now.After(cert.Leaf.NotAfter) || now.Before(cert.Leaf.NotBefore) {
		return nil, nil, fmt.Errorf("mtls: certificate %s is valid from %s to %s; renew it, or correct the clock",
			c.CertFile, cert.Leaf.NotBefore.UTC().Format(time.RFC3339), cert.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	text, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, nil, fmt.Errorf("mtls: authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		what := "holds no certificate"
		if b, _ := pem.Decode(text); b != nil {
			what = fmt.Sprintf("begins with a %s and holds no certificate", b.Type)
		}
		return nil, nil, fmt.Errorf("mtls: authority %s %s", c.CAFile, what)
	}
	return &cert, pool, nil
}

// current returns what is in force, after a look at the files when the last is a while ago.
func (i *Identity) current() (*tls.Certificate, *x509.CertPool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.cfg.Clock.Now()
	if now.Sub(i.looked) >= lookEvery || now.Before(i.looked) {
		i.looked = now
		i.renew()
	}
	return i.cert, i.pool
}

// renew reads the files again when one changed. A pair that does not fit, as half-way through a
// renewal, is tried again at the next look.
func (i *Identity) renew() {
	stamps, err := i.stat()
	if err == nil && stamps == i.stamps {
		return
	}
	if err == nil {
		var cert *tls.Certificate
		var pool *x509.CertPool
		if cert, pool, err = i.cfg.load(); err == nil {
			i.cert, i.pool, i.stamps = cert, pool, stamps
			return
		}
	}
	if i.cfg.OnTrouble != nil {
		i.cfg.OnTrouble(fmt.Errorf("renewed files are not used, the old ones stay: %w", err))
	}
}

// Certificate is the one that this process shows now.
func (i *Identity) Certificate() *tls.Certificate {
	cert, _ := i.current()
	return cert
}

// Server is how this process listens: it shows its certificate, asks for one, and refuses one
// that the authority has not signed. Without a certificate a caller is anonymous: Peer says so,
// and only what everybody may ask is answered.
func (i *Identity) Server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			cert, pool := i.current()
			return &tls.Config{
				MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*cert}, ClientCAs: pool,
				ClientAuth: tls.VerifyClientCertIfGiven, NextProtos: []string{"http/1.1"},
			}, nil
		},
	}
}

// Client is how this process calls another that calls itself serverName.
func (i *Identity) Client(serverName string) *tls.Config {
	_, pool := i.current()
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: serverName, RootCAs: pool,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, _ := i.current()
			return cert, nil
		},
	}
}

// Peer returns the allowed name of the other side of a connection: ErrNoPeer without a
// certificate, ErrNotAllowed when none of its names is on the list.
func (i *Identity) Peer(state *tls.ConnectionState) (string, error) {
	if state == nil || len(state.VerifiedChains) == 0 {
		return "", ErrNoPeer
	}
	leaf := state.VerifiedChains[0][0]
	names := slices.Clone(leaf.DNSNames)
	for _, u := range leaf.URIs {
		names = append(names, u.String())
	}
	for _, name := range names {
		if slices.Contains(i.cfg.Allow, name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("%w: it has %q", ErrNotAllowed, strings.Join(names, ", "))
}

// Check reports what is wrong with a configuration without keeping anything: every missing key,
// or the file that cannot be used.
func (c *Config) Check() error {
	var errs []error
	for _, f := range [][2]string{{"cert_file", c.CertFile}, {"key_file", c.KeyFile}, {"ca_file", c.CAFile}} {
		if f[1] == "" {
			errs = append(errs, fmt.Errorf("%s is missing", f[0]))
		} else if _, err := os.Stat(f[1]); errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("%s: %s does not exist", f[0], f[1]))
		}
	}
	if len(errs) == 0 {
		_, _, err := c.load()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
