package ops

import (
	"math"
	"runtime/debug"
	"sync"
)

// spareHeap is how much Go's memory may be above what is live, whatever the limit, besides a
// quarter of it: below that the garbage collector would do little else.
const spareHeap = 64 << 20

// MemoryLimit is the soft limit of Go's memory as this process sets it. A limit that somebody
// else set, such as the operator with GOMEMLIMIT, stands. The zero value is ready; it is safe for
// concurrent use.
type MemoryLimit struct {
	mu  sync.Mutex
	own int64
}

// Set limits Go's memory to what remains of a budget, or to what the live heap needs where that
// is more. Call it again as the live heap grows.
func (m *MemoryLimit) Set(remains int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := debug.SetMemoryLimit(-1); now != math.MaxInt64 && now != m.own {
		return
	}
	live := int64(0)
	if v, ok := runtimeValue("/gc/heap/live:bytes")(); ok {
		live = int64(v)
	}
	m.own = max(remains, live+live/4+spareHeap)
	debug.SetMemoryLimit(m.own)
}

// Lift takes the limit away again, unless somebody else set another.
func (m *MemoryLimit) Lift() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.own != 0 && debug.SetMemoryLimit(-1) == m.own {
		debug.SetMemoryLimit(math.MaxInt64)
	}
	m.own = 0
}

// ResidentBytes is how much memory of this process is in RAM; false where the system does not
// say.
func ResidentBytes() (int64, bool) {
	v, ok := residentBytes()
	return int64(v), ok
}
