//go:build unix

package spend

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/engine/store/sqlite"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
)

// childEnv makes the test binary a spender on the database it names, until it is killed or the
// cap is reached.
const childEnv = "SPEND_TEST_DATABASE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := spendAll(path); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(dbtest.Main(m))
}

var childLimits = Limits{
	MonthHard: 40_000, MonthSoft: Unlimited, TenantHour: Unlimited, InvestigationCalls: Unlimited, InvestigationTokens: Unlimited,
	InvestigationMoney: Unlimited, Quota: map[Plan]int64{Premium: Unlimited},
}

// openFile opens the database that parent and child share.
func openFile(ctx context.Context, path string) (store.DB, error) {
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path, Migrations: schema.FS, MigrationsDir: schema.SQLiteDir, CacheKiB: 1024})
	if err != nil {
		return nil, err
	}
	return db, nil
}

// spendAll lets 64 callers spend. A line "billed n" is the provider's invoice: it is written
// before the ledger is told.
func spendAll(path string) error {
	ctx := context.Background()
	db, err := openFile(ctx, path)
	if err != nil {
		return err
	}
	table, err := registry.Load("local", []byte(unitTable))
	if err != nil {
		return err
	}
	l, err := Open(ctx, Config{DB: db, Table: table, Limits: childLimits, Clock: clock.System{}})
	if err != nil {
		return err
	}
	ended := make(chan error)
	for range 64 {
		go func() {
			for {
				c := claim(1+rand.Int64N(60), 1+rand.Int64N(60))
				k, err := l.Reserve(ctx, c)
				if no, ok := errors.AsType[*Refusal](err); ok {
					if no.InFlight == 0 {
						ended <- nil
						return
					}
					continue
				}
				if err != nil {
					ended <- err
					return
				}
				u := llm.Usage{Input: c.Prompt, Output: rand.Int64N(c.Output + 1), Known: true}
				fmt.Printf("billed %d\n", u.Input+u.Output)
				if _, err := k.Book(ctx, u, "unit"); err != nil {
					ended <- err
					return
				}
			}
		}()
	}
	for range 64 {
		if err := <-ended; err != nil {
			return err
		}
	}
	return db.Close()
}

// TestC11CapHoldsAcrossKills kills spenders by SIGKILL again and again. The sum of their
// invoices never passes the cap and never exceeds what the ledger has booked.
func TestC11CapHoldsAcrossKills(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	path := filepath.Join(t.TempDir(), "state.db")
	var billed int64
	killed := 0
	for run := 0; ; run++ {
		if run == 200 {
			t.Fatal("the cap is never reached")
		}
		n, died := spendUntilKilled(t, path, 5+rand.IntN(40))
		billed += n
		checkBooks(t, path, billed, run)
		if !died {
			break
		}
		killed++
	}
	if killed < 5 {
		t.Errorf("only %d processes were killed: the test shows little", killed)
	}
	t.Logf("%d processes killed, %d micro-USD billed of %d", killed, billed, childLimits.MonthHard)
}

// spendUntilKilled returns what a child was billed, and whether it had to be killed.
func spendUntilKilled(t *testing.T, path string, lines int) (billed int64, died bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for in := bufio.NewScanner(out); in.Scan(); {
		text, ok := strings.CutPrefix(in.Text(), "billed ")
		n, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil {
			t.Fatalf("child says %q", in.Text())
		}
		billed += n
		if lines--; lines == 0 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	if err != nil && cmd.ProcessState.Exited() {
		t.Fatal(err)
	}
	return billed, err != nil
}

func checkBooks(t *testing.T, path string, billed int64, run int) {
	t.Helper()
	db, err := openFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	table, err := registry.Load("local", []byte(unitTable))
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), Config{DB: db, Table: table, Limits: childLimits})
	if err != nil {
		t.Fatal(err)
	}
	lines, err := l.Report(t.Context(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	var booked registry.Micro
	if len(lines) > 0 {
		booked = lines[0].Total()
	}
	if booked > childLimits.MonthHard || billed > int64(booked) {
		t.Fatalf("run %d: billed %d, booked %d, cap %d", run, billed, booked, childLimits.MonthHard)
	}
	if s, err := l.Status(t.Context()); err != nil || s.InFlight != 0 && time.Now().UTC().Format("2006-01") == s.Month {
		t.Fatalf("run %d: %+v, %v", run, s, err)
	}
}
