package blob

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDir(t *testing.T) {
	ctx := context.Background()
	root := t.TempDir()
	d, err := OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []byte("native\x00bytes\xff")
	ref, err := d.Put(ctx, want)
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.Put(ctx, want)
	if err != nil || again != ref {
		t.Errorf("second put: %q, %v", again, err)
	}
	if got, err := d.Get(ctx, ref); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{"", "sha256:", "sha256:../../etc/passwd", scheme + strings.Repeat("z", 64), scheme + strings.Repeat("0", 64)} {
		if _, err := d.Get(ctx, bad); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	path := filepath.Join(root, ref[7:9], ref[7:])
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("other"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(ctx, ref); !errors.Is(err, ErrDamaged) {
		t.Errorf("changed bytes: %v", err)
	}
}
