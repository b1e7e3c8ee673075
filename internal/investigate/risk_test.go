package investigate

import (
	"math"
	"testing"
	"time"
)

func TestRiskHalvesEveryFourHours(t *testing.T) {
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	six := func(d time.Duration) Weight { return Weight{At: at.Add(d), Bits: 6e6} }
	for _, tt := range []struct {
		name string
		list []Weight
		want float64
	}{
		{"nothing", nil, 0},
		{"now", []Weight{six(0)}, 6},
		{"four hours before", []Weight{six(-4 * time.Hour)}, 3},
		{"four hours after", []Weight{six(4 * time.Hour)}, 3},
		{"eight hours and now", []Weight{six(-8 * time.Hour), six(0)}, 7.5},
		{"beyond a day", []Weight{six(-25 * time.Hour)}, 0},
	} {
		if got := Risk(tt.list, at); math.Abs(got-tt.want) > 1e-6 {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestRiskStates(t *testing.T) {
	for bits, want := range map[float64]string{0: RiskLow, 2.999: RiskLow, 3: RiskMedium, 5.999: RiskMedium, 6: RiskHigh, 60: RiskHigh} {
		if got := RiskState(bits); got != want {
			t.Errorf("%v bits: %s, want %s", bits, got, want)
		}
	}
}
