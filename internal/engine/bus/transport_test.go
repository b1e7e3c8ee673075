package bus

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert, a.key = a.issue("authority", true)
	return a
}

func (a *authority) issue(name string, ca bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: ca, BasicConstraintsValid: true,
	}
	parent, signer := a.cert, a.key
	if ca {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// install writes a certificate of that name, with its key, where the client looks for it.
func (a *authority) install(name string, to TLS) {
	a.t.Helper()
	cert, key := a.issue(name, false)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	writePEM(a.t, to.CertFile, "CERTIFICATE", cert.Raw)
	writePEM(a.t, to.KeyFile, "PRIVATE KEY", der)
}

// serve accepts TLS of at most version, and sends the name that each client shows.
func (a *authority) serve(version uint16) (address string, names <-chan string) {
	a.t.Helper()
	cert, key := a.issue("broker", false)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}},
		ClientAuth:   tls.VerifyClientCertIfGiven, ClientCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: version,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	seen := make(chan string, 10)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = c.Close() }()
				server, ok := c.(*tls.Conn)
				if !ok || server.Handshake() != nil {
					return
				}
				name := ""
				if shown := server.ConnectionState().PeerCertificates; len(shown) > 0 {
					name = shown[0].Subject.CommonName
				}
				seen <- name
			})
		}
	})
	a.t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	return l.Addr().String(), seen
}

// Certificates and authorities are read for every connection; while they cannot be, the last ones
// serve, and never those of the system in place of the operator's.
func TestTransportReadsFilesAgain(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	cfg := Config{TLS: TLS{Enabled: true, CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "client.pem"), KeyFile: filepath.Join(dir, "client.key")}}
	writePEM(t, cfg.TLS.CAFile, "CERTIFICATE", a.cert.Raw)
	address, names := a.serve(tls.VersionTLS13)
	var log bytes.Buffer
	tr := newTransport(&cfg, slog.New(slog.NewTextHandler(&log, nil)))
	shows := func(want string) {
		t.Helper()
		c, err := tr.dial(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if got := <-names; got != want {
			t.Errorf("the client shows %q, want %q", got, want)
		}
	}
	a.install("first", cfg.TLS)
	shows("first")
	a.install("second", cfg.TLS)
	shows("second")
	if err := os.WriteFile(cfg.TLS.CertFile, []byte("half writ"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(cfg.TLS.CAFile); err != nil {
		t.Fatal(err)
	}
	shows("second")
	if !strings.Contains(log.String(), cfg.TLS.CertFile) || !strings.Contains(log.String(), cfg.TLS.CAFile) {
		t.Errorf("the log does not name the files: %s", log.String())
	}
	writePEM(t, cfg.TLS.CAFile, "CERTIFICATE", newAuthority(t).cert.Raw)
	if c, err := tr.dial(t.Context(), "tcp", address); err == nil {
		_ = c.Close()
		t.Error("a broker of an authority that is trusted no more was accepted")
	}
	if err := os.Remove(cfg.TLS.CAFile); err != nil {
		t.Fatal(err)
	}
	if _, err := newTransport(&cfg, slog.New(slog.DiscardHandler)).dial(t.Context(), "tcp", address); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without authorities from the beginning: %v", err)
	}
}

func TestTransportRefusesOldTLS(t *testing.T) {
	a := newAuthority(t)
	cfg := Config{TLS: TLS{Enabled: true, CAFile: filepath.Join(t.TempDir(), "ca.pem")}}
	writePEM(t, cfg.TLS.CAFile, "CERTIFICATE", a.cert.Raw)
	address, _ := a.serve(tls.VersionTLS11)
	if c, err := newTransport(&cfg, slog.New(slog.DiscardHandler)).dial(t.Context(), "tcp", address); err == nil {
		_ = c.Close()
		t.Error("TLS 1.1 was accepted")
	}
}

// remote is a connection that ends at another machine.
type remote struct{ net.Conn }

func (remote) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 9092} }

// A broker on loopback may name fellows elsewhere: a secret in clear does not follow.
func TestTransportKeepsSecretsHere(t *testing.T) {
	for mechanism, kept := range map[string]bool{SASLPlain: true, SASLOAuthBearer: true, SASLSCRAM512: false, "": false} {
		here, there := net.Pipe()
		cfg := Config{SASL: SASL{Mechanism: mechanism}, Dial: func(context.Context, string, string) (net.Conn, error) { return remote{here}, nil }}
		_, err := newTransport(&cfg, slog.New(slog.DiscardHandler)).dial(t.Context(), "tcp", "kafka-2.example.com:9092")
		if refused := errors.As(err, new(*ConfigError)); refused != kept {
			t.Errorf("%q: error is %v", mechanism, err)
		}
		_ = here.Close()
		_ = there.Close()
	}
}
