//go:build !race

package sigma

import "testing"

// The race detector makes sync.Pool forget at random, so this is measured without it.
func TestMatchDoesNotAllocate(t *testing.T) {
	s, ev := benchSet(t, 150), sysmonEvent(t)
	fn := func(*Rule, Hits) {}
	s.Match(ev, fn)
	if n := testing.AllocsPerRun(100, func() { s.Match(ev, fn) }); n > 2 {
		t.Errorf("%g allocations an event", n)
	}
}
