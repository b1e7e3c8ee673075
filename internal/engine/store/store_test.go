package store

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/clock"
)

// TestSpans compares the ranges with a plain set.
func TestSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s spans
		want := map[int64]bool{}
		number := rapid.Int64Range(0, 40)
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "step") > 0 {
				n := number.Draw(t, "add")
				s = s.add(n)
				want[n] = true
				continue
			}
			lo := number.Draw(t, "lo")
			r := span{lo, lo + rapid.Int64Range(0, 8).Draw(t, "length")}
			s = s.remove(r)
			for n := r.lo; n <= r.hi; n++ {
				delete(want, n)
			}
		}
		for n := int64(-1); n <= 50; n++ {
			if s.contains(n) != want[n] {
				t.Fatalf("contains(%d) = %v in %v", n, !want[n], s)
			}
		}
		for i, r := range s {
			if r.lo > r.hi || i > 0 && s[i-1].hi+1 >= r.lo {
				t.Fatalf("not ascending, disjoint and merged: %v", s)
			}
		}
	})
}

func TestChunk(t *testing.T) {
	var sizes []int
	for left := 163; left > 0; left -= chunk(left) {
		sizes = append(sizes, chunk(left))
	}
	if want := []int{50, 50, 50, 8, 4, 1}; !slices.Equal(sizes, want) {
		t.Errorf("163 rows go in chunks of %v, want %v", sizes, want)
	}
}

func TestBulkText(t *testing.T) {
	got := bulkText(bulkShape{"INSERT INTO t (a, b)", "ON CONFLICT DO NOTHING", 2, 2})
	if want := "INSERT INTO t (a, b) VALUES ($1,$2),($3,$4) ON CONFLICT DO NOTHING"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestStockIsTakenWhileRowsArrive: what commits between the reading of the table and the moment
// its answer is taken over counts, whatever the answer says.
func TestStockIsTakenWhileRowsArrive(t *testing.T) {
	o := NewOutbox(clock.System{}, 2)
	row := func(seq int64) []Outgoing { return []Outgoing{{Seq: seq, Message: Message{Topic: "t"}}} }
	for seq := range int64(4) {
		o.handOver(row(seq + 1))
	}
	o.startStock()
	o.handOver(row(4 + 1)) // not in the answer
	o.takeStock(4, 4)
	if rows, _ := o.lag(); rows != 5 {
		t.Errorf("lag %d rows, want 5", rows)
	}
	o.startStock()
	o.handOver(row(6)) // in the answer
	o.takeStock(6, 6)
	o.handOver(row(7))
	if rows, _ := o.lag(); rows != 7 {
		t.Errorf("lag %d rows, want 7", rows)
	}
}
