package app

import (
	"context"
	"sync"

	"github.com/aluskort/aluskort/internal/auditlog"
)

// flow counts alerts through the node, so that a command can wait for the end. Waiters are
// woken by closing changed, which is replaced at each change.
type flow struct {
	mu      sync.Mutex
	changed chan struct{}
	in, out int
	lost    int // to the dead letters
	chained map[string]int64
}

func newFlow() *flow { return &flow{changed: make(chan struct{}), chained: map[string]int64{}} }

func (f *flow) change(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *flow) offered(n int) { f.change(func() { f.in += n }) }
func (f *flow) decided(n int) { f.change(func() { f.out += n }) }
func (f *flow) dead(n int)    { f.change(func() { f.out += n; f.lost += n }) }

func (f *flow) appended(a auditlog.Appended) {
	f.change(func() { f.chained[a.Tenant] = max(f.chained[a.Tenant], a.Seq) })
}

func (f *flow) deadLetters() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

func (f *flow) wait(ctx context.Context, done func() bool) error {
	for {
		f.mu.Lock()
		ok, changed := done(), f.changed
		f.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

func (f *flow) waitDecided(ctx context.Context) error {
	return f.wait(ctx, func() bool { return f.out >= f.in })
}

func (f *flow) waitAppended(ctx context.Context, upTo map[string]int64) error {
	return f.wait(ctx, func() bool {
		for tenant, seq := range upTo {
			if f.chained[tenant] < seq {
				return false
			}
		}
		return true
	})
}
