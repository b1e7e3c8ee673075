package intel

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
)

func subject(tenant string, at time.Time, inds ...alert.Indicator) evidence.Subject {
	return evidence.Subject{
		Alert:    &alert.Alert{TenantID: tenant, Timestamp: at},
		Entities: &alert.Entities{Indicators: inds},
	}
}

func gather(t *testing.T, live *Live, s ...evidence.Subject) []evidence.Finding {
	t.Helper()
	out, err := NewSource(live).Gather(t.Context(), s)
	if err != nil || len(out) != len(s) {
		t.Fatalf("%d findings for %d subjects: %v", len(out), len(s), err)
	}
	return out
}

func liveWith(tenant string, inds ...Indicator) *Live {
	b := NewBuilder(len(inds))
	for i := range inds {
		b.Add(tenant, &inds[i])
	}
	live := new(Live)
	live.Swap(b.Build())
	return live
}

func TestWeights(t *testing.T) {
	const day = 24 * time.Hour
	domain := alert.Indicator{Type: alert.IndicatorDomain, Value: "evil.example", Confidence: 1}
	hash := alert.Indicator{Type: alert.IndicatorSHA256, Value: sampleHash, Confidence: 1}
	guessed := domain
	guessed.Confidence = 0.6
	for _, c := range []struct {
		name       string
		ind        alert.Indicator
		confidence int
		age        time.Duration
		want       float64
	}{
		{"top", domain, 90, day, 4}, {"above 80", domain, 81, day, 3.5}, {"80", domain, 80, day, 2},
		{"50", domain, 50, day, 2}, {"weak", domain, 49, day, 1},
		{"stale domain", domain, 90, 91 * day, 2}, {"fresh enough domain", domain, 90, 89 * day, 4},
		{"hash of last year", hash, 90, 300 * day, 4}, {"stale hash", hash, 90, 366 * day, 2},
		{"guessed", guessed, 90, day, 2}, {"guessed and stale", guessed, 90, 100 * day, 1},
		{"seen after the alert", domain, 90, -day, 4},
	} {
		live := liveWith("acme", Indicator{Type: c.ind.Type, Value: c.ind.Value, Confidence: c.confidence, LastSeen: now.Add(-c.age), Sources: []string{"feed"}})
		got := gather(t, live, subject("acme", now, c.ind))[0]
		if len(got.Items) != 1 || math.Abs(got.Items[0].Weight-c.want) > 1e-9 || got.Items[0].Stance != evidence.For {
			t.Errorf("%s: %+v, want %v bits", c.name, got, c.want)
		}
	}
}

func TestEvidenceItem(t *testing.T) {
	live := liveWith("acme", Indicator{
		Type: alert.IndicatorDomain, Value: "evil.example", Confidence: 85, Severity: alert.High, LastSeen: now.Add(-48 * time.Hour),
		Sources: []string{"feed-a", "feed-b"}, Campaigns: []string{"Loader"}, Groups: []string{"Group Y"}, Techniques: []string{"T1071"},
	}, Indicator{Type: alert.IndicatorCVE, Value: "CVE-2026-0001", Confidence: 90, Sources: []string{"kev"}})
	s := subject("acme", now,
		alert.Indicator{Type: alert.IndicatorDomain, Value: "www.evil.example", Confidence: 1, Refs: []string{"/dns/query", "/message"}},
		alert.Indicator{Type: alert.IndicatorDomain, Value: "evil.example", Confidence: 1, Benign: "the organisation's own domain"},
		alert.Indicator{Type: alert.IndicatorDomain, Value: "good.example", Confidence: 1},
		alert.Indicator{Type: alert.IndicatorCVE, Value: "CVE-2026-0001", Confidence: 1, Refs: []string{"/cve"}})
	got := gather(t, live, s)[0]
	if got.Blind != "" || len(got.Items) != 2 {
		t.Fatalf("%+v", got)
	}
	e := got.Items[0]
	want := "Domain www.evil.example is a known indicator of compromise, according to feed-a, feed-b (confidence 85, severity high, matched on evil.example, last seen 2026-02-27); campaigns and malware: Loader; groups: Group Y"
	if e.Statement != want {
		t.Errorf("statement %q", e.Statement)
	}
	if e.Kind != "indicator" || e.Weight != 3.5 || e.Group != "/dns/query" || len(e.Refs) != 2 || e.Source != "feed-a, feed-b" ||
		e.Trust != evidence.TrustExternal || e.FreshnessSeconds != 48*3600 || e.Techniques[0] != "T1071" || !e.ObservedAt.Equal(now) {
		t.Errorf("%+v", e)
	}
	cve := got.Items[1]
	if cve.Stance != evidence.Context || cve.Weight != 0 || !strings.Contains(cve.Statement, "known to be exploited") {
		t.Errorf("a vulnerability must be context: %+v", cve)
	}
	again := gather(t, live, subject("acme", now.Add(time.Hour), s.Entities.Indicators...))[0]
	if again.Items[0].ID != e.ID || cve.ID == e.ID {
		t.Error("ids must rest on the indicator alone")
	}
}

func TestBlind(t *testing.T) {
	s := subject("acme", now, alert.Indicator{Type: alert.IndicatorDomain, Value: "evil.example", Confidence: 1})
	live := new(Live)
	if got := gather(t, live, s)[0]; !strings.Contains(got.Blind, "not loaded") {
		t.Errorf("never loaded: %+v", got)
	}
	live.Fail(errors.New("disk on fire"))
	if got := gather(t, live, s)[0]; !strings.Contains(got.Blind, "disk on fire") {
		t.Errorf("failed: %+v", got)
	}
	live.Swap(NewBuilder(0).Build())
	if got := gather(t, live, s)[0]; got.Blind != "no indicators were imported" {
		t.Errorf("never imported: %+v", got)
	}
	b := NewBuilder(0)
	b.Imported("globex")
	live.Swap(b.Build())
	if got := gather(t, live, s)[0]; got.Blind == "" {
		t.Error("another tenant's import is not ours")
	}
	b = NewBuilder(0)
	b.Imported(SharedTenant)
	live.Swap(b.Build())
	live.Fail(errors.New("a later failure")) // the old index stays
	if got := gather(t, live, s)[0]; got.Blind != "" || len(got.Items) != 0 {
		t.Errorf("imported and nothing found: %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewSource(live).Gather(ctx, []evidence.Subject{s}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
