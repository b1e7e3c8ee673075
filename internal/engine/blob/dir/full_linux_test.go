package dir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aluskort/aluskort/internal/engine/blob"
)

// smallDisk mounts a file system of 2 MB.
func smallDisk(t *testing.T) string {
	t.Helper()
	at := t.TempDir()
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return at
}

func TestFullDisk(t *testing.T) {
	at := smallDisk(t)
	e := mustOpen(t, Config{Root: filepath.Join(at, "objects"), JournalBytes: 100_000}, osDisk{})
	var kept [][]byte
	var err error
	for i := 0; i < 400 && err == nil; i++ {
		b := text(i, 10_000)
		if _, err = e.Put(t.Context(), "acme", b); err == nil {
			kept = append(kept, b)
		}
	}
	if !errors.Is(err, blob.ErrUnavailable) || !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("after %d objects: %v", len(kept), err)
	}
	big := strings.Repeat("x", 3<<20)
	if _, err := e.PutNamed(t.Context(), "acme", "big", strings.NewReader(big), blob.Protection{}); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("named on a full disk: %v", err)
	}
	if _, err := e.Stat(t.Context(), "acme", "big"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("half of it is there: %v", err)
	}
	if err := unix.Mount("", at, "", unix.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Put(t.Context(), "acme", []byte("space is back")); err != nil {
		t.Errorf("space is back: %v", err)
	}
	if _, err := e.PutNamed(t.Context(), "acme", "big", strings.NewReader(big), blob.Protection{}); err != nil {
		t.Errorf("space is back: %v", err)
	}
	mustClose(t, e)
	again := mustOpen(t, Config{Root: filepath.Join(at, "objects")}, osDisk{})
	defer mustClose(t, again)
	for _, b := range kept {
		if _, err := again.Get(t.Context(), "acme", blob.Ref(b)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadOnlyDisk(t *testing.T) {
	at := smallDisk(t)
	e := mustOpen(t, Config{Root: filepath.Join(at, "objects")}, osDisk{})
	ref, err := e.Put(t.Context(), "acme", []byte("before"))
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, e)
	if err := unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Root: e.root}); !errors.Is(err, blob.ErrUnavailable) || !errors.Is(err, unix.EROFS) {
		t.Errorf("open read-only: %v", err)
	}
	if err := unix.Mount("", at, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, Config{Root: e.root}, osDisk{})
	if err := unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if got, err := e.Get(t.Context(), "acme", ref); err != nil || string(got) != "before" {
		t.Errorf("read: %q, %v", got, err)
	}
	if _, err := e.Put(t.Context(), "acme", []byte("during")); !errors.Is(err, blob.ErrUnavailable) || !errors.Is(err, os.ErrPermission) && !errors.Is(err, unix.EROFS) {
		t.Errorf("put: %v", err)
	}
	if err := unix.Mount("", at, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Put(t.Context(), "acme", []byte("during")); err != nil {
		t.Errorf("writable again: %v", err)
	}
	mustClose(t, e)
}
