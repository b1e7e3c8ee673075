package eval

import (
	"math/rand/v2"
	"slices"
	"time"
)

// interleaveWithin is how near a negative is moved to a positive.
const interleaveWithin = 5 * time.Minute

// Interleave moves each negative to within five minutes of a positive on its host, if there is
// one; sessions, process ids and everything else of it stay. It returns the records and how
// many of them moved.
func Interleave(samples []Sample, judged []Judged, around Span, seed uint64) (records [][]byte, moved int, err error) {
	r := rand.New(rand.NewPCG(seed, 4))
	positives := map[string][]time.Time{}
	for i := range samples {
		if at, ok := eventTime(&judged[i]); ok && samples[i].Label == Positive {
			for _, h := range hosts(&judged[i]) {
				positives[h] = append(positives[h], at)
			}
		}
	}
	records = make([][]byte, len(samples))
	for i := range samples {
		records[i] = samples[i].Raw
		at, ok := eventTime(&judged[i])
		if !ok || samples[i].Label != Negative {
			continue
		}
		var near []time.Time
		for _, h := range hosts(&judged[i]) {
			near = append(near, positives[h]...)
		}
		if len(near) == 0 {
			continue
		}
		slices.SortFunc(near, time.Time.Compare)
		to := near[r.IntN(len(near))].Add(time.Duration(r.Int64N(int64(2*interleaveWithin))) - interleaveWithin)
		if records[i], err = ShiftTimes(samples[i].Raw, to.Sub(at).Truncate(time.Second), around); err != nil {
			return nil, 0, err
		}
		moved++
	}
	return records, moved, nil
}

// shuffled is a seeded order of n records.
func shuffled(n int, seed uint64) []int {
	return rand.New(rand.NewPCG(seed, 5)).Perm(n)
}
