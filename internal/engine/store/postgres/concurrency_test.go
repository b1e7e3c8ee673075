package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/engine/store/storetest"
)

// Several processes start at once on a new database: all of them open it, each file is applied
// once, and they agree on the origin.
func TestProcessesMigrateAtTheSameTime(t *testing.T) {
	cfg := config(t, schemaOf(t), schema.FS)
	cfg.MigrationsDir = schema.PostgresDir
	const processes = 6
	origins := make([]string, processes)
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			db, err := Open(t.Context(), cfg)
			if err != nil {
				t.Error(err)
				return
			}
			origins[i] = db.Origin()
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if slices.Sort(origins); origins[0] == "" || origins[0] != origins[processes-1] {
		t.Errorf("origins %q", origins)
	}
	files, err := os.ReadDir(filepath.Join("..", "schema", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := mustOpen(t, cfg).Version(t.Context()); err != nil || v != int64(len(files)) {
		t.Errorf("version %d of %d, %v", v, len(files), err)
	}
}

// Two transactions each read what the other writes. On READ COMMITTED or REPEATABLE READ both
// would succeed; one is run again, with what the other left, and its hooks run once.
func TestWriteSkewIsRunAgain(t *testing.T) {
	db := mustOpen(t, config(t, schemaOf(t), storetest.Migrations(store.Postgres)))
	both := make(chan struct{})
	var inside sync.WaitGroup
	inside.Add(2)
	go func() { inside.Wait(); close(both) }()
	runs, hooks := make([]int, 2), make([]int, 2)
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			err := db.Update(t.Context(), func(tx store.Tx) error {
				runs[i]++
				tx.OnCommit(func() { hooks[i]++ })
				var n int
				if err := tx.QueryRow(`SELECT COUNT(*) FROM item`).Scan(&n); err != nil {
					return err
				}
				if runs[i] == 1 {
					inside.Done()
					<-both
				}
				if n > 0 {
					return nil // somebody is on duty
				}
				_, err := tx.Exec(insertItem, i, fmt.Sprint("on duty ", i))
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := numberOf(t, db, `SELECT COUNT(*) FROM item`); n != 1 {
		t.Errorf("%d are on duty, want 1", n)
	}
	// The loser may be refused more than once: until the winner's commit is over.
	if slices.Min(runs) != 1 || slices.Max(runs) < 2 || hooks[0] != 1 || hooks[1] != 1 {
		t.Errorf("ran %v times with %v hooks", runs, hooks)
	}
}

// Two transactions lock two rows in opposite order. The server ends one of them, which is run
// again: nobody sees an error.
func TestDeadlocksAreRunAgain(t *testing.T) {
	db := mustOpen(t, config(t, schemaOf(t), storetest.Migrations(store.Postgres)))
	if err := db.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO item (id, score) VALUES (0, 0), (1, 0)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	both := make(chan struct{})
	var inside, wg sync.WaitGroup
	inside.Add(2)
	go func() { inside.Wait(); close(both) }()
	for i := range 2 {
		wg.Go(func() {
			first := true
			err := db.Update(t.Context(), func(tx store.Tx) error {
				const add = `UPDATE item SET score = score + 1 WHERE id = $1`
				if _, err := tx.Exec(add, i); err != nil {
					return err
				}
				if first {
					first = false
					inside.Done()
					<-both
				}
				_, err := tx.Exec(add, 1-i)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := numberOf(t, db, `SELECT CAST(SUM(score) AS BIGINT) FROM item`); n != 4 {
		t.Errorf("sum %d, want 4", n)
	}
}

// Many processes count in one row: nobody starves and no count is lost.
func TestContendedRowAcrossProcesses(t *testing.T) {
	cfg := config(t, schemaOf(t), storetest.Migrations(store.Postgres))
	dbs := []*DB{mustOpen(t, cfg), mustOpen(t, cfg), mustOpen(t, cfg)}
	if err := dbs[0].Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO item (id, score) VALUES (1, 0)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	const workers, each = 24, 20
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				err := dbs[w%len(dbs)].Update(t.Context(), func(tx store.Tx) error {
					_, err := tx.Exec(`UPDATE item SET score = score + 1 WHERE id = 1`)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := numberOf(t, dbs[0], `SELECT CAST(score AS BIGINT) FROM item`); n != workers*each {
		t.Errorf("counted %d, want %d", n, workers*each)
	}
	conflicts := int64(0)
	for _, db := range dbs {
		conflicts += db.Stats().Conflicts
	}
	if conflicts == 0 {
		t.Error("nothing conflicted: the test shows little")
	}
	t.Logf("%d of %d transactions were run again", conflicts, workers*each)
}

// What attackers write may be no text for the server: that is content, not an engine that is down.
func TestTextThatTheServerRefusesIsContent(t *testing.T) {
	db := mustOpen(t, config(t, schemaOf(t), storetest.Migrations(store.Postgres)))
	for _, text := range []string{"a\x00b", "\xff\xfe", strings.Repeat("k\u00fc", 1<<20)[:1<<20-1] + "\xc3"} {
		err := db.Update(t.Context(), func(tx store.Tx) error { _, err := tx.Exec(insertItem, 1, text); return err })
		if !errors.Is(err, store.ErrConstraint) {
			t.Errorf("%d bytes: %v, want ErrConstraint", len(text), err)
		}
	}
	err := db.View(t.Context(), func(tx store.Tx) error { _, err := tx.Exec(insertItem, 1, "x"); return err })
	if !errors.Is(err, store.ErrMisuse) {
		t.Errorf("a write in View: %v, want ErrMisuse", err)
	}
	for _, args := range [][]any{{1}, {1, "a", "b"}, {"no number", "a"}, {1, struct{}{}}} {
		err := db.Update(t.Context(), func(tx store.Tx) error { _, err := tx.Exec(insertItem, args...); return err })
		if !errors.Is(err, store.ErrMisuse) && !errors.Is(err, store.ErrConstraint) || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestPasswordFromAFileIsReadAtEveryConnect(t *testing.T) {
	cfg := config(t, schemaOf(t), nil)
	c, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	right := c.Password
	cfg.URL = strings.Replace(cfg.URL, ":"+right+"@", "@", 1)
	cfg.PasswordFile = filepath.Join(t.TempDir(), "password")
	write := func(s string) {
		if err := os.WriteFile(cfg.PasswordFile, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, wrong := range []string{"", "wrong\n"} {
		write(wrong)
		if _, err := Open(t.Context(), cfg); !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), right) {
			t.Errorf("with %q: %v", wrong, err)
		}
	}
	write(right + "\n")
	mustOpen(t, cfg)
	cfg.PasswordFile += ".missing"
	if _, err := Open(t.Context(), cfg); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "password.missing") {
		t.Errorf("without the file: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := config(t, schemaOf(t), nil)
	for name, c := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"no URL":             {func(c *Config) { c.URL = "postgres://[" }, store.ErrMisuse},
		"schema with quote":  {func(c *Config) { c.Schema = `x"; DROP` }, store.ErrMisuse},
		"schema in capitals": {func(c *Config) { c.Schema = "Aluskort" }, store.ErrMisuse},
		"TLS that the server does not have": {func(c *Config) {
			c.URL = strings.Replace(c.URL, "sslmode=disable", "sslmode=verify-full", 1)
		}, store.ErrUnavailable},
		"read-only without a schema": {func(c *Config) { c.ReadOnly = true }, store.ErrMigrations},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			db, err := Open(t.Context(), cfg)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if db != nil {
				t.Error("a database was returned")
			}
		})
	}
}

func TestReadOnly(t *testing.T) {
	cfg := config(t, schemaOf(t), storetest.Migrations(store.Postgres))
	db := mustOpen(t, cfg)
	cfg.ReadOnly = true
	reader := mustOpen(t, cfg)
	if reader.Origin() != db.Origin() || numberOf(t, reader, `SELECT COUNT(*) FROM item`) != 0 {
		t.Error("it does not read the same database")
	}
	if err := reader.Update(t.Context(), func(store.Tx) error { return nil }); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("Update: %v", err)
	}
	more := storetest.Migrations(store.Postgres)
	more["0002_more.sql"] = &fstest.MapFile{Data: []byte(`CREATE TABLE more (id BIGINT)`)}
	writer := cfg
	writer.ReadOnly, writer.Migrations = false, more
	mustOpen(t, writer)
	if _, err := Open(t.Context(), cfg); !errors.Is(err, store.ErrNewer) {
		t.Errorf("on a newer schema: %v", err)
	}
}

type busDown struct{}

func (busDown) Publish(context.Context, []store.Outgoing) error { return errors.New("bus is down") }

// A process that does not publish knows what waits all the same: its readiness goes by it.
func TestLagIsKnownToThoseThatStandBy(t *testing.T) {
	name, files := schemaOf(t), storetest.Migrations(store.Postgres)
	first, second := mustOpen(t, config(t, name, files)), mustOpen(t, config(t, name, files))
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	lease, err := first.TryLease(t.Context(), "relay")
	if err != nil || lease == nil {
		t.Fatal(lease, err)
	}
	defer lease.Release()
	if other, err := second.TryLease(t.Context(), "relay"); err != nil || other != nil {
		t.Fatalf("two hold the lease: %v, %v", other, err)
	}
	relay := store.NewRelay(second, busDown{}, clock.System{}, store.RelayOptions{Takeover: time.Millisecond})
	wg.Go(func() {
		if err := relay.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	o := store.NewOutbox(clock.System{}, 0)
	for i := range 3 {
		err := first.Update(t.Context(), func(tx store.Tx) error {
			return o.Append(tx, store.Message{Topic: "t", Tenant: "a", Payload: []byte{byte(i)}})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for limit := time.Now().Add(patience); ; runtime.Gosched() {
		if rows, age := relay.Lag(); rows == 3 && age >= 0 {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("the process that stands by does not see the rows of the other")
		}
	}
	// A commit of the process that stands by wakes the holder.
	err = second.Update(t.Context(), func(tx store.Tx) error {
		return relay.Outbox().Append(tx, store.Message{Topic: "t", Tenant: "a", Payload: []byte("x")})
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-lease.Wake():
	case <-lease.Lost():
		t.Fatal("the lease was lost")
	case <-time.After(patience):
		t.Fatal("the holder is not woken")
	}
	lease.Release()
	if again, err := first.TryLease(t.Context(), "other"); err != nil || again == nil {
		t.Fatalf("another name: %v, %v", again, err)
	} else {
		again.Release()
	}
}

// collector is a Publisher that keeps what it is given, in order.
type collector struct {
	mu   sync.Mutex
	seen map[string][]string // by key
	all  int
	news chan struct{}
}

func newCollector() *collector {
	return &collector{seen: map[string][]string{}, news: make(chan struct{}, 1)}
}

func (c *collector) Publish(_ context.Context, msgs []store.Outgoing) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range msgs {
		key, text := string(m.Key), string(m.Payload)
		if !slices.Contains(c.seen[key], text) { // repetitions are allowed
			c.seen[key] = append(c.seen[key], text)
			c.all++
		}
	}
	select {
	case c.news <- struct{}{}:
	default:
	}
	return nil
}

func (c *collector) await(t *testing.T, n int) {
	t.Helper()
	limit := time.After(patience)
	for {
		c.mu.Lock()
		all := c.all
		c.mu.Unlock()
		if all >= n {
			return
		}
		select {
		case <-c.news:
		case <-limit:
			t.Fatalf("%d of %d messages were published", all, n)
		}
	}
}

// Three processes number messages of the same keys in their transactions while the process that
// publishes dies again and again: every message is published, and of each key in the order of its
// numbers.
func TestOneRelayForAllProcesses(t *testing.T) {
	name := schemaOf(t)
	files := storetest.Migrations(store.Postgres)
	files["0002_numbers.sql"] = &fstest.MapFile{Data: []byte(`CREATE TABLE numbers (key TEXT PRIMARY KEY, last BIGINT NOT NULL)`)}
	root, bus := administrator(t), newCollector()
	const processes, keys, each = 3, 4, 30
	ctx, stop := context.WithCancel(context.Background())
	var relays, producers sync.WaitGroup
	for range processes {
		db := mustOpen(t, config(t, name, files))
		o := store.NewOutbox(clock.System{}, 0)
		relay := store.NewRelay(db, bus, clock.System{}, store.RelayOptions{Outbox: o, MinBackoff: time.Millisecond, Takeover: 5 * time.Millisecond})
		relays.Go(func() {
			if err := relay.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		producers.Go(func() {
			for i := range keys * each {
				key := fmt.Sprint("key", i%keys)
				err := db.Update(ctx, func(tx store.Tx) error {
					var n int64
					const next = `INSERT INTO numbers (key, last) VALUES ($1, 1) ON CONFLICT (key) DO UPDATE SET last = numbers.last + 1 RETURNING last`
					if err := tx.QueryRow(next, key).Scan(&n); err != nil {
						return err
					}
					return o.Append(tx, store.Message{Topic: "t", Key: []byte(key), Tenant: "a", Payload: []byte(fmt.Sprintf("%04d", n))})
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	// The holder of the lease is cut off three times while messages flow.
	holder := func() (pid int) {
		for limit := time.Now().Add(patience); time.Now().Before(limit); {
			err := root.QueryRow(ctx, `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = $1 AND objid = $2`,
				uint32(lockLease), uint32(lockNumber(name+"/relay"))).Scan(&pid)
			if err == nil {
				return pid
			}
			if !errors.Is(err, pgx.ErrNoRows) {
				t.Fatal(err)
			}
		}
		t.Fatal("nobody holds the lease")
		return 0
	}
	for i := range 3 {
		bus.await(t, (i+1)*processes*keys*each/5)
		terminate(t, root, holder())
	}
	producers.Wait()
	bus.await(t, processes*keys*each)
	stop()
	relays.Wait()
	for key, got := range bus.seen {
		if len(got) != processes*each || !slices.IsSorted(got) {
			t.Errorf("%s was published as %v", key, got)
		}
	}
}
