package detect

// automaton finds all literals of a set in one pass (Aho and Corasick, as one dense table).
type automaton struct {
	shift uint
	next  []uint16
	// loud is the first of the states in which a literal ends: those come last, so that the walk
	// tells them by their number.
	loud int
	// first and count give the outputs of a state in outs.
	first []uint32
	count []uint8
	outs  []output
}

// output is a literal that ends in a state: its concept and its length in symbols.
type output struct {
	concept uint8
	length  uint8
}

type literal struct {
	symbols []byte
	concept uint8
}

// maxStates is what fits the table's 16 bits.
const maxStates = 1 << 16

// newAutomaton builds the table. Symbols are below 1<<shift.
func newAutomaton(literals []literal, shift uint) (*automaton, bool) {
	width := 1 << shift
	next := append([]uint16(nil), make([]uint16, width)...)
	ends := [][]output{nil}
	for _, l := range literals {
		s := 0
		for _, sym := range l.symbols {
			n := int(next[s<<shift|int(sym)])
			if n == 0 {
				n = len(ends)
				if n >= maxStates {
					return nil, false
				}
				ends = append(ends, nil)
				next = append(next, make([]uint16, width)...)
				next[s<<shift|int(sym)] = uint16(n)
			}
			s = n
		}
		ends[s] = append(ends[s], output{l.concept, uint8(len(l.symbols))})
	}
	a := &automaton{shift: shift, next: next}
	a.link(ends)
	return a, true
}

// link fills in the transitions of failure, breadth first, and the outputs they bring.
func (a *automaton) link(ends [][]output) {
	width := 1 << a.shift
	fail := make([]uint16, len(ends))
	var queue []uint16
	for sym := range width {
		if s := a.next[sym]; s != 0 {
			queue = append(queue, s)
		}
	}
	for i := 0; i < len(queue); i++ {
		s := queue[i]
		ends[s] = append(ends[s], ends[fail[s]]...)
		for sym := range width {
			at := int(s)<<a.shift | sym
			through := a.next[int(fail[s])<<a.shift|sym]
			if n := a.next[at]; n != 0 {
				fail[n] = through
				queue = append(queue, n)
			} else {
				a.next[at] = through
			}
		}
	}
	ends = a.renumber(ends, queue)
	a.first = make([]uint32, len(ends))
	a.count = make([]uint8, len(ends))
	for s, e := range ends {
		a.first[s] = uint32(len(a.outs))
		a.count[s] = uint8(min(len(e), 255))
		a.outs = append(a.outs, e[:a.count[s]]...)
	}
}

// renumber orders the states: the root, those without outputs from the root outwards, so that the
// ones most visited lie together, and then those with outputs. It returns ends in that order.
func (a *automaton) renumber(ends [][]output, queue []uint16) [][]output {
	order := []uint16{0}
	for _, loud := range []bool{false, true} {
		for _, s := range queue {
			if len(ends[s]) > 0 == loud {
				order = append(order, s)
			}
		}
		if !loud {
			a.loud = len(order)
		}
	}
	place := make([]uint16, len(order))
	for at, s := range order {
		place[s] = uint16(at)
	}
	width := 1 << a.shift
	next, sorted := make([]uint16, len(a.next)), make([][]output, len(ends))
	for at, s := range order {
		sorted[at] = ends[s]
		for sym := range width {
			next[at<<a.shift|sym] = place[a.next[int(s)<<a.shift|sym]]
		}
	}
	a.next = next
	return sorted
}
