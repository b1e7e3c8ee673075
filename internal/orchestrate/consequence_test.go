package orchestrate

import (
	"context"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/asset"
	"github.com/aluskort/aluskort/internal/asset/consequence"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/respond"
)

// zoned is a graph in which every asset stands in one zone, or which is away.
type zoned struct {
	class graph.Class
	err   error
}

func (z zoned) Consequences(_ context.Context, _ string, of []graph.Ref) (map[graph.Ref]graph.Consequence, error) {
	out := map[graph.Ref]graph.Consequence{}
	for _, r := range of {
		out[r] = graph.Consequence{Class: z.class, Asset: r.ID, Zone: "plant", Owner: "Grace"}
	}
	return out, z.err
}

// inZone opens an engine that asks the graph about hosts.
func inZone(t *testing.T, z zoned) *bench {
	t.Helper()
	src, err := consequence.New(consequence.Config{Graph: z, Names: (*asset.Org)(nil).Resolver, Clock: clock.Fixed(start)})
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, src)
	b.cfg.Places = func(inv *investigate.Investigation) respond.Places {
		return consequence.Places(&asset.Resolver{}, inv.FirstSeen, inv.Evidence)
	}
	return b
}

func TestConsequenceRaisesSeverityAndConfinesThePlan(t *testing.T) {
	for class, want := range map[graph.Class]struct {
		severity alert.Severity
		plan     string
	}{
		graph.SafetyLife: {alert.High, "create_ticket manual_task"},
		graph.Equipment:  {alert.High, "create_ticket manual_task"},
		graph.Downtime:   {alert.Medium, "create_ticket collect_forensics isolate_host"},
		graph.DataLoss:   {alert.Medium, "create_ticket collect_forensics isolate_host"},
	} {
		b := inZone(t, zoned{class: class})
		inv := b.get(b.process(message("1", "x", "8 k"))[0].Investigation)
		var plan []string
		for _, a := range inv.Actions {
			plan = append(plan, a.Action)
		}
		if inv.Verdict.Classification != evidence.TruePositive || inv.Verdict.Severity != want.severity || strings.Join(plan, " ") != want.plan {
			t.Errorf("%s: %s, severity %s, plan %v", class, inv.Verdict.Classification, inv.Verdict.Severity, plan)
		}
		if raised := want.severity != alert.Medium; raised != strings.Contains(inv.SeverityWhy, "zone plant") {
			t.Errorf("%s: why %q", class, inv.SeverityWhy)
		}
		if inv.State != investigate.AwaitingHuman || inv.WaitReason != investigate.WaitApproval {
			t.Errorf("%s: %s for %s, want a person to approve", class, inv.State, inv.WaitReason)
		}
	}
}

// Without the graph the verdict is the same but for what the graph would have said, and says so.
func TestB9GraphAwayIsInTheVerdict(t *testing.T) {
	b := inZone(t, zoned{err: graph.ErrUnavailable})
	inv := b.get(b.process(message("1", "x", "8 k"))[0].Investigation)
	if inv.Verdict.Classification != evidence.TruePositive || inv.Verdict.Severity != alert.Medium {
		t.Errorf("%+v", inv.Verdict)
	}
	if !strings.Contains(strings.Join(inv.Verdict.Unknowns, "\n"), "GRAPH_UNAVAILABLE") {
		t.Errorf("unknowns %q", inv.Verdict.Unknowns)
	}
}
