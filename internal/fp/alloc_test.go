//go:build !race

package fp

import "testing"

// The race detector makes sync.Pool forget at random, so this is measured without it.
func TestDecideAllocatesNothing(t *testing.T) {
	g, in := openGate(t, active("p", scan())), goodInput()
	g.Decide(in)
	if n := testing.AllocsPerRun(100, func() { g.Decide(in) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
