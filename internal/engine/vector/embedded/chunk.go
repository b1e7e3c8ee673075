package embedded

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/aluskort/aluskort/internal/engine/vector"
)

// chunkSlots is the number of points of a chunk: the unit in which memory grows and a scan is
// split over processors.
const chunkSlots = 256

// chunk holds what is kept in memory of chunkSlots points: their quantised vectors, the fields
// that can be filtered by, and where the rest stands in the log. A slot is written once, before
// the view that shows it is published; only died changes after that.
type chunk struct {
	// front and rear hold the codes, the first dimensions of all points before the others, so that a
	// scan of the first reads nothing else.
	front, rear []int8
	scale       [chunkSlots]float32
	lost        [chunkSlots]float32
	// tail is the length of what the rear codes stand for, rounded up.
	tail    [chunkSlots]float32
	length  [chunkSlots]float64
	ids     [chunkSlots]vector.ID
	at      [chunkSlots]int64
	payload [chunkSlots]uint32
	digest  [chunkSlots]digest
	// died is the number of the commit that replaced or removed the point, 0 while it lives.
	died    [chunkSlots]atomic.Uint64
	columns []column
}

// digest tells vectors apart that are not equal bit by bit.
type digest [2]uint64

type seeds [2]maphash.Seed

func (s *seeds) of(raw []byte) digest {
	return digest{maphash.Bytes(s[0], raw), maphash.Bytes(s[1], raw)}
}

// column holds one field of the points of a chunk.
type column struct {
	words  *[chunkSlots][]uint32 // Keyword: numbers in the dictionary
	ints   *[chunkSlots]int64    // Integer; Bool as 0 and 1
	floats *[chunkSlots]float64  // Float
	has    *[chunkSlots]bool
}

func newChunk(stride int, fields []field) *chunk {
	n := frontOf(stride)
	c := &chunk{front: make([]int8, chunkSlots*n), rear: make([]int8, chunkSlots*(stride-n)), columns: make([]column, len(fields))}
	for i := range fields {
		col := &c.columns[i]
		switch fields[i].kind {
		case vector.Keyword:
			col.words = new([chunkSlots][]uint32)
			continue
		case vector.Float:
			col.floats = new([chunkSlots]float64)
		default:
			col.ints = new([chunkSlots]int64)
		}
		col.has = new([chunkSlots]bool)
	}
	return c
}

// frontCode and rearCode are the codes of a slot, n of them.
func (c *chunk) frontCode(slot, n int) []int8 { return c.front[slot*n:][:n:n] }
func (c *chunk) rearCode(slot, n int) []int8  { return c.rear[slot*n:][:n:n] }

// field is a declared field with its place among the columns.
type field struct {
	key   string
	kind  vector.FieldType
	words *dictionary
}

// dictionary numbers the values of a keyword field, from 1. It is safe for concurrent use.
type dictionary struct {
	mu  sync.RWMutex
	ids map[string]uint32
}

// lookup returns the number of a value, 0 when no point ever had it.
func (d *dictionary) lookup(s string) uint32 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.ids[s]
}

func (d *dictionary) intern(s string) uint32 {
	if n := d.lookup(s); n != 0 {
		return n
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	// Somebody else may have come in between: a word with two numbers shares one with the next word.
	n, ok := d.ids[s]
	if !ok {
		n = uint32(len(d.ids) + 1)
		d.ids[s] = n
	}
	return n
}

// setFields notes the declared fields of a payload. A field whose stored value is of another type
// than is declared now was stored before it was declared, and counts as absent.
func (c *chunk) setFields(slot int, fields []field, p vector.Payload) {
	for i := range fields {
		f, col := &fields[i], &c.columns[i]
		switch v := p[f.key].(type) {
		case string:
			if f.kind == vector.Keyword {
				col.words[slot] = []uint32{f.words.intern(v)}
			}
		case []string:
			if f.kind == vector.Keyword {
				list := make([]uint32, len(v))
				for j, s := range v {
					list[j] = f.words.intern(s)
				}
				col.words[slot] = list
			}
		case int64:
			if f.kind == vector.Integer {
				col.ints[slot], col.has[slot] = v, true
			}
		case float64:
			if f.kind == vector.Float {
				col.floats[slot], col.has[slot] = v, true
			}
		case bool:
			if f.kind == vector.Bool {
				col.has[slot] = true
				if v {
					col.ints[slot] = 1
				}
			}
		}
	}
}

// test is a compiled condition.
type test func(c *chunk, slot int) bool

// filter is a compiled vector.Filter.
type filter struct{ must, should, mustNot []test }

func (f *filter) fits(c *chunk, slot int) bool {
	for _, t := range f.must {
		if !t(c, slot) {
			return false
		}
	}
	for _, t := range f.mustNot {
		if t(c, slot) {
			return false
		}
	}
	for _, t := range f.should {
		if t(c, slot) {
			return true
		}
	}
	return len(f.should) == 0
}

// compile turns a checked filter into tests of columns.
func compile(f *vector.Filter, fields []field) filter {
	list := func(conditions []vector.Condition) []test {
		out := make([]test, len(conditions))
		for i := range conditions {
			out[i] = compileCondition(&conditions[i], fields)
		}
		return out
	}
	return filter{list(f.Must), list(f.Should), list(f.MustNot)}
}

func compileCondition(k *vector.Condition, fields []field) test {
	at := 0
	for fields[at].key != k.Key {
		at++
	}
	f := &fields[at]
	switch {
	case k.Range != nil && f.kind == vector.Float:
		return func(c *chunk, slot int) bool {
			return c.columns[at].has[slot] && k.Range.Contains(c.columns[at].floats[slot])
		}
	case k.Range != nil:
		return func(c *chunk, slot int) bool {
			return c.columns[at].has[slot] && k.Range.Contains(float64(c.columns[at].ints[slot]))
		}
	case f.kind == vector.Keyword:
		return anyWord(at, wanted(k, f.words))
	default:
		return anyNumber(at, k)
	}
}

func wanted(k *vector.Condition, words *dictionary) map[uint32]bool {
	out := map[uint32]bool{}
	add := func(s string) {
		if n := words.lookup(s); n != 0 {
			out[n] = true
		}
	}
	if s, ok := k.Match.(string); ok {
		add(s)
	}
	if list, ok := k.Any.([]string); ok {
		for _, s := range list {
			add(s)
		}
	}
	return out
}

func anyWord(at int, want map[uint32]bool) test {
	if len(want) == 1 {
		var one uint32
		for one = range want {
		}
		return func(c *chunk, slot int) bool {
			for _, w := range c.columns[at].words[slot] {
				if w == one {
					return true
				}
			}
			return false
		}
	}
	return func(c *chunk, slot int) bool {
		for _, w := range c.columns[at].words[slot] {
			if want[w] {
				return true
			}
		}
		return false
	}
}

func anyNumber(at int, k *vector.Condition) test {
	want := map[int64]bool{}
	switch v := k.Match.(type) {
	case int64:
		want[v] = true
	case bool:
		want[0], want[1] = !v, v
	}
	if list, ok := k.Any.([]int64); ok {
		for _, n := range list {
			want[n] = true
		}
	}
	return func(c *chunk, slot int) bool { return c.columns[at].has[slot] && want[c.columns[at].ints[slot]] }
}

// view is a state of the points that does not change: the first n slots, without those that died
// up to seq.
type view struct {
	chunks []*chunk
	n      int
	seq    uint64
	live   int
}

func (v *view) sees(c *chunk, slot int) bool {
	d := c.died[slot].Load()
	return d == 0 || d > v.seq
}

// slots is the number of visible slots of a chunk, some of them dead.
func (v *view) slots(n int) int { return min(chunkSlots, v.n-n*chunkSlots) }

// each calls fn for the points that the view shows and the filter fits, until it returns false.
func (v *view) each(f *filter, fn func(c *chunk, slot int) bool) {
	for n, c := range v.chunks {
		for slot := range v.slots(n) {
			if v.sees(c, slot) && f.fits(c, slot) && !fn(c, slot) {
				return
			}
		}
	}
}

// bytesPerPoint is what a point of this size takes in memory without its fields and its entry in
// the index.
func bytesPerPoint(size int) int { return padded(size) + 4 + 4 + 4 + 8 + 24 + 8 + 4 + 16 + 8 }
