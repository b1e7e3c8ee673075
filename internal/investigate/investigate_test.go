package investigate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
)

func TestPaths(t *testing.T) {
	good := [][]State{
		{Received, Parsing, Closed},
		{Received, Parsing, Enriching, Reasoning, Responding, Closed},
		{Received, Parsing, Enriching, Reasoning, AwaitingHuman, AwaitingHuman, Responding, Closed},
		{Closed, Parsing, Enriching, Reasoning, AwaitingHuman, Closed},
		{Reasoning, Failed, Parsing},
	}
	for _, p := range good {
		if err := CheckPath(p); err != nil {
			t.Errorf("%v: %v", p, err)
		}
	}
	bad := [][]State{
		{Received, Closed}, {Received, Enriching}, {Enriching, Closed}, {Reasoning, Closed},
		{Closed, Responding}, {Closed, Failed}, {Failed, Closed}, {Parsing, Reasoning},
	}
	for _, p := range bad {
		var te *TransitionError
		if err := CheckPath(p); !errors.As(err, &te) || te.To != p[1] {
			t.Errorf("%v: got %v", p, err)
		}
	}
	for _, s := range States() {
		if len(transitions[s]) == 0 {
			t.Errorf("%s is a dead end", s)
		}
	}
}

func TestWindowStart(t *testing.T) {
	h := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for in, want := range map[string]string{
		"2026-01-02T03:04:05.678901Z": "2026-01-02T03:00:00Z",
		"2026-01-02T03:00:00Z":        "2026-01-02T03:00:00Z",
		"2026-01-02T02:59:59.999999Z": "2026-01-02T02:00:00Z",
		"1969-12-31T23:59:59Z":        "1969-12-31T23:00:00Z",
	} {
		if got := WindowStart(h(in), time.Hour); !got.Equal(h(want)) {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestFoldTimeDoesNotTrustNonsense(t *testing.T) {
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	tests := []struct {
		name string
		at   time.Time
		want time.Time
		note bool
	}{
		{"plain", now.Add(-time.Minute), now.Add(-time.Minute), false},
		{"late", now.AddDate(0, -6, 0), now.AddDate(0, -6, 0), false},
		{"an hour ahead", now.Add(time.Hour), now.Add(time.Hour), false},
		{"two days ahead", now.Add(48 * time.Hour), now, true},
		{"year 9999", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), now, true},
		{"epoch", time.Unix(0, 0), now, true},
		{"none", time.Time{}, now, true},
	}
	for _, tt := range tests {
		got, note := FoldTime(&alert.Alert{Timestamp: tt.at, IngestedAt: now})
		if !got.Equal(tt.want) || (note != "") != tt.note {
			t.Errorf("%s: got %v %q, want %v", tt.name, got, note, tt.want)
		}
	}
}

func TestIDIsOnePerTenantFingerprintAndWindow(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	base := ID("a", "fp1:x", at)
	if base != ID("a", "fp1:x", at.In(time.FixedZone("x", 3600))) {
		t.Error("a time zone must not matter")
	}
	for _, other := range []string{ID("b", "fp1:x", at), ID("a", "fp1:y", at), ID("a", "fp1:x", at.Add(time.Hour)), ID("a\x00fp1", "x", at)} {
		if other == base {
			t.Error("two investigations share an id")
		}
	}
}

func TestReopening(t *testing.T) {
	for _, tt := range []struct {
		state         State
		before, after alert.Severity
		kind, want    bool
	}{
		{Closed, alert.Low, alert.Low, false, false},
		{Closed, alert.High, alert.Low, false, false},
		{Closed, alert.Low, alert.Medium, false, true},
		{Failed, alert.Low, alert.Low, true, true},
		{AwaitingHuman, alert.Low, alert.Critical, true, false},
	} {
		if got := Reopens(tt.state, tt.before, tt.after, tt.kind); got != tt.want {
			t.Errorf("%+v: got %v", tt, got)
		}
	}
}

func TestGate(t *testing.T) {
	verdict := func(c evidence.Classification, conf float64, s alert.Severity) *evidence.Verdict {
		return &evidence.Verdict{Classification: c, Confidence: conf, Severity: s}
	}
	full := Conditions{MaxTier: -1, Degradation: FullCapability}
	tier := func(n int) Conditions { c := full; c.MaxTier = n; return c }
	tests := []struct {
		name  string
		v     *evidence.Verdict
		c     Conditions
		state State
		wait  WaitReason
	}{
		{"sure and small", verdict(evidence.TruePositive, 0.9, alert.Medium), tier(1), Responding, WaitNone},
		{"tier 2 always asks", verdict(evidence.TruePositive, 1, alert.Low), tier(2), AwaitingHuman, WaitApproval},
		{"tier 3 always asks", verdict(evidence.TruePositive, 1, alert.Low), tier(3), AwaitingHuman, WaitApproval},
		{"suspicious", verdict(evidence.Suspicious, 0.7, alert.Low), full, AwaitingHuman, WaitVerdict},
		{"benign never closes alone", verdict(evidence.FalsePositive, 0.99, alert.Low), full, AwaitingHuman, WaitVerdict},
		{"expected never closes alone", verdict(evidence.BenignTruePositive, 0.99, alert.Low), full, AwaitingHuman, WaitVerdict},
		{"unsure and high", verdict(evidence.TruePositive, 0.59, alert.High), full, AwaitingHuman, WaitVerdict},
		{"critical below 0.95", verdict(evidence.TruePositive, 0.94, alert.Critical), full, AwaitingHuman, WaitVerdict},
		{"critical at 0.95", verdict(evidence.TruePositive, 0.95, alert.Critical), full, Responding, WaitNone},
		{"shadow", verdict(evidence.TruePositive, 0.99, alert.Low), Conditions{ShadowMode: true, MaxTier: 2, Degradation: FullCapability}, AwaitingHuman, WaitShadow},
		{"degraded", verdict(evidence.TruePositive, 0.99, alert.Low), Conditions{MaxTier: -1, Degradation: DeterministicOnly}, AwaitingHuman, WaitDegraded},
		{"untrusted", verdict(evidence.TruePositive, 0.99, alert.Low), Conditions{MaxTier: -1, Untrusted: true, Degradation: FullCapability}, AwaitingHuman, WaitVerdict},
		{"accumulation", verdict(evidence.TruePositive, 0.99, alert.Low), Conditions{MaxTier: -1, Accumulation: true, Degradation: FullCapability}, AwaitingHuman, WaitVerdict},
	}
	for _, tt := range tests {
		state, wait, why := Gate(tt.v, tt.c)
		if state != tt.state || wait != tt.wait || (wait != WaitNone) != (len(why) > 0) {
			t.Errorf("%s: got %s %q %v", tt.name, state, wait, why)
		}
	}
}

// The same alerts in any order and any batches end at the same investigation.
func TestFoldIsOrderIndependent(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		var all []Folded
		for i := range rapid.IntRange(1, 12).Draw(t, "n") {
			f := Folded{
				Severity: alert.Severity(rapid.IntRange(0, 4).Draw(t, "sev")), At: at.Add(time.Duration(rapid.IntRange(0, 99).Draw(t, "at")) * time.Second),
				Quality: float64(rapid.IntRange(0, 10).Draw(t, "q")) / 10,
			}
			for range rapid.IntRange(0, 4).Draw(t, "items") {
				w := float64(rapid.IntRange(-5, 5).Draw(t, "w"))
				f.Evidence = append(f.Evidence, evidence.Evidence{ID: fmt.Sprint(rapid.IntRange(0, 6).Draw(t, "id")), Weight: w, Kind: fmt.Sprint(w)})
				f.Entities = append(f.Entities, alert.Entity{Type: alert.Host, Value: fmt.Sprint("h", rapid.IntRange(0, 9).Draw(t, "h")), Confidence: w / 5})
				f.Missing = append(f.Missing, fmt.Sprint(i%3))
			}
			all = append(all, f)
		}
		fold := func(order []Folded, size int) *Investigation {
			inv := Open(&alert.Alert{TenantID: "t"}, "fp1:x", at, at)
			for part := range slices.Chunk(order, size) {
				inv.Fold(part)
			}
			slices.SortFunc(inv.Evidence, func(a, b evidence.Evidence) int {
				if stronger(&a, &b) {
					return -1
				}
				return 1
			})
			return inv
		}
		shuffled := slices.Clone(all)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2)).Shuffle(len(shuffled), func(i, j int) {
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
		})
		if d := cmp.Diff(fold(all, 100), fold(shuffled, 1+rapid.IntRange(0, 4).Draw(t, "size"))); d != "" {
			t.Fatal(d)
		}
	})
}

func TestEvidenceIsBoundedByStrength(t *testing.T) {
	inv := &Investigation{}
	for i := range 3 * MaxEvidence {
		inv.Fold([]Folded{{Evidence: []evidence.Evidence{{ID: fmt.Sprintf("%04d", i), Weight: float64(i % 300), Stance: evidence.For}}}})
	}
	if len(inv.Evidence) != MaxEvidence {
		t.Fatalf("%d items", len(inv.Evidence))
	}
	for _, e := range inv.Evidence {
		if e.Weight < 200 {
			t.Fatalf("kept an item of weight %v over stronger ones", e.Weight)
		}
	}
}
