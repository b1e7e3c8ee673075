package qdrant

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	api "github.com/qdrant/go-client/qdrant"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/aluskort/aluskort/internal/engine/enginetest"
	"github.com/aluskort/aluskort/internal/engine/vector"
	"github.com/aluskort/aluskort/internal/engine/vector/qdrant/qdranttest"
	"github.com/aluskort/aluskort/internal/engine/vector/vectortest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, cfg Config) *Engine {
	t.Helper()
	e, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestSuite(t *testing.T) {
	addresses := map[*testing.T]string{}
	vectortest.Run(t, vectortest.Subject{Open: func(t *testing.T) vector.Engine {
		if addresses[t] == "" {
			addresses[t] = qdranttest.New(t).Listen(t, nil)
		}
		return open(t, Config{Address: addresses[t]})
	}})
}

// TestRealServer runs the suite against ALUSKORT_TEST_QDRANT, host:port of the gRPC interface.
func TestRealServer(t *testing.T) {
	address := enginetest.Address(t, "qdrant")
	vectortest.Run(t, vectortest.Subject{Approximate: true, Open: func(t *testing.T) vector.Engine {
		return open(t, Config{Address: address, Timeout: time.Minute, APIKeyFile: os.Getenv("ALUSKORT_TEST_QDRANT_KEY_FILE")})
	}})
}

var incidents = vector.Collection{
	Name: "incident_embeddings", Size: 3, Distance: vector.Cosine, Fields: map[string]vector.FieldType{"analytic": vector.Keyword},
}

func seeded(t *testing.T) (*qdranttest.Server, *Engine) {
	t.Helper()
	s := qdranttest.New(t)
	e := open(t, Config{Address: s.Listen(t, nil), Pause: time.Nanosecond, Timeout: time.Minute})
	if err := e.EnsureCollection(t.Context(), incidents); err != nil {
		t.Fatal(err)
	}
	err := e.Upsert(t.Context(), "acme", incidents.Name, []vector.Point{{ID: vector.Number(1), Vector: []float32{1, 0, 0}, Payload: vector.Payload{"analytic": "r"}}})
	if err != nil {
		t.Fatal(err)
	}
	return s, e
}

func search(ctx context.Context, e *Engine) ([]vector.Hit, error) {
	return e.Search(ctx, "acme", incidents.Name, vector.Query{Vector: []float32{1, 0, 0}, Limit: 1})
}

func TestCollectionsHaveTheAgreedIndex(t *testing.T) {
	s, _ := seeded(t)
	made := s.Created(incidents.Name)
	if made.GetHnswConfig().GetM() != 16 || made.GetHnswConfig().GetEfConstruct() != 200 {
		t.Errorf("HNSW: %v", made.GetHnswConfig())
	}
	tenants := 0
	for _, index := range s.Indexes() {
		if index.GetFieldName() == vector.KeyTenant && index.GetFieldIndexParams().GetKeywordIndexParams().GetIsTenant() {
			tenants++
		}
	}
	if tenants == 0 {
		t.Errorf("the tenant has no index of its own: %v", s.Indexes())
	}
}

// TestFaults has the server fail in each way and looks at what the caller is told.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		code  codes.Code
		times int
		want  error
		calls int
	}{
		{"away twice", codes.Unavailable, 2, nil, 3},
		{"away", codes.Unavailable, 99, vector.ErrUnavailable, 3},
		{"too busy once", codes.ResourceExhausted, 1, nil, 2},
		{"aborted once", codes.Aborted, 1, nil, 2},
		{"broken", codes.Internal, 99, vector.ErrUnavailable, 1},
		{"key refused", codes.PermissionDenied, 99, vector.ErrUnavailable, 1},
		{"dropped", codes.NotFound, 99, vector.ErrNotFound, 1},
		{"bad request", codes.InvalidArgument, 99, vector.ErrMisuse, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, e := seeded(t)
			left := c.times
			s.Fail(func(context.Context, string) error {
				if left--; left >= 0 {
					return status.Error(c.code, "injected")
				}
				return nil
			})
			before := s.Calls()
			hits, err := search(t.Context(), e)
			if !errors.Is(err, c.want) || c.want == nil && (err != nil || len(hits) != 1) {
				t.Errorf("got %v, %v, want %v", hits, err, c.want)
			}
			if n := s.Calls() - before; n != c.calls {
				t.Errorf("the server was asked %d times, want %d", n, c.calls)
			}
		})
	}
}

// TestSilentServer accepts and never answers: the deadline ends each attempt, and the caller's
// own ends all of them.
func TestSilentServer(t *testing.T) {
	s, _ := seeded(t)
	s.Fail(func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	})
	address := s.Listen(t, nil)
	e := open(t, Config{Address: address, Timeout: 20 * time.Millisecond, Attempts: 2, Pause: time.Nanosecond})
	if _, err := search(t.Context(), e); !errors.Is(err, vector.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := e.Ready(t.Context()); !errors.Is(err, vector.ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
	e = open(t, Config{Address: address, Timeout: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := search(ctx, e); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	e := open(t, Config{Address: address, Pause: time.Nanosecond})
	if err := e.EnsureCollection(t.Context(), incidents); !errors.Is(err, vector.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// TestDroppedElsewhere has the collection vanish and come back with another size.
func TestDroppedElsewhere(t *testing.T) {
	_, e := seeded(t)
	if err := e.DropCollection(t.Context(), incidents.Name); err != nil {
		t.Fatal(err)
	}
	other := incidents
	other.Size = 2
	if err := e.EnsureCollection(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if _, err := search(t.Context(), e); !errors.Is(err, vector.ErrDimension) {
		t.Errorf("got %v", err)
	}
}

// TestForeignAnswer has a server answer with what belongs to another tenant.
func TestForeignAnswer(t *testing.T) {
	for what, p := range map[string]map[string]*api.Value{
		"other tenant": {vector.KeyTenant: api.NewValueString("other"), vector.KeyID: api.NewValueString("1")},
		"no tenant":    {vector.KeyID: api.NewValueString("1")},
		"no id":        {vector.KeyTenant: api.NewValueString("acme")},
		"nothing":      nil,
	} {
		if _, _, err := fromPayload("acme", p); !errors.Is(err, vector.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAPIKey(t *testing.T) {
	s := qdranttest.New(t)
	s.Key = "s3cret"
	address := s.Listen(t, nil)
	file := filepath.Join(t.TempDir(), "key")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("s3cret\n")
	if err := open(t, Config{Address: address, APIKeyFile: file}).EnsureCollection(t.Context(), incidents); err != nil {
		t.Error(err)
	}
	if err := open(t, Config{Address: address}).Ready(t.Context()); !errors.Is(err, vector.ErrUnavailable) || strings.Contains(err.Error(), s.Key) {
		t.Errorf("without the key: %v", err)
	}
	if _, err := Open(Config{Address: "qdrant.example.com:6334", APIKeyFile: file}); !errors.Is(err, vector.ErrMisuse) {
		t.Errorf("a key in the clear: %v", err)
	}
	write("  \n")
	if _, err := Open(Config{Address: address, APIKeyFile: file}); !errors.Is(err, vector.ErrMisuse) {
		t.Errorf("an empty key: %v", err)
	}
	if _, err := Open(Config{Address: address, APIKeyFile: file + "-absent"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for _, bad := range []string{"", "localhost", "localhost:", "localhost:http", "localhost:0", "localhost:70000"} {
		if _, err := Open(Config{Address: bad}); !errors.Is(err, vector.ErrMisuse) {
			t.Errorf("address %q: %v", bad, err)
		}
	}
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s := qdranttest.New(t)
	address := s.Listen(t, credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}))
	trusted := x509.NewCertPool()
	trusted.AddCert(certificate)
	if err := open(t, Config{Address: address, TLS: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: trusted}}).Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := open(t, Config{Address: address, TLS: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: x509.NewCertPool()}}).Ready(t.Context()); !errors.Is(err, vector.ErrUnavailable) {
		t.Errorf("an unknown certificate: %v", err)
	}
	if err := open(t, Config{Address: address}).Ready(t.Context()); !errors.Is(err, vector.ErrUnavailable) {
		t.Errorf("in the clear: %v", err)
	}
}
