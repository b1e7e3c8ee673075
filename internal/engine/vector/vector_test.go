package vector

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/uuid"
)

func TestIDs(t *testing.T) {
	u := uuid.MustParse("0192f0c1-2d3e-7a4b-8c5d-6e7f80910213")
	ordered := []ID{Number(0), Number(1), Number(math.MaxUint64), UUID(uuid.Nil), UUID(u), UUID(uuid.Max)}
	for i, a := range ordered {
		back, err := ParseID(a.String())
		if err != nil || back != a {
			t.Errorf("%v comes back as %v: %v", a, back, err)
		}
		for j, b := range ordered {
			if got := a.Compare(b); (got < 0) != (i < j) || (got == 0) != (i == j) || (a == b) != (i == j) {
				t.Errorf("%v against %v: %d", a, b, got)
			}
		}
	}
	if got, ok := UUID(u).UUID(); !ok || got != u {
		t.Errorf("%v, %v", got, ok)
	}
	if _, ok := UUID(u).Number(); ok {
		t.Error("a UUID is a number")
	}
	if (ID{}).String() != "" || !(ID{}).IsZero() || Number(0).IsZero() {
		t.Error("the zero value and the number 0 are not told apart")
	}
	for _, bad := range []string{"", "-1", "1.5", "18446744073709551616", "not-a-uuid"} {
		if _, err := ParseID(bad); !errors.Is(err, ErrMisuse) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestNearer(t *testing.T) {
	scores := []float64{0.5, -1, 2}
	slices.SortFunc(scores, Cosine.Nearer)
	if !slices.Equal(scores, []float64{2, 0.5, -1}) {
		t.Errorf("cosine: %v", scores)
	}
	slices.SortFunc(scores, Euclid.Nearer)
	if !slices.Equal(scores, []float64{-1, 0.5, 2}) {
		t.Errorf("euclid: %v", scores)
	}
}

func TestMergeChangesNeither(t *testing.T) {
	have := Collection{Name: "c", Size: 2, Distance: Dot, Fields: map[string]FieldType{"a": Keyword}}
	want := Collection{Name: "c", Size: 2, Distance: Dot, Fields: map[string]FieldType{"b": Bool}}
	got, err := have.Merge(&want)
	if err != nil || len(got.Fields) != 2 || len(have.Fields) != 1 || len(want.Fields) != 1 {
		t.Errorf("merged %v of %v and %v: %v", got.Fields, have.Fields, want.Fields, err)
	}
}

func TestBatchesAreBounded(t *testing.T) {
	c := Collection{Name: "c", Size: MaxSize, Distance: Dot}
	v := make([]float32, MaxSize)
	v[0] = 1
	var batch []Point
	for n := range uint64(MaxBatch) {
		batch = append(batch, Point{ID: Number(n), Vector: v, Payload: Payload{"text": string(make([]byte, 32<<10))}})
	}
	if err := c.CheckPoints(batch); !errors.Is(err, ErrMisuse) {
		t.Errorf("a batch of %d bytes: %v", MaxBatch*(4*MaxSize+32<<10), err)
	}
	if err := c.CheckPoints(batch[:100]); err != nil {
		t.Error(err)
	}
}
