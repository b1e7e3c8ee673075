package fp

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
)

// past makes a history of n alerts of which the first hidden fit scan.
func past(n, hidden int, change func(i int, s *Sample)) History {
	return func(_ context.Context, tenant string, fn func(*Sample) bool) error {
		for i := range n {
			a, e := scanAlert()
			a.ID, a.TenantID = fmt.Sprint(i), tenant
			a.Timestamp = testTime.Add(time.Duration(i) * time.Minute)
			if i >= hidden {
				e.List[0].Value = "203.0.113.9"
			}
			s := &Sample{Investigation: fmt.Sprintf("i%03d", i/2), Alert: a, Entities: e, Severity: alert.Medium, Classification: evidence.InvestigationRequired}
			if change != nil {
				change(i, s)
			}
			if !fn(s) {
				return nil
			}
		}
		return nil
	}
}

func TestBacktest(t *testing.T) {
	for _, c := range []struct {
		name      string
		n, hidden int
		change    func(int, *Sample)
		limits    Limits
		codes     []string
	}{
		{name: "no history"},
		{name: "nothing hidden", n: 100},
		{name: "a fifth", n: 100, hidden: 20},
		{name: "more than a fifth", n: 100, hidden: 21, codes: []string{RefusedTooWide}},
		{name: "more, allowed", n: 100, hidden: 50, limits: Limits{MaxShare: 0.5}},
		{name: "critical at the source", n: 100, hidden: 10, change: func(i int, s *Sample) {
			if i == 3 {
				s.Alert.Severity = alert.Critical
			}
		}, codes: []string{RefusedCriticalClass}},
		{name: "critical by our judgement", n: 100, hidden: 10, change: func(i int, s *Sample) {
			if i == 3 {
				s.Severity = alert.Critical
			}
		}, codes: []string{RefusedCriticalClass}},
		{name: "class that raises critical ones elsewhere", n: 100, hidden: 10, change: func(i int, s *Sample) {
			if i == 90 {
				s.Alert.Severity = alert.Critical
			}
		}, codes: []string{RefusedCriticalClass}},
		{name: "other class is critical", n: 100, hidden: 10, change: func(i int, s *Sample) {
			if i == 90 {
				s.Alert.Severity, s.Alert.Analytic = alert.Critical, "suricata:1"
			}
		}},
		{name: "confirmed true positive", n: 100, hidden: 10, change: func(i int, s *Sample) {
			if i == 5 {
				s.Classification, s.Confirmed = evidence.TruePositive, true
			}
		}, codes: []string{RefusedTruePositive}},
		{name: "true positive by the product alone", n: 100, hidden: 10, change: func(i int, s *Sample) {
			if i == 5 {
				s.Classification = evidence.TruePositive
			}
		}},
		{name: "everything at once", n: 10, hidden: 10, change: func(_ int, s *Sample) {
			s.Alert.Severity, s.Classification, s.Confirmed = alert.Critical, evidence.TruePositive, true
		}, codes: []string{RefusedCriticalClass, RefusedTruePositive, RefusedTooWide}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := scan()
			r, err := Backtest(t.Context(), &d, past(c.n, c.hidden, c.change), c.limits, testTime)
			if err != nil {
				t.Fatal(err)
			}
			if r.Alerts != c.n || r.Hidden != c.hidden || r.Investigations != (c.hidden+1)/2 {
				t.Errorf("%+v", r)
			}
			var refused *RefusedError
			if err := r.Err(d.Name); len(c.codes) == 0 && err != nil || len(c.codes) > 0 && !errors.As(err, &refused) {
				t.Fatalf("%v, want %v", err, c.codes)
			}
			for _, code := range c.codes {
				if !refused.Has(code) || len(refused.Refusals) != len(c.codes) {
					t.Errorf("%v, want %v", refused, c.codes)
				}
			}
			if c.hidden > 0 && (r.Hosts != 1 || r.Accounts != 0 || !r.First.Equal(testTime) || len(r.Examples) == 0) {
				t.Errorf("spread: %+v", r)
			}
		})
	}
}

// TestBacktestCountsTheUnknown: what cannot be looked up again is taken to be covered.
func TestBacktestCountsTheUnknown(t *testing.T) {
	d := scan()
	d.Scope.AssetClass = "server"
	d.Payload = []PayloadCondition{{"data.proto", Text{Equals, "TCP"}}}
	for _, c := range []struct {
		name   string
		change func(*Sample)
		hidden int
	}{
		{"class and record unknown", func(s *Sample) { s.Unread = true }, 5},
		{"record known to lack the value", func(*Sample) {}, 0},
		{"class known to be another", func(s *Sample) { s.Unread, s.AssetClasses = true, []string{"laptop"} }, 0},
		{"class known to be none", func(s *Sample) { s.Unread, s.AssetClasses = true, []string{} }, 0},
	} {
		r, err := Backtest(t.Context(), &d, past(100, 5, func(_ int, s *Sample) { c.change(s) }), Limits{}, testTime)
		if err != nil || r.Hidden != c.hidden {
			t.Errorf("%s: %+v %v", c.name, r, err)
		}
	}
}

func TestBacktestFailsWithItsHistory(t *testing.T) {
	d := scan()
	broken := errors.New("broken")
	if _, err := Backtest(t.Context(), &d, func(context.Context, string, func(*Sample) bool) error { return broken }, Limits{}, testTime); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := Backtest(ctx, &d, past(10, 1, nil), Limits{}, testTime); !errors.Is(err, context.Canceled) {
		t.Errorf("a backtest that was cut short passes: %v", err)
	}
	d.Threshold = 0
	if _, err := Backtest(t.Context(), &d, nothing, Limits{}, testTime); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
}
