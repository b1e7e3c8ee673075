package app

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/bench"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/crash"
	"github.com/aluskort/aluskort/internal/ingest"
)

// These tests kill a whole node, in a process of its own, and check what is left: FAULTS A1,
// A2, A3 (process kill), B1, B3, B13 and invariants I1, I4, I8.

const (
	childEnv    = "ALUSKORT_TEST_CHILD"  // state directory; set in the child only
	killsEnv    = "ALUSKORT_CRASH_KILLS" // how many random kills; 20 by default
	crashChunks = 30                     // chunks of a run
	ackFile     = "acknowledged-by-test" // one line per acknowledged chunk, in the state directory
)

// crashChunk is how many alerts are acknowledged at once. A short run has as many chunks with
// fewer alerts in each.
func crashChunk() int {
	if testing.Short() {
		return 5
	}
	return 50
}

// crashTotal is how many alerts a run has.
func crashTotal() int { return crashChunks * crashChunk() }

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		flag.Parse() // -test.short decides how much a run has
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// crashAlerts are the same in every process: the input of all runs.
func crashAlerts(n *Node) ([]alert.Alert, error) {
	at := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	g := bench.NewGenerator(7, at)
	out := make([]alert.Alert, crashTotal())
	for i := range out {
		a, err := n.Registry.Normalise(ingest.Record{Raw: g.Next()}, "wazuh", "default", at.Add(time.Hour))
		if err != nil {
			return nil, err
		}
		out[i] = a
	}
	return out, nil
}

// child is a node that offers what was not acknowledged yet, waits for the end and stops.
func child(dir string) error {
	return withNode(dir, func(ctx context.Context, n *Node) error {
		alerts, err := crashAlerts(n)
		if err != nil {
			return err
		}
		acked, err := os.OpenFile(filepath.Join(dir, ackFile), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		done, err := countLines(dir)
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(alerts[done*crashChunk():], crashChunk()) {
			if err := n.Offer(ctx, chunk); err != nil {
				return err
			}
			if _, err := acked.WriteString("ok\n"); err != nil {
				return err
			}
		}
		if err := waitAll(ctx, n); err != nil {
			return err
		}
		return acked.Close()
	})
}

// waitAll waits until all alerts of the run have verdicts, also those that an earlier process
// offered, and all is revised and audited.
func waitAll(ctx context.Context, n *Node) error {
	for {
		counts, err := n.Engine.Counts(ctx, "default")
		if err != nil {
			return err
		}
		total := int64(0)
		for _, c := range counts {
			total += c.Alerts
		}
		if total >= int64(crashTotal()) {
			return n.Settled(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d alerts: %w", total, crashTotal(), context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func withNode(dir string, fn func(context.Context, *Node) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	n, err := Open(ctx, Options{Dir: dir, Config: config.Default()})
	if err != nil {
		return err
	}
	runCtx, stop := context.WithCancelCause(ctx)
	ended := make(chan error, 1)
	go func() {
		err := n.Run(runCtx)
		stop(errors.Join(errors.New("services ended"), err))
		ended <- err
	}()
	err = fn(runCtx, n)
	stop(nil)
	return errors.Join(err, <-ended, n.Close())
}

func countLines(dir string) (int, error) {
	b, err := os.ReadFile(filepath.Join(dir, ackFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return bytes.Count(b, []byte("\n")), err
}

// spawn runs a child, killed at a point or after a delay; killed reports whether it was.
func spawn(t *testing.T, dir, point string, after time.Duration) (killed bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.short="+strconv.FormatBool(testing.Short()))
	cmd.Env = append(os.Environ(), childEnv+"="+dir, crash.Env+"="+point)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if after > 0 {
		timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may have ended by itself
		defer timer.Stop()
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == -1 {
		return true
	}
	if err != nil {
		t.Fatalf("child: %v\n%s", err, stderr.String())
	}
	return false
}

// outcome is what a run ends with: per alert its investigation, per investigation its verdict.
type outcome struct {
	Alerts   map[string]string
	Verdicts map[string]string
}

// check opens the state that is left and verifies the invariants.
func check(t *testing.T, dir string) outcome {
	t.Helper()
	out := outcome{Alerts: map[string]string{}, Verdicts: map[string]string{}}
	err := withNode(dir, func(ctx context.Context, n *Node) error {
		if err := waitAll(ctx, n); err != nil {
			return err
		}
		alerts, err := crashAlerts(n)
		if err != nil {
			return err
		}
		for i := range alerts {
			loc, err := n.Engine.Locate(ctx, "default", alerts[i].Source, alerts[i].ID)
			if err != nil {
				return fmt.Errorf("alert %d was acknowledged and is lost: %w", i, err)
			}
			out.Alerts[alerts[i].ID] = loc.Investigation
		}
		if err := verdicts(ctx, n, &out); err != nil {
			return err
		}
		rep, err := n.Audit.Verify(ctx, "default")
		if err == nil && !rep.OK() {
			err = fmt.Errorf("chain: %v", rep.Findings)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func verdicts(ctx context.Context, n *Node, out *outcome) error {
	folded, classified := 0, map[string]int{}
	for _, id := range out.Alerts {
		if _, ok := out.Verdicts[id]; ok {
			continue
		}
		inv, err := n.Engine.Get(ctx, "default", id)
		if err != nil {
			return err
		}
		folded += inv.Alerts
		var items []string
		for _, e := range inv.Evidence {
			items = append(items, fmt.Sprintf("%s %+.3f", e.ID, e.Counted))
		}
		out.Verdicts[id] = fmt.Sprintf("%s p=%.6f alerts=%d %s", inv.Verdict.Classification, inv.Verdict.Probability, inv.Alerts, strings.Join(items, ","))
		err = n.Audit.Investigation(ctx, "default", id, func(r audit.Record) error {
			f, err := audit.ParseRecord(r.Bytes)
			if f.Type == audit.AlertClassified {
				classified[id]++
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if folded != crashTotal() {
		return fmt.Errorf("investigations count %d alerts, %d were offered", folded, crashTotal())
	}
	for id, k := range classified {
		if k != 1 {
			return fmt.Errorf("investigation %s was classified %d times for the first time", id, k)
		}
	}
	return nil
}

// undisturbed is what a run ends with that nothing kills, and how long its process lives.
func undisturbed(t *testing.T) (outcome, time.Duration) {
	t.Helper()
	dir, begin := t.TempDir(), time.Now()
	if spawn(t, dir, "", 0) {
		t.Fatal("killed without a reason")
	}
	life := time.Since(begin)
	return check(t, dir), life
}

func TestA1B13KilledAtEveryPoint(t *testing.T) {
	passings := 5 // kill at the first to fifth time
	if testing.Short() {
		passings = 3 // small chunks are taken together, so that there may be fewer
	}
	want, _ := undisturbed(t)
	for i, point := range crash.Points {
		t.Run(point, func(t *testing.T) {
			t.Parallel() // every run has processes and a directory of its own
			dir := t.TempDir()
			if !spawn(t, dir, point+":"+strconv.Itoa(1+i%passings), 0) {
				t.Fatal("the run ended before the point was passed often enough")
			}
			spawn(t, dir, point, 0) // while it recovers
			spawn(t, dir, "", 0)
			if d := cmp.Diff(want, check(t, dir)); d != "" {
				t.Errorf("not the state of an undisturbed run:\n%s", d)
			}
		})
	}
}

func TestA2KilledAtRandomMoments(t *testing.T) {
	t.Parallel()
	wanted := 20
	if s := os.Getenv(killsEnv); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		wanted = n
	}
	if testing.Short() {
		wanted = 4
	}
	want, life := undisturbed(t)
	rng := rand.New(rand.NewPCG(11, 13))
	dir, kills, complete := t.TempDir(), 0, 0
	for kills < wanted {
		if spawn(t, dir, "", 1+time.Duration(rng.Int64N(int64(life)))) {
			kills++
			continue
		}
		// This run is complete: check it and begin the next one.
		if d := cmp.Diff(want, check(t, dir)); d != "" {
			t.Fatalf("after %d kills: not the state of an undisturbed run:\n%s", kills, d)
		}
		dir = t.TempDir()
		if complete++; complete > 10*wanted {
			t.Fatalf("%d kills in %d runs: the runs end before they are killed", kills, complete)
		}
	}
	spawn(t, dir, "", 0)
	if d := cmp.Diff(want, check(t, dir)); d != "" {
		t.Errorf("not the state of an undisturbed run:\n%s", d)
	}
	t.Logf("%d kills, %d runs came to their end", kills, complete+1)
}
