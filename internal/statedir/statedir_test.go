package statedir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestSecondProcessIsKeptOut(t *testing.T) {
	root := filepath.Join(t.TempDir(), "state")
	d, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(root)
	var locked *LockedError
	if !errors.Is(err, ErrLocked) || !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Fatalf("second open: %v", err)
	}
	if _, err := View(root); err != nil {
		t.Errorf("reading must not need the lock: %v", err)
	}
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Error(err)
	}
	again, err := Open(root)
	if err != nil {
		t.Fatalf("after close: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if s, err := os.Stat(root); err != nil || s.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", s.Mode(), err)
	}
}

func TestFormat(t *testing.T) {
	root := t.TempDir()
	if _, err := View(root); err == nil {
		t.Error("a directory without format is no state directory")
	}
	for content, want := range map[string]error{"1\n": nil, "2\n": ErrNewer, "x": errors.ErrUnsupported} {
		if err := os.WriteFile(filepath.Join(root, "FORMAT"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Open(root)
		switch {
		case want == nil && err != nil, want != nil && err == nil:
			t.Errorf("%q: %v", content, err)
		case want == ErrNewer && !errors.Is(err, ErrNewer):
			t.Errorf("%q: %v", content, err)
		}
		if d != nil {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
