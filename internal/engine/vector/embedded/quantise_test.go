package embedded

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/engine/vector"
)

// TestBoundsHold is why a search is exact: the true rank is never outside the bounds.
func TestBoundsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := vector.Collection{
			Name: "x", Size: rapid.SampledFrom([]int{1, 2, 63, 64, 65, 200, 511, 512, 700}).Draw(t, "size"),
			Distance: rapid.SampledFrom([]vector.Distance{vector.Cosine, vector.Dot, vector.Euclid}).Draw(t, "distance"),
		}
		draw := func(name string) []float32 {
			scale := math.Pow(10, float64(rapid.IntRange(-9, 9).Draw(t, name+" scale")))
			v := make([]float32, c.Size)
			for i := range v {
				v[i] = float32(scale * float64(rapid.Float32Range(-1, 1).Draw(t, name)))
			}
			return v
		}
		x, q := draw("x"), draw("q")
		if c.CheckVector(x) != nil || c.CheckVector(q) != nil {
			t.Skip("refused")
		}
		if rapid.Bool().Draw(t, "near") {
			copy(q, x)
			q[0] *= 1.001
			if c.CheckVector(q) != nil {
				t.Skip("refused")
			}
		}
		ask := newQuestion(&c, q)
		stored := c.Prepared(x)
		codes := make([]int8, padded(c.Size))
		scale, lost := quantise(stored, codes)
		product := dot(codes, ask.codes)
		low, high := ask.bounds(product, scale, lost, vector.Length(stored))
		front := frontOf(len(codes))
		ceiling := ask.ceiling(dot(codes[:front], ask.codes[:front]), scale, lost, up(lengthOf(codes[front:], float64(scale))), vector.Length(stored))
		if ceiling < ask.rank(stored) {
			t.Fatalf("%s: rank %g is above the ceiling %g", c.Distance, ask.rank(stored), ceiling)
		}
		if rank := ask.rank(stored); !(low <= rank && rank <= high) {
			t.Fatalf("%s: rank %g is outside %g to %g", c.Distance, rank, low, high)
		}
	})
}

// TestBoundsAreTight keeps the second pass short: for embeddings the interval is narrow.
func TestBoundsAreTight(t *testing.T) {
	c := benchLike()
	from := newRandom(3)
	x, q := c.Prepared(from(c.Size)), from(c.Size)
	codes := make([]int8, padded(c.Size))
	scale, lost := quantise(x, codes)
	ask := newQuestion(&c, q)
	low, high := ask.bounds(dot(codes, ask.codes), scale, lost, vector.Length(x))
	if high-low > 0.03 {
		t.Errorf("bounds are %g apart", high-low)
	}
}
