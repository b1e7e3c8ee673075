package investigate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// What is kept of very many is the same in any order and any portions: the smallest keys, each
// in its preferred form.
func TestUnionKeepsTheSameOfVeryMany(t *testing.T) {
	type thing struct {
		key  string
		rank int
	}
	key := func(x *thing) string { return x.key }
	prefer := func(a, b *thing) bool { return a.rank > b.rank }
	var all []thing
	for i := range 300 {
		all = append(all, thing{fmt.Sprintf("%03d", i%200), i})
	}
	var want []thing
	for i := range 50 { // the later of two of one key ranks higher
		want = append(want, thing{fmt.Sprintf("%03d", i), i + 200})
	}
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 3))
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		var list []thing
		for part := range slices.Chunk(all, 1+rng.IntN(100)) {
			list = union(list, part, 50, key, prefer)
			if len(list) > 50 {
				t.Fatalf("%d are kept", len(list))
			}
		}
		if !slices.Equal(list, want) {
			t.Fatalf("seed %d: got %v", seed, list)
		}
	}
}
