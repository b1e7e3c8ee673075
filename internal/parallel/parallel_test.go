package parallel

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
)

func TestForVisitsEachOnceAndJoinsErrors(t *testing.T) {
	odd := errors.New("odd")
	for _, n := range []int{0, 1, parallelFrom - 1, parallelFrom, 1000} {
		visits := make([]atomic.Int32, n)
		err := For(n, func(i int) error {
			visits[i].Add(1)
			if i%2 == 1 {
				return fmt.Errorf("%d: %w", i, odd)
			}
			return nil
		})
		for i := range visits {
			if v := visits[i].Load(); v != 1 {
				t.Errorf("n=%d: item %d visited %d times", n, i, v)
			}
		}
		if got := errors.Is(err, odd); got != (n > 1) {
			t.Errorf("n=%d: error %v", n, err)
		}
	}
}

// TestSpareLeavesOneProcessor counts how many items are under way at once.
func TestSpareLeavesOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	for _, tt := range []struct {
		name string
		ctx  context.Context
		want int32
	}{{"all", t.Context(), 3}, {"spare", Spare(t.Context()), 2}} {
		var under, most atomic.Int32
		full := make(chan struct{})
		err := Within(tt.ctx, 1000, func(int) error {
			now := under.Add(1)
			defer under.Add(-1)
			for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			}
			if now == tt.want {
				select {
				case <-full:
				default:
					close(full)
				}
			}
			<-full // all that may run do so at once, or the test would not end
			return nil
		})
		if got := most.Load(); err != nil || got != tt.want {
			t.Errorf("%s: %d at once, want %d; %v", tt.name, got, tt.want, err)
		}
	}
}
