package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/investigate"
)

// ruleNamed is a rule that matches every alert of failing; its kind names it.
func ruleNamed(kind, id string) string {
	return fmt.Sprintf(`title: Rule %[1]s
id: %[2]s
status: stable
level: low
description: Matches the logins of this test.
author: ALUSKORT
date: 2026-03-01
logsource: {product: linux}
detection:
  selection: {rule.id: '5710'}
  condition: selection
aluskort:
  stance: malicious
  weight: 1
  kind: test.%[1]s
  statement: 'matched by %[1]s'
`, kind, id)
}

const (
	firstID  = "3f1c1b52-5d0e-4b7e-9a0b-6f3f5a1d7e21"
	secondID = "5a1c1b52-5d0e-4b7e-9a0b-6f3f5a1d7e22"
	crown    = "hosts:\n  - {name: ws-1, criticality: crown_jewel}\n"
)

// failing is an alert about one host and an account of its own.
func failing(t *testing.T, n *Node, i int) alert.Alert {
	t.Helper()
	raw := fmt.Sprintf(`{"_index":"wazuh-alerts-4.x","_id":"login-%[1]d","_source":{"agent":{"id":"001","name":"ws-1"},
		"rule":{"id":"5710","level":5,"description":"sshd: attempt to log in as an unknown user","groups":["syslog","sshd"]},"decoder":{"name":"sshd"},
		"id":"1.%[1]d","timestamp":"2026-03-03T07:00:02.120Z","data":{"srcuser":"user-%[1]d"}}}`, i)
	a, err := n.Registry.Normalise(ingest.Record{Raw: []byte(raw)}, "wazuh", "default", time.Date(2026, 3, 3, 7, 1, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// verdict offers an alert and returns its investigation.
func verdict(ctx context.Context, t *testing.T, n *Node, i int) *investigate.Investigation {
	t.Helper()
	a := failing(t, n, i)
	if err := errors.Join(n.Offer(ctx, []alert.Alert{a}), n.Settled(ctx)); err != nil {
		t.Fatal(err)
	}
	return investigationOf(ctx, t, n, &a)
}

func investigationOf(ctx context.Context, t *testing.T, n *Node, a *alert.Alert) *investigate.Investigation {
	t.Helper()
	loc, err := n.Engine.Locate(ctx, a.TenantID, a.Source, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	inv, err := n.Engine.Get(ctx, a.TenantID, loc.Investigation)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

func has(inv *investigate.Investigation, kind string) bool {
	for i := range inv.Evidence {
		if inv.Evidence[i].Kind == "test."+kind {
			return true
		}
	}
	return false
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// trail returns the audit records of a type, as text.
func trail(ctx context.Context, t *testing.T, n *Node, kind audit.Type) (out []string) {
	t.Helper()
	if err := n.Settled(ctx); err != nil {
		t.Fatal(err)
	}
	head, err := n.Audit.Head(ctx, "default")
	if err != nil {
		t.Fatal(err)
	}
	err = n.Audit.Records(ctx, "default", 0, head.Sequence, func(r audit.Record) error {
		if strings.Contains(string(r.Bytes), `"`+string(kind)+`"`) {
			out = append(out, string(r.Bytes))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestReload changes every file of a running node, and breaks each of them once.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	err := withNode(dir, func(ctx context.Context, n *Node) error {
		rule, org := filepath.Join(dir, "rules", "mine.yml"), filepath.Join(dir, "org.yaml")
		shipped := n.Rules().Used
		before := verdict(ctx, t, n, 1)
		if has(before, "first") || before.Verdict.Severity != before.SourceSeverity {
			t.Fatalf("before: %s, %+v", before.Verdict.Severity, before.Evidence)
		}
		write(t, rule, ruleNamed("first", firstID))
		write(t, org, crown)
		if inv := verdict(ctx, t, n, 2); has(inv, "first") {
			t.Error("in force before the reload")
		}
		got, err := n.Reload(ctx, "kim")
		if err != nil {
			return err
		}
		if got.Rules != shipped+1 || strings.Join(got.Changed, " ") != "organisation rules" || got.Techniques == 0 {
			t.Errorf("%+v", got)
		}
		if inv := verdict(ctx, t, n, 3); !has(inv, "first") || inv.Verdict.Severity == inv.SourceSeverity {
			t.Errorf("after the reload: severity %s, %+v", inv.Verdict.Severity, inv.Evidence)
		}
		if again, err := n.Reload(ctx, "kim"); err != nil || len(again.Changed) != 0 {
			t.Errorf("nothing changed: %+v, %v", again, err)
		}
		if records := trail(ctx, t, n, audit.ConfigChanged); len(records) != 1 || !strings.Contains(records[0], `"kim"`) || !strings.Contains(records[0], `"applied"`) {
			t.Errorf("records: %q", records)
		}
		for i, broken := range []struct{ file, text, good, want string }{
			{org, "hosts:\n  - {name: ws-1, criticality: golden}\n", crown, "org.yaml:2"},
			{org, "hosts: [", crown, "org.yaml"},
			{rule, ruleNamed("second", secondID) + "  colour: red\n", ruleNamed("first", firstID), "mine.yml"},
			{rule, "\tnot: [yaml", ruleNamed("first", firstID), "mine.yml"},
		} {
			write(t, broken.file, broken.text)
			if _, err := n.Reload(ctx, "kim"); !errors.Is(err, api.ErrUnusable) || !strings.Contains(err.Error(), broken.want) {
				t.Errorf("broken %s: %v", filepath.Base(broken.file), err)
			}
			if inv := verdict(ctx, t, n, 10+i); !has(inv, "first") || has(inv, "second") || inv.Verdict.Severity == inv.SourceSeverity {
				t.Errorf("a broken %s is in force: %s, %+v", filepath.Base(broken.file), inv.Verdict.Severity, inv.Evidence)
			}
			write(t, broken.file, broken.good)
		}
		if records := trail(ctx, t, n, audit.ConfigChanged); len(records) != 5 || !strings.Contains(records[4], `"refused"`) || !strings.Contains(records[4], "mine.yml") {
			t.Errorf("%d records: %q", len(records), records)
		}
		if err := errors.Join(os.Remove(rule), os.Remove(org)); err != nil {
			return err
		}
		if _, err := n.Reload(ctx, "kim"); err != nil {
			return err
		}
		if inv := verdict(ctx, t, n, 20); has(inv, "first") || inv.Verdict.Severity != inv.SourceSeverity {
			t.Errorf("removed files are in force: %+v", inv.Evidence)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestReloadBetweenBatches swaps rules and organisation over and over under load: a verdict
// rests on both as they were, or on both as they became. The rules are asked when a batch is
// evaluated, the organisation when it is committed.
func TestReloadBetweenBatches(t *testing.T) {
	dir, reloads := t.TempDir(), int64(6)
	if testing.Short() {
		reloads = 2 // each compiles every rule
	}
	err := withNode(dir, func(ctx context.Context, n *Node) error {
		rule, org := filepath.Join(dir, "rules", "mine.yml"), filepath.Join(dir, "org.yaml")
		done := make(chan struct{})
		var swaps atomic.Int64
		var wg sync.WaitGroup
		stop := sync.OnceFunc(func() { close(done); wg.Wait() })
		defer stop()
		wg.Go(func() {
			for ; ; swaps.Add(1) {
				select {
				case <-done:
					return
				default:
				}
				if swaps.Load()%2 == 0 {
					write(t, rule, ruleNamed("first", firstID))
					write(t, org, crown)
				} else {
					write(t, rule, ruleNamed("second", secondID))
					write(t, org, "hosts:\n  - {name: ws-1, criticality: normal}\n")
				}
				if _, err := n.Reload(ctx, "kim"); err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
			}
		})
		var all []alert.Alert
		for i := 0; swaps.Load() < reloads && ctx.Err() == nil; i++ {
			var part []alert.Alert
			for j := range 20 {
				part = append(part, failing(t, n, 1000+i*20+j))
			}
			if err := n.Offer(ctx, part); err != nil {
				return err
			}
			all = append(all, part...)
			if i%10 == 9 { // some batches are in work at once, and not all there will be
				if err := n.flow.waitDecided(ctx); err != nil {
					return err
				}
			}
		}
		err := n.Settled(ctx)
		stop()
		if err != nil {
			return err
		}
		seen := map[string]int{}
		for i := range all {
			inv := investigationOf(ctx, t, n, &all[i])
			raised := inv.Verdict.Severity != inv.SourceSeverity
			state := fmt.Sprintf("first %v, second %v, raised %v", has(inv, "first"), has(inv, "second"), raised)
			seen[state]++
			if has(inv, "first") != raised || has(inv, "first") && has(inv, "second") {
				t.Errorf("a verdict of two minds: %s", state)
			}
		}
		t.Logf("%d reloads: %v", swaps.Load(), seen)
		if len(seen) < 2 {
			t.Errorf("%d reloads, but all verdicts rest on the same: %v", swaps.Load(), seen)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
