package bench

import (
	"slices"
	"testing"
)

// rounds are phases of 100 alerts, all of which took so many milliseconds.
func rounds(times ...float64) []*Clock {
	var out []*Clock
	for _, ms := range times {
		c := NewClock()
		c.verdicts = slices.Repeat([]float64{ms}, 100)
		out = append(out, c)
	}
	return out
}

// The ratio scatters by what rounds differ in, and not by what both phases of a round share.
func TestTheRangeIsThatOfTheRounds(t *testing.T) {
	for _, tt := range []struct {
		name           string
		alone, flooded []*Clock
		want           [2]float64
	}{
		{"no scatter", rounds(10, 10, 10, 10, 10), rounds(12, 12, 12, 12, 12), [2]float64{1.2, 1.2}},
		{"scatter of the machine", rounds(10, 20, 10, 20, 10), rounds(20, 40, 20, 40, 20), [2]float64{2, 2}},
		{"one bad round of five", rounds(10, 10, 10, 10, 10), rounds(10, 10, 10, 10, 30), [2]float64{1, 3}},
	} {
		r := NewFlood(len(tt.alone))
		r.Alone.rounds, r.Flooded.rounds = tt.alone, tt.flooded
		if got := r.resampled(1); got == nil || *got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := NewFlood(leastRounds - 1).resampled(1); got != nil {
		t.Errorf("so few rounds say nothing of their scatter, and not %v", *got)
	}
}
