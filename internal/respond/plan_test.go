package respond

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
)

func verdict(c evidence.Classification) *evidence.Verdict {
	return &evidence.Verdict{Classification: c}
}

func names(actions []Action) string {
	var out []string
	for _, a := range actions {
		out = append(out, a.Action+":"+a.Target)
	}
	return strings.Join(out, " ")
}

func TestPlan(t *testing.T) {
	p, err := NewPlanner()
	if err != nil {
		t.Fatal(err)
	}
	entities := []alert.Entity{
		{Type: alert.Host, Value: "ws-07", Role: alert.RoleDevice, Confidence: 1},
		{Type: alert.Host, Value: "ws-07.example.com", Confidence: 1},
		{Type: alert.IP, Value: "203.0.113.77", Role: alert.RoleDevice, Confidence: 1},
		{Type: alert.Account, Value: `EXAMPLE\ada`, Role: alert.RoleSubject, Confidence: 1},
		{Type: alert.Account, Value: `NT AUTHORITY\SYSTEM`, Role: alert.RoleSubject, Confidence: 1},
		{Type: alert.Account, Value: `EXAMPLE\WS-07$`, Role: alert.RoleSubject, Confidence: 1},
		{Type: alert.IP, Value: "10.0.0.9", Confidence: 1},
		{Type: alert.IP, Value: "203.0.113.9", Confidence: 1},
		{Type: alert.IP, Value: "198.51.100.200", Confidence: 0.7},
	}
	tests := []struct {
		name       string
		class      evidence.Classification
		techniques []string
		want       string
	}{
		{"benign recommends nothing", evidence.FalsePositive, []string{"T1059"}, ""},
		{"undecided recommends nothing that acts", evidence.InvestigationRequired, []string{"T1059"}, ""},
		{"suspicious only watches", evidence.Suspicious, []string{"T1059"}, "monitor_host:ws-07"},
		{"execution isolates the host", evidence.TruePositive, []string{"T1059.001"},
			"create_ticket:inv collect_forensics:ws-07 isolate_host:ws-07"},
		{"guessing acts on people and public addresses the source stated", evidence.TruePositive, []string{"T1110.003"},
			`create_ticket:inv collect_forensics:ws-07 disable_account:EXAMPLE\ada block_ip:203.0.113.9`},
		{"no technique still opens a case", evidence.TruePositive, nil, "create_ticket:inv collect_forensics:ws-07"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := p.Plan("inv", verdict(tt.class), entities, tt.techniques)
			if d := cmp.Diff(tt.want, names(got)); d != "" {
				t.Error(d)
			}
			for _, a := range got {
				if a.NeedsApproval != (a.Tier >= 2) {
					t.Errorf("%s: tier %d, approval %v", a.Action, a.Tier, a.NeedsApproval)
				}
			}
		})
	}
}

func TestPlanIsNoSweep(t *testing.T) {
	p, err := NewPlanner()
	if err != nil {
		t.Fatal(err)
	}
	var entities []alert.Entity
	for i := range 40 {
		entities = append(entities, alert.Entity{Type: alert.Host, Value: string(rune('a' + i)), Confidence: 1})
	}
	got := p.Plan("inv", verdict(evidence.TruePositive), entities, []string{"T1486"})
	if n := strings.Count(names(got), "isolate_host"); n != maxTargets {
		t.Errorf("isolates %d hosts", n)
	}
}

func TestTableIsStrict(t *testing.T) {
	for _, bad := range []string{
		"actions:\n  - {action: x, tier: 4, target: host, classifications: [true_positive]}",
		"actions:\n  - {action: x, tier: 1, target: planet, classifications: [true_positive]}",
		"actions:\n  - {action: x, tier: 1, target: host}",
		"actions:\n  - {action: x, tier: 1, target: host, clasifications: [true_positive]}",
	} {
		if _, err := parsePlanner([]byte(bad)); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}
