package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/crash"
)

// A3: both databases lose everything since a point, the bus and the groups' offsets on it survive:
// what was lost is made again from the bus, with the same end.
func TestA3TheDatabasesLoseTheirTail(t *testing.T) {
	t.Parallel()
	dir, kept := t.TempDir(), t.TempDir()
	offer := func(from, to int) {
		t.Helper()
		err := withNode(dir, func(ctx context.Context, n *Node) error {
			alerts, err := crashAlerts(n)
			if err != nil {
				return err
			}
			return errors.Join(n.Offer(ctx, alerts[from:to]), n.Settled(ctx))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	db := filepath.Join(dir, "db")
	offer(0, crashTotal()/3)
	if err := os.CopyFS(kept, os.DirFS(db)); err != nil {
		t.Fatal(err)
	}
	offer(crashTotal()/3, crashTotal())
	want := check(t, dir)
	if err := errors.Join(os.RemoveAll(db), os.CopyFS(db, os.DirFS(kept))); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, check(t, dir)); d != "" {
		t.Errorf("not the state before the cut:\n%s", d)
	}
}

// A3: a write that was torn by the cut stands at the end of each log of the databases; what was
// committed before it is there, and the same end is reached.
func TestA3TornWritesAtTheEndOfTheLogs(t *testing.T) {
	t.Parallel()
	want, _ := undisturbed(t)
	dir := t.TempDir()
	for round, point := range []string{crash.InTransaction + ":2", crash.InAppend + ":2"} {
		if !spawn(t, dir, point, 0) {
			t.Fatal("the run ended before the point was passed often enough")
		}
		logs, err := filepath.Glob(filepath.Join(dir, "db", "*.db-wal"))
		if err != nil || len(logs) == 0 {
			t.Fatalf("logs %v, %v", logs, err)
		}
		for _, l := range logs {
			f, err := os.OpenFile(l, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.Write(bytes.Repeat([]byte{0xA5, byte(round)}, 3000))
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	spawn(t, dir, "", 0)
	if d := cmp.Diff(want, check(t, dir)); d != "" {
		t.Errorf("not the state of an undisturbed run:\n%s", d)
	}
}

// B3: killed between an effect and its acknowledgement, the process repeats the work and not the
// effect: the same verdicts, and in the chain as many records as were emitted.
func TestB3KilledBetweenEffectAndAcknowledgement(t *testing.T) {
	want, _ := undisturbed(t)
	for _, point := range []string{crash.AfterCommit, crash.AfterRelay, crash.AfterAppend} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, passing := range []string{":2", ":1"} {
				if !spawn(t, dir, point+passing, 0) {
					t.Fatal("the run ended before the point was passed often enough")
				}
			}
			spawn(t, dir, "", 0)
			if d := cmp.Diff(want, check(t, dir)); d != "" {
				t.Errorf("not the state of an undisturbed run:\n%s", d)
			}
			err := withNode(dir, func(ctx context.Context, n *Node) error {
				emitted, err := n.Audit.OriginSequence(ctx, "default", n.State.Origin())
				if err != nil {
					return err
				}
				rep, err := n.Audit.Verify(ctx, "default")
				if err == nil && rep.Records != emitted+1 {
					err = fmt.Errorf("%d records in the chain, %d were emitted after the first", rep.Records, emitted)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
