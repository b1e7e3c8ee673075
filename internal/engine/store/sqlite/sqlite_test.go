package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/storetest"
	"github.com/aluskort/aluskort/internal/id"
)

func TestSuite(t *testing.T) {
	var mu sync.Mutex
	paths := map[*testing.T]string{} // one file per test, so that a second open finds it
	storetest.Run(t, func(t *testing.T, migrations fs.FS) (store.DB, error) {
		mu.Lock()
		path, ok := paths[t]
		if !ok {
			path = filepath.Join(t.TempDir(), "state.db")
			paths[t] = path
		}
		mu.Unlock()
		db, err := Open(t.Context(), config(path, migrations))
		if err != nil {
			return nil, err
		}
		return db, nil
	})
}

func config(path string, migrations fs.FS) Config {
	return Config{Path: path, Migrations: migrations, Clock: clock.System{}, IDs: id.NewSource(nil)}
}

func mustOpen(t testing.TB, cfg Config) *DB {
	t.Helper()
	db, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func insert(n int) func(tx store.Tx) error {
	return func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO item (id) VALUES ($1)`, n)
		return err
	}
}

func count(t testing.TB, db *DB) (n int) {
	t.Helper()
	err := db.View(t.Context(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM item`).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSettings(t *testing.T) {
	cfg := config(filepath.Join(t.TempDir(), "odd ?#%20name.db"), storetest.Migrations(store.SQLite))
	cfg.CacheKiB = 16384
	db := mustOpen(t, cfg)
	if _, err := os.Stat(cfg.Path); err != nil {
		t.Fatalf("the file has another name: %v", err)
	}
	if info, err := os.Stat(cfg.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	want := map[string]string{
		"journal_mode": "wal", "synchronous": "2", "wal_autocheckpoint": "16000", "cache_size": "-16384", "foreign_keys": "1", "busy_timeout": "5000",
	}
	err := db.Update(t.Context(), func(tx store.Tx) error {
		for name, value := range want {
			var got string
			if err := tx.QueryRow("PRAGMA " + name).Scan(&got); err != nil || got != value {
				t.Errorf("writer: %s = %q, want %q (%v)", name, got, value, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(t.Context(), func(tx store.Tx) error {
		for name, value := range map[string]string{"cache_size": "-4096", "query_only": "1"} {
			var got string
			if err := tx.QueryRow("PRAGMA " + name).Scan(&got); err != nil || got != value {
				t.Errorf("reader: %s = %q, want %q (%v)", name, got, value, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := db.Version(t.Context()); err != nil || v != 1 {
		t.Errorf("version %d, %v", v, err)
	}
}

func TestReadOnly(t *testing.T) {
	cfg := config(filepath.Join(t.TempDir(), "state.db"), storetest.Migrations(store.SQLite))
	ro := cfg
	ro.ReadOnly = true
	if _, err := Open(t.Context(), ro); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("absent file: %v", err)
	}
	if _, err := os.Stat(cfg.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read-only open created the file: %v", err)
	}

	db := mustOpen(t, cfg)
	if err := db.Update(t.Context(), insert(1)); err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T) {
		t.Helper()
		r := mustOpen(t, ro)
		if n := count(t, r); n != 1 {
			t.Errorf("%d items", n)
		}
		if err := r.Update(t.Context(), insert(2)); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("Update: %v", err)
		}
		if r.Origin() != db.Origin() {
			t.Error("another origin")
		}
		if v, err := r.Version(t.Context()); err != nil || v != 1 {
			t.Errorf("version %d, %v", v, err)
		}
	}
	t.Run("beside the writer", check)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("alone", check)
}

func TestNotADatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, []byte("this file is a letter, not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), config(path, nil)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(t.Context(), config(filepath.Join(path, "state.db"), nil)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("directory that is a file: %v", err)
	}
}

func TestWaitForWriterEndsWithContext(t *testing.T) {
	db := mustOpen(t, config(filepath.Join(t.TempDir(), "state.db"), storetest.Migrations(store.SQLite)))
	running, finish := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- db.Update(t.Context(), func(tx store.Tx) error {
			close(running)
			<-finish
			return insert(1)(tx)
		})
	}()
	<-running
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() { second <- db.Update(ctx, insert(2)) }()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting caller got %v", err)
	}
	close(finish)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n := count(t, db); n != 1 {
		t.Errorf("%d items, want 1", n)
	}
}

func TestGoexitInUpdateLeavesTheWriterAlive(t *testing.T) {
	db := mustOpen(t, config(filepath.Join(t.TempDir(), "state.db"), storetest.Migrations(store.SQLite)))
	var wg sync.WaitGroup
	wg.Go(func() {
		st := &testing.T{}
		_ = db.Update(context.Background(), func(tx store.Tx) error {
			if err := insert(1)(tx); err != nil {
				return err
			}
			st.FailNow() // calls runtime.Goexit
			return nil
		})
		t.Error("Update returned")
	})
	wg.Wait()
	if err := db.Update(t.Context(), insert(2)); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db); n != 1 {
		t.Errorf("%d items, want the second only", n)
	}
}

func TestDiskFull(t *testing.T) {
	db := mustOpen(t, config(filepath.Join(t.TempDir(), "state.db"), storetest.Migrations(store.SQLite)))
	pages := func(n int) {
		t.Helper()
		err := db.Update(t.Context(), func(tx store.Tx) error {
			var got int
			if err := tx.QueryRow("PRAGMA page_count").Scan(&got); err != nil {
				return err
			}
			query := "PRAGMA max_page_count = 1000000"
			if n == 0 {
				query = "PRAGMA max_page_count = 1" // SQLite raises it to what is in use
			}
			return tx.QueryRow(query).Scan(&got)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	pages(0)
	err := db.Update(t.Context(), func(tx store.Tx) error {
		_, _ = tx.Exec(`INSERT INTO item (id, data) VALUES (1, $1)`, make([]byte, 1<<20))
		return nil // the failure is not the caller's to hide
	})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d items after a full disk", n)
	}
	pages(1)
	if err := db.Update(t.Context(), insert(2)); err != nil {
		t.Errorf("after space came back: %v", err)
	}
}

func TestPositional(t *testing.T) {
	tests := []struct{ query, want string }{
		{"INSERT INTO t VALUES ($1,$2),($3,$4)", "INSERT INTO t VALUES (?,?),(?,?)"},
		{"SELECT 1", "SELECT 1"},
		{"SELECT $1, $1", "SELECT $1, $1"},
		{"SELECT $2, $1", "SELECT $2, $1"},
		{"SELECT '$1', $1", "SELECT '$1', $1"},
		{"SELECT $1 -- $2", "SELECT $1 -- $2"},
		{"SELECT $name", "SELECT $name"},
		{"SELECT $01", "SELECT $01"},
		{"SELECT $1 + ?", "SELECT $1 + ?"},
	}
	for _, tt := range tests {
		if got := positional(tt.query); got != tt.want {
			t.Errorf("positional(%q) = %q, want %q", tt.query, got, tt.want)
		}
	}
}

// TestAheadWaitsForOneOther: who is ahead has every other turn, so neither waits for the whole line
// of the others.
func TestAheadWaitsForOneOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &DB{requests: make(chan *request), ahead: make(chan *request), closing: make(chan struct{})}
		var queued sync.WaitGroup
		ask := func(queue chan *request, n int) {
			for range n {
				queued.Go(func() { queue <- &request{} })
			}
			synctest.Wait()
		}
		order := func(n int) (got string) {
			last := db.requests
			for range n {
				_, last = db.next(last)
				if last == db.ahead {
					got += "a"
				} else {
					got += "-"
				}
			}
			return got
		}
		ask(db.requests, 4)
		ask(db.ahead, 1)
		if got := order(5); got != "a----" {
			t.Errorf("one ahead of four: %s", got)
		}
		ask(db.requests, 3)
		ask(db.ahead, 5)
		if got := order(8); got != "a-a-a-aa" {
			t.Errorf("five ahead beside three: %s", got)
		}
		queued.Wait()
		close(db.closing)
		if r, _ := db.next(db.requests); r != nil {
			t.Error("a closed database serves")
		}
	})
}

func TestAheadCommits(t *testing.T) {
	db := mustOpen(t, config(filepath.Join(t.TempDir(), "state.db"), storetest.Migrations(store.SQLite)))
	if err := db.Update(store.Ahead(t.Context()), insert(1)); err != nil {
		t.Fatal(err)
	}
}

// hasty is a clock whose timers fire at once.
type hasty struct{ clock.System }

func (hasty) NewTimer(time.Duration) *time.Timer { return time.NewTimer(0) }

// TestTheWALIsCopiedBesideTheWriter: what was committed reaches the file although no commit had to
// copy it, while readers read and the writer writes.
func TestTheWALIsCopiedBesideTheWriter(t *testing.T) {
	cfg := config(filepath.Join(t.TempDir(), "state.db"), storetest.Migrations(store.SQLite))
	cfg.Clock = hasty{}
	db := mustOpen(t, cfg)
	size := func() int64 {
		info, err := os.Stat(cfg.Path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before, next := size(), 0
	for begin := time.Now(); size() < before+100<<10; {
		if time.Since(begin) > time.Minute {
			t.Fatalf("after %d commits the file still has %d bytes", next, size())
		}
		err := db.Update(t.Context(), func(tx store.Tx) error {
			for range 200 {
				next++
				if _, err := tx.Exec(`INSERT INTO item (id) VALUES ($1)`, next); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(t.Context(), func(tx store.Tx) error {
			var n int
			if err := tx.QueryRow(`SELECT COUNT(*) FROM item`).Scan(&n); err != nil || n != next {
				t.Errorf("%d rows of %d, %v", n, next, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
