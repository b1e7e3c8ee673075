package parallel

import (
	"errors"
	"fmt"
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
