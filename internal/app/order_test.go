package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/ingest"
)

// linked is a set of alerts in which rules, benign rules and links all have their say.
func linked(t *testing.T, n *Node) []alert.Alert {
	t.Helper()
	f, err := os.Open("../../examples/wazuh-alerts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	var out []alert.Alert
	now := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	err = n.Registry.Reader().Read(f, "example", func(r ingest.Record) error {
		if a, err := n.Registry.Normalise(r, "auto", "default", now); err == nil {
			out = append(out, a)
		}
		return nil
	})
	if err != nil || len(out) < 10 {
		t.Fatalf("%d alerts, %v", len(out), err)
	}
	return out
}

// endState runs alerts through a fresh node in portions and describes every investigation.
func endState(t *testing.T, order *rand.Rand, portion int) (state map[string]string, revisions int) {
	t.Helper()
	state = map[string]string{}
	err := withNode(t.TempDir(), func(ctx context.Context, n *Node) error {
		alerts := linked(t, n)
		if order != nil {
			order.Shuffle(len(alerts), func(i, j int) { alerts[i], alerts[j] = alerts[j], alerts[i] })
		}
		for part := range slices.Chunk(alerts, portion) {
			if err := n.Offer(ctx, part); err != nil {
				return err
			}
			if portion == 1 { // each in a batch of its own
				if err := n.Settled(ctx); err != nil {
					return err
				}
			}
		}
		if err := n.Settled(ctx); err != nil {
			return err
		}
		for i := range alerts {
			loc, err := n.Engine.Locate(ctx, "default", alerts[i].Source, alerts[i].ID)
			if err != nil {
				return err
			}
			inv, err := n.Engine.Get(ctx, "default", loc.Investigation)
			if err != nil {
				return err
			}
			revisions += inv.Verdict.Revision
			state[inv.ID] = fmt.Sprintf("%s %.6f %s alerts=%d\n%s", inv.Verdict.Classification, inv.Verdict.Probability, inv.State, inv.Alerts, describeEvidence(inv.Evidence))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return state, revisions
}

func describeEvidence(items []evidence.Evidence) string {
	lines := make([]string, len(items))
	for i, e := range items {
		lines[i] = fmt.Sprintf("%s %+.3f %s", e.ID, e.Counted, e.Statement)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// I8: the same alerts in any order and any batches end at the same verdicts and evidence.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	want, _ := endState(t, nil, 1000)
	if !strings.Contains(fmt.Sprint(want), "link:") {
		t.Fatal("no link evidence: this test would prove nothing")
	}
	revised := 0
	for seed := range uint64(6) {
		got, revisions := endState(t, rand.New(rand.NewPCG(seed, 5)), []int{1, 3, 1000}[seed%3])
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("seed %d:\n%s", seed, d)
		}
		revised += revisions
	}
	if revised == 0 {
		t.Error("no order led to a revision: links that arrive later were not tested")
	}
}
