package app

import (
	"context"
	"errors"

	"testing"

	"github.com/aluskort/aluskort/internal/config"
)

// What an earlier run left on the bus must not be taken for the alerts of this one.
func TestSettledWaitsForItsOwnAlertsBehindABacklog(t *testing.T) {
	dir := t.TempDir()
	n, err := Open(context.Background(), Options{Dir: dir, Config: config.Default()})
	if err != nil {
		t.Fatal(err)
	}
	alerts, err := crashAlerts(n)
	if err != nil {
		t.Fatal(err)
	}
	last := len(alerts) - 1
	if err := errors.Join(n.Offer(context.Background(), alerts[:last]), n.Close()); err != nil {
		t.Fatal(err)
	}
	err = withNode(dir, func(ctx context.Context, n *Node) error {
		if err := n.Offer(ctx, alerts[last:]); err != nil {
			return err
		}
		if err := n.Settled(ctx); err != nil {
			return err
		}
		_, err := n.Engine.Locate(ctx, alerts[last].TenantID, alerts[last].Source, alerts[last].ID)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
