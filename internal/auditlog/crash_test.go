package auditlog

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/crash"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
)

// childEnv makes the test binary a producer that appends to the database it names until it dies.
const childEnv = "AUDITLOG_TEST_DATABASE"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		dbtest.Main(m) // only TestAppendUntilKilled is selected
		os.Exit(1)
	}
	os.Exit(dbtest.Main(m))
}

// TestAppendUntilKilled is the child of TestA1; it does nothing when run by itself.
func TestAppendUntilKilled(t *testing.T) {
	path := os.Getenv(childEnv)
	if path == "" {
		t.Skip("runs as the child of TestA1A2KilledInAppend")
	}
	s := newService(t, openAudit(t, path))
	ctx := context.Background()
	last, err := s.OriginSequence(ctx, "acme", "a")
	if err != nil {
		t.Fatal(err)
	}
	// A producer repeats what may not have been acknowledged.
	for next := max(1, last-3); ; next += 7 {
		if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", next, next+3), messageOf(t, "a", "acme", next+4, next+6)}); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("durable %d\n", next+6)
	}
}

// TestA1A2KilledInAppend kills the writer by SIGKILL inside the transaction, right after the
// commit and at any moment, and checks after each death that every acknowledged event is there
// once, that the chain verifies and that the next writer continues it.
func TestA1A2KilledInAppend(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	path := filepath.Join(t.TempDir(), "audit.db")
	points := []string{
		crash.InAppend + ":1", crash.AfterAppend + ":1", crash.InAppend + ":2", crash.AfterAppend + ":3", crash.InAppend + ":5",
		"", "", "", "", "", "",
	}
	for i, point := range points {
		acked := killChild(t, path, point)
		checkAfterCrash(t, path, fmt.Sprintf("run %d at %q", i, point), acked)
	}
}

// killChild runs a child until it dies and returns the last event that it called durable.
func killChild(t *testing.T, path, point string) int64 {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAppendUntilKilled$")
	cmd.Env = append(os.Environ(), childEnv+"="+path, dbtest.Child(), crash.Env+"="+point)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := rand.IntN(20) + 1
	acked := int64(0)
	for in := bufio.NewScanner(out); in.Scan(); {
		text, ok := strings.CutPrefix(in.Text(), "durable ")
		if !ok {
			continue
		}
		if acked, err = strconv.ParseInt(text, 10, 64); err != nil {
			t.Fatal(err)
		}
		if lines--; lines == 0 && point == "" {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the child was to be killed and ended by itself: %v", err)
	}
	return acked
}

func checkAfterCrash(t *testing.T, path, what string, acked int64) {
	t.Helper()
	db := openAudit(t, path)
	s := newService(t, db)
	last, err := s.OriginSequence(t.Context(), "acme", "a")
	if err != nil || last < acked {
		t.Fatalf("%s: event %d was acknowledged, the chain has %d: %v", what, acked, last, err)
	}
	if last == 0 {
		return // killed before the first commit
	}
	ids := contents(t, s, "acme")
	if int64(len(ids)) != last+1 {
		t.Fatalf("%s: %d records for %d events and a genesis", what, len(ids), last)
	}
	for i, id := range ids[1:] {
		if id != fmt.Sprintf("a/%d", i+1) {
			t.Fatalf("%s: event %d is %s", what, i+1, id)
		}
	}
	mustVerify(t, s, "acme")
}
