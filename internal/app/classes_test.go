package app

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/investigate"
)

// TestPatternsByAssetClass: what closes follows org.yaml, also when that changes.
func TestPatternsByAssetClass(t *testing.T) {
	dir := t.TempDir()
	err := withNode(dir, func(ctx context.Context, n *Node) error {
		org := filepath.Join(dir, "org.yaml")
		def := fp.Definition{
			Name: "Logins of the test benches", Tenant: "default", Threshold: 0.9, Justification: "The test benches try users that do not exist.",
			Analytics: []string{"rule:5710"}, Scope: fp.Scope{AssetClass: "test"},
		}
		state := func(i int) investigate.State { t.Helper(); return verdict(ctx, t, n, i).State }
		unscoped := state(1)
		if r, err := n.Backtest(ctx, &def); err != nil || r.Hidden != 1 {
			t.Errorf("a class that is not known counts as any: %+v, %v", r, err)
		}
		write(t, org, "hosts:\n  - {name: ws-1, criticality: crown_jewel}\n")
		if _, err := n.Reload(ctx, "kim"); err != nil {
			return err
		}
		r, err := n.Backtest(ctx, &def)
		if err != nil || r.Hidden != 0 {
			t.Errorf("another class: %+v, %v", r, err)
		}
		p, err := n.Patterns.Propose(ctx, def, fp.Act{Actor: "ann", Reason: "r"}, r)
		if err != nil {
			return err
		}
		for _, who := range []string{"bob", "cleo"} {
			if _, err := n.Patterns.Approve(ctx, "default", p.ID, fp.Act{Actor: who, Reason: "r"}, r); err != nil {
				return err
			}
		}
		if got := state(2); got == investigate.Closed || unscoped == investigate.Closed {
			t.Errorf("closed on a crown jewel: %s", got)
		}
		write(t, org, "hosts:\n  - {name: ws-1, criticality: test}\n")
		if _, err := n.Reload(ctx, "kim"); err != nil {
			return err
		}
		if got := state(3); got != investigate.Closed {
			t.Errorf("on a test asset: %s", got)
		}
		raw := `{"_index":"wazuh-alerts-4.x","_id":"login-5","_source":{"agent":{"id":"009","name":"ws-9"},"rule":{"id":"5710","level":5,"description":"x"},"id":"1.5","timestamp":"2026-03-03T07:00:02.120Z"}}`
		a, err := n.normalise([]byte(raw), "wazuh", "default")
		if err != nil {
			return err
		}
		if err := errors.Join(n.Offer(ctx, []alert.Alert{a}), n.Settled(ctx)); err != nil {
			return err
		}
		if got := investigationOf(ctx, t, n, &a).State; got == investigate.Closed {
			t.Error("closed on a host that nobody listed")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
