package queue

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/blob/dir"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/engine/store/sqlite"
	"github.com/aluskort/aluskort/internal/id"
)

// These tests kill a process while it fills the queue and while it empties it.

const (
	killedEnv = "ALUSKORT_TEST_QUEUE" // state of the process to be killed; set in it only
	drainEnv  = "ALUSKORT_TEST_DRAIN"
	killTexts = 200
)

func killText(i int) []byte { return fmt.Appendf(nil, "evidence %d", i) }

// mortal is a store that dies after it took a chunk, before the queue hears of it.
type mortal struct{ blob.Engine }

func (m mortal) PutMany(ctx context.Context, tenant string, objects [][]byte) ([]string, error) {
	if _, err := m.Engine.PutMany(ctx, tenant, objects); err != nil {
		return nil, err
	}
	p, err := os.FindProcess(os.Getpid())
	if err != nil {
		return nil, err
	}
	return nil, errors.Join(p.Kill(), errors.New("still alive"))
}

// killed is the process: it queues and tells, or drains.
func killed(root string) int {
	err := func() error {
		ctx := context.Background()
		db, err := sqlite.Open(ctx, sqlite.Config{
			Path: filepath.Join(root, "state.db"), Migrations: schema.FS, MigrationsDir: schema.SQLiteDir, CacheKiB: 1024, IDs: id.NewSource(nil),
		})
		if err != nil {
			return err
		}
		d, err := dir.Open(dir.Config{Root: filepath.Join(root, "objects")})
		if err != nil {
			return err
		}
		if os.Getenv(drainEnv) != "" {
			q, err := Open(ctx, Config{DB: db, Open: func(context.Context) (blob.Engine, error) { return mortal{d}, nil }})
			if err != nil {
				return err
			}
			return q.Drain(ctx)
		}
		q, err := Open(ctx, Config{DB: db, Open: func(context.Context) (blob.Engine, error) { return fullStore{d}, nil }})
		for i := 0; err == nil; i++ {
			if _, err = q.Put(ctx, "acme", killText(i)); err == nil {
				fmt.Println(i)
			}
		}
		return err
	}()
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func again(t *testing.T, root string, env ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(append(os.Environ(), killedEnv+"="+root), env...)
	c.Stderr = os.Stderr
	return c
}

func TestKilled(t *testing.T) {
	dbtest.SQLiteOnly(t, "the process is killed beside its database")
	root := t.TempDir()
	filling := again(t, root)
	out, err := filling.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := filling.Start(); err != nil {
		t.Fatal(err)
	}
	told := -1
	for lines := bufio.NewScanner(out); told < killTexts-1 && lines.Scan(); {
		if _, err := fmt.Sscan(lines.Text(), &told); err != nil {
			t.Fatal(err)
		}
	}
	if err := filling.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = filling.Wait()
	// Twice the draining process dies between the store and the queue.
	for range 2 {
		if err := again(t, root, drainEnv+"=1").Run(); err == nil {
			t.Fatal("the draining process was not killed")
		}
	}
	db := database(t, filepath.Join(root, "state.db"))
	if d := depth(t, db); d.Objects <= int64(told) {
		t.Errorf("%d objects wait, %d were acknowledged: one left the queue before the queue knew of the store", d.Objects, told+1)
	}
	s := folder(t, filepath.Join(root, "objects"))
	if err := opened(t, Config{DB: db}, s).Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range told + 1 {
		if b, err := s.Get(t.Context(), "acme", blob.Ref(killText(i))); err != nil || string(b) != string(killText(i)) {
			t.Errorf("object %d: %q, %v", i, b, err)
		}
	}
	if told < killTexts-1 {
		t.Fatalf("only %d objects were acknowledged", told+1)
	}
}
