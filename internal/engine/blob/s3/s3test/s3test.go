// Package s3test makes buckets for tests on the real server that enginetest knows.
package s3test

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/aluskort/aluskort/internal/engine/enginetest"
)

// Server is the server and a client of it, beside the engine.
type Server struct {
	// Scheme is http or https, Host is host:port.
	Scheme, Host string
	User, Secret string
	Client       *minio.Client
}

// Open returns the server; without one the test is skipped, or fails where engines are required.
func Open(t testing.TB) *Server {
	t.Helper()
	u, err := url.Parse(enginetest.Address(t, "s3"))
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Scheme: u.Scheme, Host: u.Host, User: u.User.Username()}
	s.Secret, _ = u.User.Password()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	s.Client, err = minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(s.User, s.Secret, ""), Region: "us-east-1", Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Bucket makes a new bucket and returns its name.
func (s *Server) Bucket(t testing.TB, locking bool) string {
	t.Helper()
	name := "test-" + strings.ToLower(rand.Text())
	if err := s.Client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{ObjectLocking: locking}); err != nil {
		t.Fatal(err)
	}
	return name
}
