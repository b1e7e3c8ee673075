package ops

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	limit := func() int64 { return debug.SetMemoryLimit(-1) }

	var m MemoryLimit
	if m.Set(200 << 20); limit() != 200<<20 {
		t.Errorf("limit %d", limit())
	}
	// A heap that is larger than the budget is not collected without end.
	held := make([]byte, 256<<20)
	runtime.GC()
	if m.Set(200 << 20); limit() < 256<<20+spareHeap {
		t.Errorf("limit %d with 256 MiB live", limit())
	}
	runtime.KeepAlive(held)
	if m.Lift(); limit() != math.MaxInt64 {
		t.Errorf("limit %d after it was lifted", limit())
	}
}

func TestTheOperatorsMemoryLimitStands(t *testing.T) {
	before := debug.SetMemoryLimit(1 << 30)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	var m MemoryLimit
	m.Set(200 << 20)
	m.Lift()
	if got := debug.SetMemoryLimit(-1); got != 1<<30 {
		t.Errorf("the operator's limit was replaced by %d", got)
	}
}
