// Package parallel spreads the items of a batch over the processors.
package parallel

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
)

// parallelFrom is the number of items below which a second goroutine costs more than it brings.
const parallelFrom = 16

type spareKey struct{}

// Spare returns a context whose Within leaves one processor to others, where there are several.
func Spare(ctx context.Context) context.Context { return context.WithValue(ctx, spareKey{}, true) }

// Within is For on the processors that ctx may have: all, or all but one (see Spare). It does not end
// with ctx; fn sees to that.
func Within(ctx context.Context, n int, fn func(i int) error) error {
	workers := runtime.GOMAXPROCS(0)
	if spare, _ := ctx.Value(spareKey{}).(bool); spare {
		workers--
	}
	return run(workers, n, fn)
}

// For runs fn for 0..n-1 on all processors and returns the joined errors. Items are
// claimed one by one, so a slow one does not hold up a fixed share. After each, whoever else is
// ready runs: else a batch holds every processor for a whole slice of 10 ms, and work that goes
// through ten hands waits ten times.
func For(n int, fn func(i int) error) error { return run(runtime.GOMAXPROCS(0), n, fn) }

func run(workers, n int, fn func(i int) error) error {
	if n < parallelFrom {
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
	for range max(1, min(workers, n)) {
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
