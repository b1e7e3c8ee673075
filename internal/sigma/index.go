package sigma

import (
	"bytes"
	"cmp"
	"math"
	"slices"
)

// anyField marks literals of keywords.
const anyField int32 = -1

type literalKind uint8

const (
	litEqual literalKind = iota
	litPrefix
	litSuffix
	litContains
)

// shortest is the length of the shortest substring the index can hold.
const shortest = 3

// clue is a literal in a field: if none of a rule's clues occurs, the rule cannot match.
type clue struct {
	field int32
	kind  literalKind
	text  string // lower case
}

// clues returns the literals of which one must occur if the test holds; nil when the test can
// hold without any.
func (t *test) clues(field int32) []clue {
	if t.not || t.null || t.empty || t.exists || t.missing ||
		len(t.nets)+len(t.numbers)+len(t.clocks)+len(t.refs) > 0 {
		return nil
	}
	out := make([]clue, 0, len(t.patterns)+len(t.regexps))
	for i := range t.patterns {
		c, ok := t.patterns[i].clue(field)
		if !ok {
			return nil
		}
		out = append(out, c)
	}
	for _, l := range t.literals {
		if len(l) < shortest {
			return nil
		}
		out = append(out, clue{field, litContains, string(l)})
	}
	return out
}

func (p *pattern) clue(field int32) (clue, bool) {
	switch p.kind {
	case matchAny:
		return clue{}, false
	case matchEqual:
		return clue{field, litEqual, string(appendFold(nil, p.lit))}, true
	case matchGlob:
		var best []byte
		for _, seg := range p.segs {
			for _, e := range seg {
				if run := asciiRun(e.lit); len(run) > len(best) {
					best = run
				}
			}
		}
		return clue{field, litContains, string(best)}, len(best) >= shortest
	}
	run := asciiRun(p.lit)
	c := clue{field, litContains, string(run)}
	if len(run) == len(p.lit) {
		c.kind = map[patternKind]literalKind{matchPrefix: litPrefix, matchSuffix: litSuffix, matchContains: litContains}[p.kind]
	}
	return c, len(run) >= shortest
}

// planner chooses the clues of the rules of a set.
type planner struct {
	fieldOf map[*test]int32
	popular map[clue]int // in how many rules a clue stands
	rules   float64
	memo    map[*expr]plan
}

type plan struct {
	clues []clue
	cost  float64
}

// count notes every clue of the rule once.
func (pl *planner) count(e *expr) {
	seen := make(map[clue]bool)
	visited := make(map[*expr]bool)
	var walk func(e *expr)
	walk = func(e *expr) {
		if visited[e] {
			return
		}
		visited[e] = true
		if e.test != nil {
			for _, c := range e.test.clues(pl.fieldOf[e.test]) {
				if !seen[c] {
					seen[c] = true
					pl.popular[c]++
				}
			}
		}
		if e.op == opNot {
			return
		}
		for _, k := range e.kids {
			walk(k)
		}
	}
	walk(e)
}

// choose returns the cheapest necessary set; no clues when there is none.
func (pl *planner) choose(e *expr) plan {
	if p, ok := pl.memo[e]; ok {
		return p
	}
	p := pl.compute(e)
	pl.memo[e] = p
	return p
}

func (pl *planner) compute(e *expr) plan {
	none := plan{cost: math.Inf(1)}
	switch e.op {
	case opTest:
		clues := e.test.clues(pl.fieldOf[e.test])
		if len(clues) == 0 {
			return none
		}
		p := plan{clues: clues}
		for _, c := range clues {
			p.cost += pl.price(c)
		}
		return p
	case opAnd:
		best := none
		for _, k := range e.kids {
			if p := pl.choose(k); p.cost < best.cost {
				best = p
			}
		}
		return best
	case opOr, opAtLeast:
		var p plan
		for _, k := range e.kids {
			kp := pl.choose(k)
			if len(kp.clues) == 0 {
				return none
			}
			p.clues = append(p.clues, kp.clues...)
			p.cost += kp.cost
		}
		return p
	default:
		return none
	}
}

// price estimates how often a clue occurs: short ones often, and those that many rules name,
// since rules name what events hold.
func (pl *planner) price(c clue) float64 {
	base := 0.65
	if c.kind == litEqual {
		base = 0.5
	}
	p := math.Pow(base, float64(len(c.text))) + float64(pl.popular[c])/pl.rules
	if c.field == anyField {
		p *= 4
	}
	return p
}

// posting says which rules a literal in a field makes candidates.
type posting struct {
	field int32
	kind  literalKind
	rules []int32
}

// gramIndex finds literals in text by their rarest window of n bytes.
type gramIndex struct {
	n       int
	mask    uint32
	bits    []uint64
	shift   uint32 // of the hash, to a bit
	slot    uint32 // of the hash, to a slot
	slots   []gramSlot
	entries []gramEntry
}

// gramSlot is a run of entries with the same window; hi is 0 in a free one.
type gramSlot struct {
	key    uint32
	lo, hi int32
}

type gramEntry struct {
	key   uint32
	end   int32 // where the window ends in the literal
	lit   []byte
	posts []int32
}

const gramPrime = 0x9E3779B1

func (g *gramIndex) hash(key uint32) uint32 { return key * gramPrime }

// newGramIndex indexes literals of at least n bytes.
func newGramIndex(n int, lits map[string][]int32) *gramIndex {
	if len(lits) == 0 {
		return nil
	}
	g := &gramIndex{n: n, mask: ^uint32(0) >> (8 * (4 - n))}
	freq := make(map[uint32]int)
	texts := make([]string, 0, len(lits))
	for t := range lits {
		texts = append(texts, t)
		for i := n; i <= len(t); i++ {
			freq[window(t, i, n)]++
		}
	}
	slices.Sort(texts)
	for _, t := range texts {
		e := gramEntry{lit: []byte(t), posts: lits[t]}
		best := math.MaxInt
		for i := n; i <= len(t); i++ {
			if k := window(t, i, n); freq[k] < best {
				best, e.key, e.end = freq[k], k, int32(i)
			}
		}
		g.entries = append(g.entries, e)
	}
	slices.SortStableFunc(g.entries, func(a, b gramEntry) int { return cmp.Compare(a.key, b.key) })
	g.fill()
	return g
}

func window(t string, end, n int) uint32 {
	var w uint32
	for i := end - n; i < end; i++ {
		w = w<<8 | uint32(t[i])
	}
	return w
}

func (g *gramIndex) fill() {
	bitsLog, slotLog := uint32(12), uint32(4)
	for 1<<bitsLog < 32*len(g.entries) && bitsLog < 24 {
		bitsLog++
	}
	for 1<<slotLog < 2*len(g.entries) {
		slotLog++
	}
	g.shift, g.slot = 32-bitsLog, 32-slotLog
	g.bits = make([]uint64, 1<<bitsLog/64)
	g.slots = make([]gramSlot, 1<<slotLog)
	for lo := 0; lo < len(g.entries); {
		hi := lo + 1
		for hi < len(g.entries) && g.entries[hi].key == g.entries[lo].key {
			hi++
		}
		key := g.entries[lo].key
		h := g.hash(key)
		g.bits[h>>g.shift>>6] |= 1 << (h >> g.shift & 63)
		i := h >> g.slot
		for g.slots[i].hi != 0 {
			i = (i + 1) & uint32(len(g.slots)-1)
		}
		g.slots[i] = gramSlot{key, int32(lo), int32(hi)}
		lo = hi
	}
}

// find returns the entries with the window.
func (g *gramIndex) find(key, h uint32) []gramEntry {
	for i := h >> g.slot; g.slots[i].hi != 0; i = (i + 1) & uint32(len(g.slots)-1) {
		if g.slots[i].key == key {
			return g.entries[g.slots[i].lo:g.slots[i].hi]
		}
	}
	return nil
}

// occurs reports whether the literal stands where its window ends at end, and where it begins.
func (e *gramEntry) occurs(text []byte, end int) (start int, ok bool) {
	start = end - int(e.end)
	if start < 0 || start+len(e.lit) > len(text) {
		return 0, false
	}
	return start, bytes.Equal(text[start:start+len(e.lit)], e.lit)
}
