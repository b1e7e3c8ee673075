package detect

// automaton finds all literals of a set in one pass (Aho and Corasick, as one dense table).
type automaton struct {
	shift uint
	next  []uint16
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
	a.first = make([]uint32, len(ends))
	a.count = make([]uint8, len(ends))
	for s, e := range ends {
		a.first[s] = uint32(len(a.outs))
		a.count[s] = uint8(min(len(e), 255))
		a.outs = append(a.outs, e[:a.count[s]]...)
	}
}
