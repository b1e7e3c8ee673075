package orchestrate

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/investigate"
)

func when(d time.Duration) func(*alert.Message) {
	return func(m *alert.Message) { m.Alert.Timestamp = start.Add(d) }
}

// Risk is what anchors weigh on the same host or account, whatever it is called; it changes no
// verdict, and what is not known is never low.
func TestRiskOfHostsAndAccounts(t *testing.T) {
	tests := []struct {
		name    string
		anchors []*alert.Message
		subject *alert.Message
		want    string
	}{
		{"nothing known", nil, message("s", "s", "1 w"), investigate.RiskNoBaseline},
		{"only weak ones", []*alert.Message{message("1", "1", "2.9 k")}, message("s", "s", "1 w"), investigate.RiskNoBaseline},
		{"an anchor on another host", []*alert.Message{message("1", "1", "6 k", onHost("elsewhere"))}, message("s", "s", "1 w"), investigate.RiskNoBaseline},
		{"an anchor", []*alert.Message{message("1", "1", "4 k")}, message("s", "s", "1 w"), investigate.RiskMedium},
		{"two", []*alert.Message{message("1", "1", "4 k"), message("2", "2", "4 k")}, message("s", "s", "1 w"), investigate.RiskHigh},
		{"four hours before", []*alert.Message{message("1", "1", "4 k", when(-4*time.Hour))}, message("s", "s", "1 w"), investigate.RiskLow},
		{"four hours before and as strong", []*alert.Message{message("1", "1", "6 k", when(-4*time.Hour))}, message("s", "s", "1 w"), investigate.RiskMedium},
		{"two days before", []*alert.Message{message("1", "1", "6 k", when(-48*time.Hour))}, message("s", "s", "1 w"), investigate.RiskUnknown},
		{"under its other name", []*alert.Message{message("1", "1", "6 k", onHost("007"))}, message("s", "s", "1 w", onHost("ws-7.example.com")), investigate.RiskHigh},
		{"of nobody", []*alert.Message{message("1", "1", "6 k", onHost("nobody"))}, message("s", "s", "1 w", onHost("nobody")), investigate.RiskNoBaseline},
		{"an anchor itself", nil, message("s", "s", "5 k"), investigate.RiskMedium},
		{"another tenant", []*alert.Message{message("1", "1", "6 k", func(m *alert.Message) { m.Alert.TenantID = "b" })}, message("s", "s", "1 w"), investigate.RiskNoBaseline},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			alone := open(t)
			want := alone.get(alone.process(tt.subject)[0].Investigation).Verdict
			for _, first := range []bool{false, true} {
				b := open(t)
				b.cfg.Org = known7
				msgs := append(slices.Clone(tt.anchors), tt.subject)
				if first {
					slices.Reverse(msgs)
				}
				var id string
				for _, m := range msgs {
					if out := b.process(m); m == tt.subject {
						id = out[0].Investigation
					}
				}
				inv := b.get(id)
				if inv.RiskState != tt.want {
					t.Errorf("subject first %v: %s, want %s", first, inv.RiskState, tt.want)
				}
				if inv.Verdict.Probability != want.Probability || inv.Verdict.Classification != want.Classification {
					t.Errorf("risk moved the verdict to %s %.3f", inv.Verdict.Classification, inv.Verdict.Probability)
				}
			}
		})
	}
}

// What an anchor weighs moves with it: it grows with a fold and ends when it is none any more.
func TestRiskFollowsTheAnchor(t *testing.T) {
	b := open(t)
	subject := b.process(message("s", "s", "1 w"))[0].Investigation
	b.process(message("1", "x", "4 k"))
	if s := b.get(subject).RiskState; s != investigate.RiskMedium {
		t.Fatalf("one anchor: %s", s)
	}
	b.process(message("2", "x", "4 other", when(10*time.Minute)))
	if s := b.get(subject).RiskState; s != investigate.RiskHigh {
		t.Errorf("a stronger one: %s", s)
	}
	b.process(message("3", "x", "-6 fine"))
	if s := b.get(subject).RiskState; s != investigate.RiskNoBaseline {
		t.Errorf("none any more: %s", s)
	}
}

// The queue: what is overdue, then the most severe, then what has the riskiest host, then the oldest.
func TestTheQueueOfPeople(t *testing.T) {
	ctx := context.Background()
	b := open(t)
	b.process(message("late", "late", "1 w", severity(alert.Low), onHost("h1")))
	b.sweepAt(9 * time.Hour)
	b.process(
		message("calm", "calm", "1 w", severity(alert.High), onHost("h2")),
		message("risky", "risky", "1 w", severity(alert.High), onHost("h3")),
		message("critical", "critical", "1 w", severity(alert.Critical), onHost("h4")),
		message("medium", "medium", "1 w", onHost("h3")),
	)
	b.clock.add(time.Minute)
	b.process(message("young", "young", "1 w", severity(alert.High), onHost("h2")))
	b.process(message("anchor", "anchor", "4 k", onHost("h3"), severity(alert.Low)))
	titles := func(f Filter) (out []string) {
		for pages := 0; ; pages++ {
			list, next, err := b.List(ctx, "a", f)
			if err != nil || pages > 10 {
				t.Fatal(pages, err)
			}
			for _, s := range list {
				out = append(out, b.get(s.ID).Title)
			}
			if f.Before = next; next == 0 {
				return out
			}
		}
	}
	want := []string{"title late", "title critical", "title risky", "title calm", "title young", "title medium", "title anchor"}
	for _, limit := range []int{0, 1, 3} {
		if got := titles(Filter{Urgent: true, Limit: limit}); !slices.Equal(got, want) {
			t.Errorf("pages of %d: %q, want %q", limit, got, want)
		}
	}
	if got := titles(Filter{Urgent: true, WaitReason: investigate.WaitVerdict}); slices.Contains(got, "title anchor") || len(got) != 6 {
		t.Errorf("waiting for a verdict: %q", got)
	}
	if list, _, err := b.List(ctx, "b", Filter{Urgent: true}); err != nil || len(list) != 0 {
		t.Errorf("another tenant sees %d, %v", len(list), err)
	}
	list, _, err := b.List(ctx, "a", Filter{Urgent: true})
	if err != nil || !list[0].Overdue || list[1].Overdue || list[2].RiskState != investigate.RiskMedium || fmt.Sprint(list[2].RiskBits) != "4" {
		t.Errorf("%+v, %v", list, err)
	}
}
