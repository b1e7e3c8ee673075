package dir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/blob/blobtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// movable is a clock that a test moves.
type movable struct {
	mu sync.Mutex
	at time.Time
}

func (c *movable) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *movable) NewTimer(d time.Duration) *time.Timer { return time.NewTimer(d) }

func (c *movable) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func flip(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, b, 0o600))
}

func TestSuite(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) *blobtest.Fixture {
		root := t.TempDir()
		c := &movable{at: time.Date(2026, 11, 2, 8, 0, 0, 500, time.UTC)}
		e, err := Open(Config{Root: root, Clock: c, JournalBytes: 100_000})
		if err != nil {
			t.Fatal(err)
		}
		return &blobtest.Fixture{
			Engine: e, Now: c.Now, Advance: c.advance,
			DamageContent: func(tenant, ref string) error {
				return flip(filepath.Join(root, "content", tenant, ref[7:9], ref[7:]))
			},
			DamageNamed: func(tenant, name string) error {
				return flip(filepath.Join(root, "named", tenant, name+"@", "body"))
			},
		}
	})
}

func mustOpen(t testing.TB, cfg Config, d disk) *Dir {
	t.Helper()
	e, err := open(cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustClose(t testing.TB, e *Dir) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestLayoutBeforeTenants(t *testing.T) {
	root := t.TempDir()
	old := []byte("put by an earlier release")
	ref := blob.Ref(old)
	path := filepath.Join(root, ref[7:9], ref[7:])
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, old, 0o400)); err != nil {
		t.Fatal(err)
	}
	e := mustOpen(t, Config{Root: root}, osDisk{})
	defer mustClose(t, e)
	if got, err := e.Get(t.Context(), "acme", ref); err != nil || string(got) != string(old) {
		t.Errorf("%q, %v", got, err)
	}
	if err := flip(path); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Get(t.Context(), "acme", ref); !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
}

func TestAnObjectBesideObjectsBelowItsName(t *testing.T) {
	e := mustOpen(t, Config{Root: t.TempDir()}, osDisk{})
	defer mustClose(t, e)
	for _, name := range []string{"a/b", "a", "a/b/body", "a/b/about"} {
		if _, err := e.PutNamed(t.Context(), "acme", name, strings.NewReader(name), blob.Protection{}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := e.List(t.Context(), "acme", "", "", 10)
	if err != nil || len(list) != 4 || list[0].Name != "a" || list[1].Name != "a/b" || list[2].Name != "a/b/about" {
		t.Errorf("%v, %v", list, err)
	}
	if err := e.Delete(t.Context(), "acme", "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Stat(t.Context(), "acme", "a/b"); err != nil {
		t.Errorf("deleted with the one above: %v", err)
	}
}

// TestProtectionThatCannotBeRead checks that what nobody can read protects.
func TestProtectionThatCannotBeRead(t *testing.T) {
	for _, damage := range []func(path string) error{
		func(path string) error {
			return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("{"), 0o600))
		},
		os.Remove,
	} {
		root := t.TempDir()
		e := mustOpen(t, Config{Root: root}, osDisk{})
		if _, err := e.PutNamed(t.Context(), "acme", "x", strings.NewReader("x"), blob.Protection{}); err != nil {
			t.Fatal(err)
		}
		if err := damage(filepath.Join(root, "named", "acme", "x@", "protection")); err != nil {
			t.Fatal(err)
		}
		if err := e.Delete(t.Context(), "acme", "x"); !errors.Is(err, blob.ErrRetained) || !errors.Is(err, blob.ErrDamaged) {
			t.Errorf("delete: %v", err)
		}
		if _, err := e.PutNamed(t.Context(), "acme", "x", strings.NewReader("y"), blob.Protection{}); !errors.Is(err, blob.ErrDamaged) {
			t.Errorf("put over it: %v", err)
		}
		mustClose(t, e)
	}
}

func TestTemporaryFilesOfACrashAreRemoved(t *testing.T) {
	root := t.TempDir()
	left := filepath.Join(root, "tmp", "7")
	if err := errors.Join(os.MkdirAll(left, 0o700), os.WriteFile(filepath.Join(left, "body"), []byte("half"), 0o400)); err != nil {
		t.Fatal(err)
	}
	e := mustOpen(t, Config{Root: root}, osDisk{})
	defer mustClose(t, e)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}
