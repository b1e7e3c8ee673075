// Package parallel spreads the items of a batch over the processors.
package parallel

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
)

// parallelFrom is the number of items below which a second goroutine costs more than it brings.
const parallelFrom = 16

// For runs fn for 0..n-1 on all processors and returns the joined errors. Items are
// claimed one by one, so a slow one does not hold up a fixed share. After each, whoever else is
// ready runs: else a batch holds every processor for a whole slice of 10 ms, and work that goes
// through ten hands waits ten times.
func For(n int, fn func(i int) error) error {
	workers := min(runtime.GOMAXPROCS(0), n)
	if n < parallelFrom || workers < 2 {
		var errs []error
		for i := range n {
			errs = append(errs, fn(i))
		}
		return errors.Join(errs...)
	}
	var (
		next atomic.Int64
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := fn(i); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
