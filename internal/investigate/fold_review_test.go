package investigate

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
)

// I8: what several alerts say differently of one entity, and what they are called, is kept
// whatever order they come in.
func TestI8FoldOfDifferingTextsDoesNotDependOnTheOrder(t *testing.T) {
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	var alerts []Folded
	for _, p := range []map[string]string{{"os": "linux"}, {"zone": "dmz"}, {"os": "windows"}, {"zone": "", "os": "x"}, nil} {
		alerts = append(alerts, Folded{At: at, Title: "title " + p["os"], Entities: []alert.Entity{{Type: alert.Host, Value: "ws-1", Confidence: 1, Properties: p}}})
	}
	fold := func(list []Folded) *Investigation {
		inv := &Investigation{Title: list[0].Title}
		for i := range list {
			inv.Fold(list[i : i+1])
		}
		return inv
	}
	want := fold(alerts)
	for seed := range uint64(20) {
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(alerts), func(i, j int) { alerts[i], alerts[j] = alerts[j], alerts[i] })
		if d := cmp.Diff(want, fold(alerts)); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
	}
}

// reachedPlainly counts each window anew.
func reachedPlainly(t *evidence.Tally, list []Occurrence) map[int64]bool {
	out := map[int64]bool{}
	for i := range list {
		values := map[int64]bool{}
		n := 0
		for j := i; j < len(list) && list[j].At.Sub(list[i].At) <= t.Window(); j++ {
			values[list[j].Value] = true
			if n++; t.Distinct && len(values) < t.AtLeast || n < t.AtLeast {
				continue
			}
			for _, o := range list[i : j+1] {
				out[o.Investigation] = true
			}
		}
	}
	return out
}

func TestReachedCountsEveryWindow(t *testing.T) {
	start := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		tally := &evidence.Tally{WindowSeconds: 10, AtLeast: 2 + rng.IntN(4), Distinct: seed%2 == 0}
		at := start
		list := make([]Occurrence, rng.IntN(40))
		for i := range list {
			at = at.Add(time.Duration(rng.IntN(7)) * time.Second)
			list[i] = Occurrence{At: at, Investigation: int64(i), Alert: int64(i), Value: int64(rng.IntN(4))}
		}
		if d := cmp.Diff(reachedPlainly(tally, list), Reached(tally, list)); d != "" {
			t.Fatalf("seed %d, %+v: %s", seed, tally, d)
		}
	}
}
