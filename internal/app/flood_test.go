package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/bench"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// B8: in a flood a critical alert has its verdict while thousands that came before it still wait;
// the flood drains and nothing of it is lost.
func TestB8CriticalAlertsDoNotWaitBehindAFlood(t *testing.T) {
	count := 5000
	if testing.Short() {
		count = 1500
	}
	runNode(t, Options{Config: config.Default(), Unhurried: true}, func(ctx context.Context, n *Node) error {
		flood := generated(t, n, count)
		critical := many(n, t, 10, 3)
		critical = slices.DeleteFunc(critical, func(a alert.Alert) bool { return a.Severity != alert.Critical })
		for part := range slices.Chunk(flood, 500) {
			if err := n.Offer(ctx, part); err != nil {
				return err
			}
		}
		left, err := n.waitingBeside(ctx, critical[0])
		if err != nil {
			return err
		}
		t.Logf("%d of %d wait when the critical alert has its verdict", left, count)
		if left < int64(count)/4 {
			t.Errorf("%d of %d waited when the critical alert had its verdict: it stood in line", left, count)
		}
		if err := n.Settled(ctx); err != nil {
			return err
		}
		counts, err := n.Engine.Counts(ctx, "default")
		have := int64(0)
		for _, c := range counts {
			have += c.Alerts
		}
		if err == nil && have != int64(count)+1 {
			err = fmt.Errorf("%d alerts have a verdict, %d were acknowledged", have, count+1)
		}
		return err
	})
}

// D4: what a flood sends beyond its share nobody else waits for; with nothing refused and no rate
// set, another tenant has its verdict while the flood still waits.
func TestD4AnotherTenantDoesNotWaitBehindAFlood(t *testing.T) {
	count := 5000
	if testing.Short() {
		count = 1500
	}
	cfg := config.Default()
	cfg.Intake.Share = 10
	runNode(t, Options{Config: cfg, Unhurried: true}, func(ctx context.Context, n *Node) error {
		flood := generated(t, n, count+1)
		other := flood[count]
		other.TenantID = "quiet"
		for part := range slices.Chunk(flood[:count], 500) {
			if err := n.Offer(ctx, part); err != nil {
				return err
			}
		}
		left, err := n.waitingBeside(ctx, other)
		if err != nil {
			return err
		}
		t.Logf("%d of %d wait when the other tenant has its verdict", left, count)
		if left < int64(count)/4 {
			t.Errorf("%d of %d waited when the other tenant's alert had its verdict: it stood in line", left, count)
		}
		return n.Settled(ctx)
	})
}

// waitingBeside offers one alert and returns how many others wait when it has its verdict.
func (n *Node) waitingBeside(ctx context.Context, a alert.Alert) (int64, error) {
	if err := n.Offer(ctx, []alert.Alert{a}); err != nil {
		return 0, err
	}
	err := n.poll(ctx, func() (bool, error) {
		_, err := n.Engine.Locate(ctx, a.TenantID, a.Source, a.ID)
		if errors.Is(err, orchestrate.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return 0, err
	}
	return waiting(ctx, n)
}

// waiting is how many records the orchestrator and the parser have still to commit.
func waiting(ctx context.Context, n *Node) (left int64, err error) {
	for _, group := range []string{bus.GroupEntityParser, bus.GroupOrchestrator} {
		lag, err := n.Bus.Lag(ctx, group)
		if err != nil {
			return 0, err
		}
		for _, k := range lag {
			left += k
		}
	}
	return left, nil
}

// generated are n mixed alerts, none of them critical.
func generated(t *testing.T, n *Node, count int) []alert.Alert {
	t.Helper()
	g := bench.NewGenerator(11, time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC))
	out := make([]alert.Alert, 0, count)
	for len(out) < count {
		a, err := n.Registry.Normalise(ingest.Record{Raw: g.Next()}, "wazuh", "default", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if a.Severity != alert.Critical {
			out = append(out, a)
		}
	}
	return out
}
