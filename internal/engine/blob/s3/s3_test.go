package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"go.uber.org/goleak"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/blob/blobtest"
	"github.com/aluskort/aluskort/internal/engine/blob/s3/s3test"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is the real server of scripts/engine/s3, how the engine reaches it, and a client beside
// the engine.
type server struct {
	*s3test.Server
	cfg Config
	raw *minio.Client
}

func real(t testing.TB) *server {
	t.Helper()
	s := s3test.Open(t)
	return &server{Server: s, raw: s.Client, cfg: Config{Endpoint: s.Scheme + "://" + s.Host, PathStyle: true, AccessKey: s.User, SecretKey: s.Secret}}
}

// bucket makes a new bucket and returns a configuration for it.
func (s *server) bucket(t testing.TB, locking bool) Config {
	t.Helper()
	cfg := s.cfg
	cfg.Bucket = s.Bucket(t, locking)
	return cfg
}

func open(t testing.TB, cfg Config) *Bucket {
	t.Helper()
	b, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// overwrite puts other bytes under a key, with the metadata that the engine looks at.
func (s *server) overwrite(bucket, key, digest string) error {
	_, err := s.raw.PutObject(context.Background(), bucket, key, strings.NewReader("Evidence"), 8,
		minio.PutObjectOptions{UserMetadata: map[string]string{digestKey: digest}})
	return err
}

func fixture(t *testing.T, s *server, cfg Config) *blobtest.Fixture {
	b := open(t, cfg)
	digest, err := blob.Digest(blob.Ref([]byte("evidence")))
	if err != nil {
		t.Fatal(err)
	}
	f := &blobtest.Fixture{
		Engine: b, Now: clock.System{}.Now,
		DamageContent: func(tenant, ref string) error { return s.replace(b, tenant+"/content/"+ref[7:9]+"/"+ref[7:], digest) },
		DamageNamed:   func(tenant, name string) error { return s.replace(b, tenant+"/named/"+name, digest) },
	}
	f.DeleteBehind = func(tenant, name string) error {
		first, err := b.first(t.Context(), cfg.Prefix+"/"+tenant+"/named/"+name)
		if err != nil {
			return nil // nothing there to be deleted: the suite finds that wrong
		}
		return s.raw.RemoveObject(t.Context(), cfg.Bucket, first.Key, minio.RemoveObjectOptions{VersionID: first.VersionID, GovernanceBypass: cfg.Mode != Governance})
	}
	return f
}

// replace destroys all versions of a key and puts other bytes there.
func (s *server) replace(b *Bucket, key, digest string) error {
	key = b.cfg.Prefix + key
	all, err := b.versions(context.Background(), key)
	for _, v := range all {
		err = errors.Join(err, s.raw.RemoveObject(context.Background(), b.cfg.Bucket, key, minio.RemoveObjectOptions{VersionID: v.VersionID}))
	}
	return errors.Join(err, s.overwrite(b.cfg.Bucket, key, digest))
}

func TestSuite(t *testing.T) {
	s := real(t)
	for _, mode := range []Mode{Compliance, Governance} {
		t.Run(string(mode), func(t *testing.T) {
			blobtest.Run(t, func(t *testing.T) *blobtest.Fixture {
				cfg := s.bucket(t, true)
				cfg.Mode, cfg.Prefix = mode, "soc/aluskort"
				return fixture(t, s, cfg)
			})
		})
	}
}

// TestWhatLiesOnTop puts a delete marker and another version on evidence, as somebody with the
// right to write could.
func TestWhatLiesOnTop(t *testing.T) {
	s := real(t)
	cfg := s.bucket(t, true)
	b := open(t, cfg)
	ctx := t.Context()
	info, err := b.PutNamed(ctx, "acme", "head", strings.NewReader("evidence"), blob.Protection{RetainUntil: clock.System{}.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := b.Put(ctx, "acme", []byte("prompt"))
	if err != nil {
		t.Fatal(err)
	}
	key, content := "acme/named/head", "acme/content/"+ref[7:9]+"/"+ref[7:]
	check := func(what string) {
		t.Helper()
		r, got, err := b.Open(ctx, "acme", "head")
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var buf bytes.Buffer
		_, err = buf.ReadFrom(r)
		if err = errors.Join(err, r.Close()); err != nil || buf.String() != "evidence" || got.SHA256 != info.SHA256 || got.Created != info.Created {
			t.Errorf("%s: %q, %+v, %v", what, buf.String(), got, err)
		}
		// versitygw v1.8.0 keeps the lock of a version that is not the newest and does not tell it.
		if err := b.Delete(ctx, "acme", "head"); !errors.Is(err, blob.ErrRetained) {
			t.Errorf("%s: delete: %v", what, err)
		}
		if _, err := b.PutNamed(ctx, "acme", "head", strings.NewReader("forged"), blob.Protection{}); !errors.Is(err, blob.ErrExists) {
			t.Errorf("%s: put again: %v", what, err)
		}
		if list, err := b.List(ctx, "acme", "", "", 10); err != nil || len(list) != 1 || list[0].Size != 8 {
			t.Errorf("%s: list %v, %v", what, list, err)
		}
		if got, err := b.Get(ctx, "acme", ref); err != nil || string(got) != "prompt" {
			t.Errorf("%s: content %q, %v", what, got, err)
		}
	}
	check("untouched")
	if err := s.overwrite(cfg.Bucket, key, strings.Repeat("0", 64)); err != nil {
		t.Fatal(err)
	}
	if err := s.overwrite(cfg.Bucket, content, strings.Repeat("0", 64)); err != nil {
		t.Fatal(err)
	}
	check("another version")
	for _, k := range []string{key, content} {
		if err := s.raw.RemoveObject(ctx, cfg.Bucket, k, minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	check("a delete marker")
}

// TestShorteningIsRefusedByTheStore asks the store itself.
func TestShorteningIsRefusedByTheStore(t *testing.T) {
	s := real(t)
	cfg := s.bucket(t, true)
	b := open(t, cfg)
	until := clock.System{}.Now().Add(time.Hour)
	if _, err := b.PutNamed(t.Context(), "acme", "head", strings.NewReader("x"), blob.Protection{RetainUntil: until}); err != nil {
		t.Fatal(err)
	}
	mode, sooner := minio.Compliance, until.Add(-time.Minute)
	err := s.raw.PutObjectRetention(t.Context(), cfg.Bucket, "acme/named/head",
		minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &sooner, GovernanceBypass: true})
	if err == nil {
		t.Error("the store shortened a retention")
	}
}

func TestBucketWithoutLock(t *testing.T) {
	s := real(t)
	cfg := s.bucket(t, false)
	b := open(t, cfg)
	ctx := t.Context()
	if b.Locking() {
		t.Fatal("has object lock")
	}
	for _, p := range []blob.Protection{{Hold: true}, {RetainUntil: clock.System{}.Now().Add(time.Hour)}} {
		if _, err := b.PutNamed(ctx, "acme", "x", strings.NewReader("x"), p); !errors.Is(err, blob.ErrUnsupported) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	info, err := b.PutNamed(ctx, "acme", "x", strings.NewReader("x"), blob.Protection{})
	if err != nil || info.Enforced {
		t.Fatalf("%+v, %v", info, err)
	}
	if _, err := b.PutNamed(ctx, "acme", "x", strings.NewReader("y"), blob.Protection{}); !errors.Is(err, blob.ErrExists) {
		t.Errorf("again: %v", err)
	}
	if err := b.SetHold(ctx, "acme", "x", true); !errors.Is(err, blob.ErrUnsupported) {
		t.Errorf("hold: %v", err)
	}
	if list, err := b.List(ctx, "acme", "", "", 5); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if err := b.Delete(ctx, "acme", "x"); err != nil {
		t.Error(err)
	}
	if _, err := b.Stat(ctx, "acme", "x"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("after deletion: %v", err)
	}
}

func TestChecksumIsKeptByTheStore(t *testing.T) {
	s := real(t)
	cfg := s.bucket(t, true)
	b := open(t, cfg)
	ref, err := b.Put(t.Context(), "acme", []byte("prompt"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.raw.StatObject(t.Context(), cfg.Bucket, "acme/content/"+ref[7:9]+"/"+ref[7:], minio.StatObjectOptions{Checksum: true})
	if err != nil || o.ChecksumSHA256 == "" {
		t.Errorf("checksum %q, %v", o.ChecksumSHA256, err)
	}
	// Bytes that do not have the digest stated are not taken.
	if _, err := b.create(t.Context(), "acme/x", strings.NewReader("changed"), 7, ref[7:], blob.Protection{}); err == nil {
		t.Error("the store took bytes of another digest")
	}
}

func TestCredentialsFromFiles(t *testing.T) {
	s := real(t)
	cfg := s.bucket(t, true)
	dir := t.TempDir()
	cfg.AccessKeyFile, cfg.SecretKeyFile = filepath.Join(dir, "access"), filepath.Join(dir, "secret")
	if err := errors.Join(os.WriteFile(cfg.AccessKeyFile, []byte(cfg.AccessKey+"\n"), 0o600), os.WriteFile(cfg.SecretKeyFile, []byte(cfg.SecretKey+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	cfg.AccessKey, cfg.SecretKey = "", ""
	b := open(t, cfg)
	if _, err := b.Put(t.Context(), "acme", []byte("x")); err != nil {
		t.Error(err)
	}
	wrong := cfg
	wrong.AccessKeyFile, wrong.SecretKeyFile, wrong.AccessKey, wrong.SecretKey = "", "", "nobody", "nothing"
	if _, err := Open(t.Context(), wrong); !errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("wrong credentials: %v", err)
	}
	wrong = cfg
	wrong.Bucket = "not-there"
	if _, err := Open(t.Context(), wrong); !errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("no such bucket: %v", err)
	}
}

func TestConfig(t *testing.T) {
	good := Config{Endpoint: "https://s3.example.com", Bucket: "b"}
	for name, change := range map[string]func(*Config){
		"no endpoint":        func(c *Config) { c.Endpoint = "" },
		"no scheme":          func(c *Config) { c.Endpoint = "s3.example.com" },
		"another scheme":     func(c *Config) { c.Endpoint = "ftp://s3.example.com" },
		"a path":             func(c *Config) { c.Endpoint += "/bucket" },
		"secrets in the URL": func(c *Config) { c.Endpoint = "https://key:secret@s3.example.com" },
		"no bucket":          func(c *Config) { c.Bucket = "" },
		"a strange mode":     func(c *Config) { c.Mode = "STRICT" },
		"half a pair":        func(c *Config) { c.AccessKey = "x" },
		"half a pair, files": func(c *Config) { c.SecretKeyFile = "x" },
		"a bad prefix":       func(c *Config) { c.Prefix = "/x" },
		"no certificates":    func(c *Config) { c.CAFile = "/does/not/exist" },
	} {
		cfg := good
		change(&cfg)
		_, err := Open(t.Context(), cfg)
		if !errors.Is(err, blob.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "key:secret") {
			t.Errorf("%s: the error tells the secret: %v", name, err)
		}
	}
}

// BenchmarkPutMany64 puts 64 objects of 8 KB.
func BenchmarkPutMany64(b *testing.B) {
	s := real(b)
	bucket := open(b, s.bucket(b, true))
	n := 0
	b.SetBytes(64 * 8 << 10)
	for b.Loop() {
		batch := make([][]byte, 64)
		for k := range batch {
			n++
			batch[k] = make([]byte, 8<<10)
			copy(batch[k], fmt.Sprint(n))
		}
		if _, err := bucket.PutMany(b.Context(), "acme", batch); err != nil {
			b.Fatal(err)
		}
	}
}
