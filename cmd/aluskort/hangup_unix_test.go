//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHangupReloads: SIGHUP does what `aluskort reload` does.
func TestHangupReloads(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	s := serve(t, state)
	if err := os.WriteFile(filepath.Join(state, "rules", "mine.yml"), []byte(ownRule), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	// The reload is asynchronous; the server's own answer tells when it was made.
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(s.errs.String(), "changed=[rules]"); {
		if time.Now().After(deadline) {
			t.Fatalf("not reloaded: %s", s.errs)
		}
		s.want(t, exitDone, "taxonomy", "status")
	}
	if code := s.end(t); code != exitDone {
		t.Fatalf("serve ended with %d: %s", code, s.errs)
	}
}
