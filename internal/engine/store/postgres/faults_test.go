package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/storetest"
)

// patience bounds the wait for something that must happen; it is never spent in a good run.
const patience = 30 * time.Second

const insertItem = `INSERT INTO item (id, name) VALUES ($1, $2)`

func numberOf(t testing.TB, db store.DB, query string, args ...any) (n int64) {
	t.Helper()
	err := db.View(context.Background(), func(tx store.Tx) error { return tx.QueryRow(query, args...).Scan(&n) })
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// ended waits until no connection of pid is left, which the server does on its own time.
func ended(t testing.TB, root *pgx.Conn, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		var left int
		if err := root.QueryRow(context.Background(), `SELECT COUNT(*) FROM pg_stat_activity WHERE pid = $1`, pid).Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the connection %d does not end", pid)
		}
	}
}

func terminate(t testing.TB, root *pgx.Conn, pid int) {
	t.Helper()
	if _, err := root.Exec(context.Background(), `SELECT pg_terminate_backend($1)`, pid); err != nil {
		t.Fatal(err)
	}
	ended(t, root, pid)
}

func backend(t testing.TB, tx store.Tx) (pid int) {
	t.Helper()
	if err := tx.QueryRow(`SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// A connection that dies inside a transaction fails it as unavailable, leaves nothing behind, and
// the next transaction works.
func TestB9PostgresConnectionKilledInATransaction(t *testing.T) {
	db, root := mustOpen(t, config(t, schemaOf(t), storetest.Migrations(store.Postgres))), administrator(t)
	for i := range 5 {
		hooked := false
		err := db.Update(t.Context(), func(tx store.Tx) error {
			tx.OnCommit(func() { hooked = true })
			if _, err := tx.Exec(insertItem, i, fmt.Sprint("lost ", i)); err != nil {
				return err
			}
			terminate(t, root, backend(t, tx))
			if i%2 == 0 {
				return nil // the death is found by COMMIT only
			}
			_, err := tx.Exec(insertItem, 100+i, fmt.Sprint("also lost ", i))
			return err
		})
		if !errors.Is(err, store.ErrUnavailable) || hooked {
			t.Errorf("%d: %v, hook ran: %v; want ErrUnavailable and no hook", i, err, hooked)
		}
		err = db.View(t.Context(), func(tx store.Tx) error {
			terminate(t, root, backend(t, tx))
			_, err := tx.Exec(`SELECT 1`)
			return err
		})
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%d: View: %v", i, err)
		}
	}
	if n := numberOf(t, db, `SELECT COUNT(*) FROM item`); n != 0 {
		t.Errorf("%d rows of transactions that failed", n)
	}
}

// All pooled connections die while they are idle: the next transactions do not notice.
func TestB9PostgresIdleConnectionsKilled(t *testing.T) {
	cfg := config(t, schemaOf(t), storetest.Migrations(store.Postgres))
	db, root := mustOpen(t, cfg), administrator(t)
	for round := range 3 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var pids []int
		gate := make(chan struct{})
		var inside atomic.Int32
		const many = 8
		for i := range many {
			wg.Go(func() {
				err := db.Update(t.Context(), func(tx store.Tx) error {
					pid := backend(t, tx)
					mu.Lock()
					pids = append(pids, pid)
					mu.Unlock()
					if inside.Add(1) == many {
						close(gate)
					}
					<-gate
					_, err := tx.Exec(insertItem, round*100+i, fmt.Sprint(round, " ", i))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		for _, pid := range pids {
			terminate(t, root, pid)
		}
	}
	if n := numberOf(t, db, `SELECT COUNT(*) FROM item`); n != 24 {
		t.Errorf("%d rows, want 24", n)
	}
}

// cut is a proxy in front of the server that can drop what the server answers to COMMIT.
type cut struct {
	net.Listener
	target string
	armed  atomic.Bool
	cuts   atomic.Int32
	wg     sync.WaitGroup
}

func newCut(t *testing.T, target string) *cut {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cut{Listener: l, target: target}
	c.wg.Go(c.serve)
	t.Cleanup(func() {
		_ = l.Close()
		c.wg.Wait()
	})
	return c
}

func (c *cut) serve() {
	for {
		client, err := c.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", c.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		var doomed atomic.Bool
		c.wg.Go(func() { c.pipe(server, client, func(b []byte) bool { return c.seen(b, &doomed) }) })
		c.wg.Go(func() { c.pipe(client, server, func([]byte) bool { return !doomed.Load() }) })
	}
}

// seen passes what the client says; after COMMIT the answer is doomed when the proxy is armed.
func (c *cut) seen(b []byte, doomed *atomic.Bool) bool {
	if strings.Contains(string(b), "COMMIT") && c.armed.CompareAndSwap(true, false) {
		doomed.Store(true)
		c.cuts.Add(1)
	}
	return true
}

// pipe copies until an end is closed or pass says no.
func (c *cut) pipe(to, from net.Conn, pass func([]byte) bool) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !pass(buf[:n]) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// The answer to COMMIT is lost: the caller is told that the engine was unavailable, although the
// transaction happened, and a repetition that is idempotent ends where it should.
func TestB9PostgresAnswerToCommitIsLost(t *testing.T) {
	cfg := config(t, schemaOf(t), storetest.Migrations(store.Postgres))
	direct, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := newCut(t, net.JoinHostPort(direct.Host, fmt.Sprint(direct.Port)))
	cfg.URL = strings.Replace(cfg.URL, net.JoinHostPort(direct.Host, fmt.Sprint(direct.Port)), proxy.Addr().String(), 1)
	db := mustOpen(t, cfg)
	const upsert = `INSERT INTO item (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`
	for i := range 5 {
		proxy.armed.Store(true)
		hooks := 0
		put := func(tx store.Tx) error {
			tx.OnCommit(func() { hooks++ })
			_, err := tx.Exec(upsert, i, fmt.Sprint("item ", i))
			return err
		}
		if err := db.Update(t.Context(), put); !errors.Is(err, store.ErrUnavailable) || hooks != 0 {
			t.Fatalf("%d: %v, %d hooks; want ErrUnavailable and none", i, err, hooks)
		}
		if err := db.Update(t.Context(), put); err != nil || hooks != 1 {
			t.Fatalf("%d: again: %v, %d hooks", i, err, hooks)
		}
	}
	if n := numberOf(t, db, `SELECT COUNT(*) FROM item`); n != 5 || proxy.cuts.Load() != 5 {
		t.Errorf("%d rows after %d cuts", n, proxy.cuts.Load())
	}
}

// server is a PostgreSQL of this test alone, which may be stopped.
type server struct {
	t   *testing.T
	ctl string
	url string
}

func ownServer(t *testing.T) *server {
	t.Helper()
	enginetest.Address(t, "postgres")
	if testing.Short() {
		t.Skip("starts a server")
	}
	script, err := filepath.Abs("../../../../scripts/engine/postgres")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "pg")
	out, err := exec.CommandContext(t.Context(), script, "start", dir).Output()
	if err != nil {
		t.Fatalf("start a server: %v", err)
	}
	t.Cleanup(func() {
		if err := exec.CommandContext(context.Background(), script, "stop", dir).Run(); err != nil {
			t.Error(err)
		}
	})
	_, url, ok := strings.Cut(strings.TrimSpace(string(out)), "ALUSKORT_TEST_POSTGRES=")
	if !ok {
		t.Fatalf("the script says %q", out)
	}
	return &server{t, filepath.Join(dir, "ctl"), url}
}

func (s *server) do(word string) {
	s.t.Helper()
	if out, err := exec.CommandContext(s.t.Context(), s.ctl, word).CombinedOutput(); err != nil {
		s.t.Fatalf("%s the server: %v: %s", word, err, out)
	}
}

// The server is stopped, killed and started again under load: nothing that was acknowledged is
// lost, everything fails as unavailable meanwhile, and the same DB works when it is back.
func TestB9PostgresServerStoppedAndStarted(t *testing.T) {
	s := ownServer(t)
	cfg := config(t, "aluskort", storetest.Migrations(store.Postgres))
	cfg.URL = s.url
	db := mustOpen(t, cfg)
	origin := db.Origin()
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var acked []int64
	committed, refused := make(chan struct{}, 1), make(chan struct{}, 1)
	tell := func(c chan struct{}) {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				id := next.Add(1)
				err := db.Update(ctx, func(tx store.Tx) error { _, err := tx.Exec(insertItem, id, fmt.Sprint(id)); return err })
				switch {
				case err == nil:
					mu.Lock()
					acked = append(acked, id)
					mu.Unlock()
					tell(committed)
				case errors.Is(err, store.ErrUnavailable):
					failed.Add(1)
					tell(refused)
				case ctx.Err() == nil:
					t.Errorf("%v", err)
				}
			}
		})
	}
	await := func(c chan struct{}, n int, what string) {
		t.Helper()
		limit := time.After(patience)
		for range n {
			select {
			case <-c:
			case <-limit:
				t.Fatal(what)
			}
		}
	}
	await(committed, 20, "no commit at first")
	for _, how := range []string{"stop", "kill", "kill", "stop"} {
		s.do(how)
		await(refused, 5, "nothing fails without a server")
		s.do("start")
		await(committed, 20, "no commit after "+how)
	}
	stop()
	wg.Wait()
	var stored []int64
	err := db.View(t.Context(), func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT id FROM item ORDER BY id`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return err
			}
			stored = append(stored, id)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range acked {
		if _, found := slices.BinarySearch(stored, id); !found {
			t.Errorf("%d was acknowledged and is lost", id)
		}
	}
	if db.Origin() != origin {
		t.Error("the origin changed")
	}
	t.Logf("%d acknowledged, %d stored, %d failed", len(acked), len(stored), failed.Load())
}

// A server that accepts and never answers is given up after the time to connect.
func TestB9PostgresHalfOpenServer(t *testing.T) {
	enginetest.Address(t, "postgres")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var held []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			held = append(held, c)
			mu.Unlock()
		}
	}()
	_, err = Open(t.Context(), Config{URL: "postgres://u@" + l.Addr().String() + "/d?sslmode=disable", ConnectTimeout: 50 * time.Millisecond, Clock: clock.System{}})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	_ = l.Close()
	<-done
	for _, c := range held {
		_ = c.Close()
	}
}
