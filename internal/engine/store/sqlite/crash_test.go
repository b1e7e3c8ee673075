//go:build unix

package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/crash"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/storetest"
)

// The test binary is its own process under test: childEnv names what it plays, pathEnv its
// database.
const (
	childEnv = "SQLITE_TEST_CHILD"
	pathEnv  = "SQLITE_TEST_PATH"
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "writer":
		err = childWriter(os.Getenv(pathEnv))
	case "relay":
		err = childRelay(os.Getenv(pathEnv))
	case "failing sync":
		err = childFailingSync(os.Getenv(pathEnv))
	case "short of space":
		err = childShortOfSpace(os.Getenv(pathEnv))
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func child(t *testing.T, role, path string, env ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), append(env, childEnv+"="+role, pathEnv+"="+path)...)
	return cmd
}

// childWriter commits for ever from several goroutines, and prints each number after Update
// has returned nil for it.
func childWriter(path string) error {
	db, err := Open(context.Background(), config(path, storetest.Migrations(store.SQLite)))
	if err != nil {
		return err
	}
	const writers = 4
	failed := make(chan error)
	for w := range writers {
		go func() {
			for i := w; ; i += writers {
				if err := db.Update(context.Background(), insert(i)); err != nil {
					failed <- err
				}
				fmt.Println(i)
			}
		}()
	}
	return <-failed
}

func TestKilledProcessKeepsWhatItAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	cmd := child(t, "writer", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged []int
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Errorf("child says %q", lines.Text())
			break
		}
		acknowledged = append(acknowledged, n)
		if len(acknowledged) == 300 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait() // killed, as intended
	if len(acknowledged) < 300 {
		t.Fatalf("the child ended after %d updates", len(acknowledged))
	}
	db := mustOpen(t, config(path, storetest.Migrations(store.SQLite)))
	err = db.View(t.Context(), func(tx store.Tx) error {
		for _, n := range acknowledged {
			var id int
			if err := tx.QueryRow(`SELECT id FROM item WHERE id = $1`, n).Scan(&id); err != nil {
				t.Errorf("acknowledged row %d: %v", n, err)
			}
		}
		var verdict string
		if err := tx.QueryRow(`PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
			t.Errorf("integrity check: %q, %v", verdict, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(t.Context(), insert(-1)); err != nil {
		t.Errorf("the reopened database cannot be written: %v", err)
	}
}

// fileBus is a bus that is a file: one line per message, synced before it is acknowledged.
type fileBus struct{ path string }

func (b fileBus) Publish(_ context.Context, msgs []store.Outgoing) error {
	f, err := os.OpenFile(b.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for _, m := range msgs {
		if _, err := fmt.Fprintln(f, string(m.Payload)); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(f.Sync(), f.Close())
}

// childRelay appends ten messages, one Update each, beside a running relay, and ends when all
// are published.
func childRelay(path string) error {
	db, err := Open(context.Background(), config(path, storetest.Migrations(store.SQLite)))
	if err != nil {
		return err
	}
	relay := store.NewRelay(db, fileBus{path + ".bus"}, clock.System{}, store.RelayOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	var have int
	if err := db.View(ctx, func(tx store.Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM item`).Scan(&have) }); err != nil {
		return err
	}
	for i := have; i < 10; i++ {
		err := db.Update(ctx, func(tx store.Tx) error {
			if err := insert(i)(tx); err != nil {
				return err
			}
			msg := store.Message{Topic: "audit.events", Key: []byte("k"), Tenant: "default", Payload: []byte(strconv.Itoa(i))}
			return relay.Outbox().Append(tx, msg)
		})
		if err != nil {
			return err
		}
	}
	for {
		seen, err := published(path)
		if err != nil {
			return err
		}
		if len(seen) == 10 {
			break
		}
	}
	cancel()
	return errors.Join(<-ended, db.Close())
}

// published returns the distinct messages on the file bus.
func published(path string) (map[string]bool, error) {
	text, err := os.ReadFile(path + ".bus")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		seen[strings.TrimSuffix(line, "\n")] = true
	}
	return seen, nil
}

func TestRelaySurvivesCrash(t *testing.T) {
	for _, point := range []string{crash.BeforeRelay, crash.AfterRelay} {
		for _, passing := range []string{"", ":2"} {
			t.Run(point+passing, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "state.db")
				// Publishing may take all messages at once, then the second passing never comes.
				out, err := child(t, "relay", path, crash.Env+"="+point+passing).CombinedOutput()
				var exit *exec.ExitError
				if err == nil && passing == "" || err != nil && (!errors.As(err, &exit) || exit.ExitCode() != -1) {
					t.Fatalf("first run: %v\n%s", err, out)
				}
				if out, err := child(t, "relay", path).CombinedOutput(); err != nil {
					t.Fatalf("second run: %v\n%s", err, out)
				}
				seen, err := published(path)
				if err != nil {
					t.Fatal(err)
				}
				for i := range 10 {
					if !seen[strconv.Itoa(i)] {
						t.Errorf("message %d was lost", i)
					}
				}
				db := mustOpen(t, config(path, storetest.Migrations(store.SQLite)))
				if n := count(t, db); n != 10 {
					t.Errorf("%d items, want 10", n)
				}
			})
		}
	}
}

// childShortOfSpace lets every write beyond a limit fail with an I/O error and prints what
// becomes of its updates.
func childShortOfSpace(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	db, err := Open(context.Background(), config(path, storetest.Migrations(store.SQLite)))
	if err != nil {
		return err
	}
	big := make([]byte, 1<<20)
	write := func(id int) error {
		return db.Update(context.Background(), func(tx store.Tx) error {
			tx.OnCommit(func() { fmt.Println("hook", id) })
			_, err := tx.Exec(`INSERT INTO item (id, data) VALUES ($1, $2)`, id, big)
			return err
		})
	}
	limit := func(bytes uint64) error {
		var l syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			return err
		}
		l.Cur = min(bytes, l.Max)
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)
	}
	say := func(id int, err error) {
		fmt.Println(id, err == nil, errors.Is(err, store.ErrUnavailable))
	}
	say(1, write(1))
	if err := limit(1 << 20); err != nil {
		return err
	}
	say(2, write(2))
	say(3, write(3))
	if err := limit(1 << 40); err != nil {
		return err
	}
	say(4, write(4))
	var n int
	if err := db.View(context.Background(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM item`).Scan(&n)
	}); err != nil {
		return err
	}
	fmt.Println("rows", n)
	return db.Close()
}

func TestWriteErrorIsReportedAndRecovered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	out, err := child(t, "short of space", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const want = "hook 1\n1 true false\n2 false true\n3 false true\nhook 4\n4 true false\nrows 2\n"
	if string(out) != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
	if n := count(t, mustOpen(t, config(path, nil))); n != 2 {
		t.Errorf("%d rows after reopening, want 2", n)
	}
}

// childFailingSync commits thirty rows and more one by one and prints which were acknowledged, then
// which are there. It ends with one that was: what failed last could be found again at the next
// start, since its bytes may have reached the disk all the same.
func childFailingSync(path string) error {
	db, err := Open(context.Background(), config(path, nil))
	if err != nil {
		return err
	}
	rows := 0
	for last := false; rows < 30 || !last; rows++ {
		err := db.Update(context.Background(), insert(rows))
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		last = err == nil
		fmt.Println("acknowledged", rows, last)
	}
	err = db.View(context.Background(), func(tx store.Tx) error {
		for i := range rows {
			var n int
			if err := tx.QueryRow(`SELECT COUNT(*) FROM item WHERE id = $1`, i).Scan(&n); err != nil {
				return err
			}
			fmt.Println("present", i, n == 1)
		}
		return nil
	})
	return errors.Join(err, db.Close())
}

// TestFailedSyncIsNoCommit lets every fourth fdatasync of a thread fail with EIO.
func TestFailedSyncIsNoCommit(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace to make fdatasync fail")
	}
	if out, err := exec.Command(strace, "-f", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace may not trace here: %s", out)
	}
	path := filepath.Join(t.TempDir(), "state.db")
	db := mustOpen(t, config(path, storetest.Migrations(store.SQLite)))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := child(t, "failing sync", path)
	cmd.Args = append([]string{strace, "-f", "-o", os.DevNull, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=3+4"}, cmd.Args...)
	cmd.Path = strace
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	acknowledged, present := map[string]string{}, map[string]string{}
	failed := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			t.Fatalf("child says %q", line)
		}
		if f[0] == "present" {
			present[f[1]] = f[2]
			continue
		}
		acknowledged[f[1]] = f[2]
		if f[2] == "false" {
			failed++
		}
	}
	if failed == 0 || failed == len(acknowledged) {
		t.Fatalf("%d of %d commits failed; the test shows nothing", failed, len(acknowledged))
	}
	for i, ok := range acknowledged {
		if present[i] != ok {
			t.Errorf("row %s: acknowledged %s, present %s", i, ok, present[i])
		}
	}
	db = mustOpen(t, config(path, nil))
	if n := count(t, db); n != len(acknowledged)-failed {
		t.Errorf("%d rows after reopening, want the %d acknowledged", n, len(acknowledged)-failed)
	}
}
