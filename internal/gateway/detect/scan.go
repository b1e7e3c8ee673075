package detect

import (
	"math"
	"slices"
	"unicode"
	"unicode/utf8"
)

const (
	blockBits  = 6 // symbols of one block of n-grams: 64
	window     = 3 // blocks of one score
	chunkStep  = 4 // blocks from one chunk to the next
	chunkSize  = 8 // blocks of one chunk
	featureMax = 192
	maxFires   = 256
)

// bitset is a set of features.
type bitset [featureMax / 64]uint64

func (b *bitset) set(i int)      { b[i>>6] |= 1 << (i & 63) }
func (b *bitset) has(i int) bool { return b[i>>6]>>(i&63)&1 != 0 }

// fire is a rule or structure that was found, in places of the scanned text.
type fire struct {
	feature    int
	start, end int32
}

// progress is how far a stage of a rule has come, in symbols and in places.
type progress struct {
	end   int32 // last symbol of the concept; 0: not reached
	first int32 // place of the first concept
}

// scanner goes through one text. It is reused; nothing of it outlives the call.
type scanner struct {
	lex   *lexicon
	grams []int8

	stages []progress
	ring   [maxLiteral]int32
	seen   []byte // the symbols of n-grams
	fires  []fire
	blocks []block
	// features and blockStart are those of the block that is being read.
	features   bitset
	blockStart int32
	found      []fire // structures, in the order of their places

	chunk chunk
	// indices collects the n-grams of every block, for training only.
	indices *[][]uint32
}

// block is a stretch of 64 symbols.
type block struct {
	sum, n     int32
	start, end int32
	features   bitset
}

const (
	mul3 = 0x9E3779B97F4A7C15
	mul4 = 0xC2B2AE3D27D4EB4F
	mul5 = 0xD6E8FEB86659FD93
	// gramBits is the size of the table of weights.
	gramBits = 17
)

// scan reads text once and fills blocks and fires.
func (s *scanner) scan(text string) {
	s.fires, s.blocks, s.features = s.fires[:0], s.blocks[:0], bitset{}
	clear(s.stages)
	s.structures(text)
	s.seen = slices.Grow(s.seen[:0], len(text))[:len(text)]
	s.ring[0], s.blockStart = 0, 0
	r := reader{scanner: s, text: text, words: words{text: text}, state: int(s.lex.latin.next[spaceSymbol]), last: spaceSymbol}
	pending := s.found
	for i := 0; i < len(text); {
		stop := len(text)
		for len(pending) > 0 {
			if stop = int(pending[0].start); stop > i {
				break
			}
			s.fire(pending[0])
			pending, stop = pending[1:], len(text)
		}
		if r.far == 0 {
			i = r.plain(i, stop)
		}
		if i < stop {
			i = r.other(i)
		}
	}
	if r.last != spaceSymbol {
		r.symbol(spaceSymbol, len(text), len(text))
	}
	for _, p := range pending {
		s.fire(p)
	}
	if rest := r.counted & (1<<blockBits - 1); rest > 0 || len(s.blocks) == 0 || s.features != (bitset{}) {
		s.close(int32(rest), int32(len(text)))
	}
	s.weigh()
}

// reader is where one scan has come to.
type reader struct {
	*scanner
	text  string
	words words

	state   int    // of the Latin automaton, which begins as after a space
	far     int    // of the foreign automaton
	last    uint32 // last symbol of the Latin automaton
	small   uint32 // hump when the last character was a small letter
	n       int32  // symbols of the automata so far
	counted int    // symbols of n-grams so far
}

// plain reads ASCII from i up to stop, and returns where there is something else. It is the
// hottest loop of the gateway, so the state is in variables, and nearly all its branches always go
// the same way.
func (r *reader) plain(i, stop int) int {
	var (
		text    = r.text[:stop]
		table   = &r.lex.symbols.ascii
		next    = r.lex.latin.next
		loud    = r.lex.latin.loud
		ring    = &r.ring
		seen    = r.seen
		state   = r.state
		last    = r.last
		small   = r.small
		n       = r.n
		counted = r.counted
	)
	for ; i < len(text); i++ {
		e := table[text[i]]
		if e>>kindAt&(small|special) != 0 && (e>>kindAt&special != 0 || r.words.splits(i)) {
			break
		}
		w := e & 0xff
		if w|last == spaceSymbol {
			// Only the first of several spaces counts; of other characters that separate, all do
			// among the n-grams.
			if e>>gramAt&0xff == ' ' && (counted == 0 || seen[counted-1] == ' ') {
				small = 0
				continue
			}
		} else {
			n++
			ring[n&(maxLiteral-1)] = int32(i)
			state = int(next[state<<6|int(w)])
			last = w
			if state >= loud {
				r.emit(r.lex.latin, state, n, int32(i+1))
			}
		}
		small = e >> (kindAt + 1) & hump
		seen[counted] = byte(e >> gramAt)
		if counted++; counted&(1<<blockBits-1) == 0 {
			r.close(1<<blockBits, int32(i+1))
		}
	}
	r.state, r.last, r.small, r.n, r.counted = state, last, small, n, counted
	return i
}

// other reads the character at i, whatever it is, and returns where the next one begins.
func (r *reader) other(i int) int {
	s, sym, at := r.scanner, r.lex.symbols, i
	var w, g byte
	if b := r.text[i]; b < utf8.RuneSelf {
		e := sym.ascii[b]
		w, g = byte(e), byte(e>>gramAt)
		if r.small != 0 && e>>kindAt&hump != 0 && r.words.splits(i) {
			r.symbol(spaceSymbol, at, at)
		}
		r.small = e >> (kindAt + 1) & hump
		if r.far != 0 && w == spaceSymbol {
			r.far = int(s.lex.foreign.next[r.far<<8|' '])
		}
		i++
	} else {
		c, size := utf8.DecodeRuneInString(r.text[i:])
		r.small = 0
		i += size
		switch l := sym.latin(c); {
		case l != 0:
			w, g = byte(sym.ascii[l]), l
		case c == '’' || c == 'ʼ':
			w, g = noSymbol, '\''
		default:
			if r.last != spaceSymbol {
				r.symbol(spaceSymbol, at, at)
				r.last = spaceSymbol
			}
			r.n++
			s.ring[r.n&(maxLiteral-1)] = int32(at)
			r.far = s.step(r.far, unicode.ToLower(c), r.n, int32(at))
			w, g = noSymbol, byte(c)|0x80
		}
	}
	if w != noSymbol && (w != spaceSymbol || r.last != spaceSymbol) {
		r.symbol(w, at, at+1)
		r.last = uint32(w)
	}
	if g == ' ' && (r.counted == 0 || s.seen[r.counted-1] == ' ') {
		return i
	}
	s.seen[r.counted] = g
	if r.counted++; r.counted&(1<<blockBits-1) == 0 {
		s.close(1<<blockBits, int32(at+1))
	}
	return i
}

// symbol feeds the Latin automaton a symbol that stands at a place; what it completes ends at end.
func (r *reader) symbol(w byte, at, end int) {
	r.n++
	r.ring[r.n&(maxLiteral-1)] = int32(at)
	r.state = int(r.lex.latin.next[r.state<<6|int(w)])
	if r.state >= r.lex.latin.loud {
		r.emit(r.lex.latin, r.state, r.n, int32(end))
	}
}

// weigh adds up the weights of the n-grams of every block. Apart from the automaton it is a loop
// without a branch, which the processor overlaps with itself.
func (s *scanner) weigh() {
	grams := (*[1 << gramBits]int8)(s.grams)
	seen, history := s.seen, uint64(0)
	for k := range s.blocks {
		b := &s.blocks[k]
		var sum int32
		for _, g := range seen[:b.n] {
			history = history<<8 | uint64(g)
			i3 := (history & 0xffffff) * mul3 >> (64 - gramBits)
			i4 := (history & 0xffffffff) * mul4 >> (64 - gramBits)
			i5 := (history & 0xffffffffff) * mul5 >> (64 - gramBits)
			sum += int32(grams[i3]) + int32(grams[i4]) + int32(grams[i5])
			if s.indices != nil {
				s.collect(k, uint32(i3), uint32(i4), uint32(i5))
			}
		}
		b.sum = sum
		seen = seen[b.n:]
	}
}

// close ends a block at a place.
func (s *scanner) close(n, at int32) {
	s.blocks = append(s.blocks, block{n: n, start: s.blockStart, end: at, features: s.features})
	s.features, s.blockStart = bitset{}, at
}

func (s *scanner) collect(k int, a, b, c uint32) {
	for len(*s.indices) <= k {
		*s.indices = append(*s.indices, nil)
	}
	(*s.indices)[k] = append((*s.indices)[k], a, b, c)
}

// step feeds a rune of another script, symbol n, to the foreign automaton.
func (s *scanner) step(far int, r rune, n, at int32) int {
	a := s.lex.foreign
	var b [utf8.UTFMax]byte
	size := utf8.EncodeRune(b[:], r)
	for _, c := range b[:size] {
		far = int(a.next[far<<8|int(c)])
		if a.count[far] == 0 {
			continue
		}
		for _, o := range a.outs[a.first[far]:][:a.count[far]] {
			end := at + int32(size)
			runes := max(int32(o.length)/int32(size), 1)
			s.concept(o.concept, n-runes+1, n, max(end-int32(o.length), 0), end)
		}
	}
	return far
}

// emit hands on the literals that end with symbol n.
func (s *scanner) emit(a *automaton, state int, n, end int32) {
	for _, o := range a.outs[a.first[state]:][:a.count[state]] {
		first := n - int32(o.length) + 2 // behind the leading space
		s.concept(o.concept, first, n, s.ring[first&(maxLiteral-1)], end)
	}
}

// concept advances all rules in which the concept stands. from and to are symbols.
func (s *scanner) concept(c uint8, from, to, start, end int32) {
	for _, u := range s.lex.use[c] {
		r := &s.lex.rules[u.rule]
		at := int(u.rule)*maxStages + int(u.stage)
		first := start
		if u.stage > 0 {
			before := &s.stages[at-1]
			if before.end == 0 || from < before.end || from-before.end > r.gaps[u.stage-1]+1 {
				continue
			}
			first = before.first
		}
		s.stages[at] = progress{end: to, first: first}
		if int(u.stage) == r.stages-1 {
			s.fire(fire{feature: int(u.rule), start: first, end: end})
		}
	}
}

// fire notes a finding, once in each block.
func (s *scanner) fire(f fire) {
	if s.features.has(f.feature) {
		return
	}
	s.features.set(f.feature)
	s.fires = append(s.fires, f)
}

// words decides whether capital letters inside a word begin a new one, as in DoNotEscalate but
// not in iGnOrE.
type words struct {
	text   string
	judged int
	split  bool
}

// splits reports whether the capital at i, behind a small letter, begins a word of its own.
func (w *words) splits(i int) bool {
	if i >= w.judged {
		w.judge(i)
	}
	return w.split
}

func (w *words) judge(i int) {
	start := i
	for start > 0 && i-start < 40 && alpha(w.text[start-1]) {
		start--
	}
	end, humps := i, 1
	for end < len(w.text) && end-i < 60 && alpha(w.text[end]) {
		end++
	}
	for k := start + 1; k < end; k++ {
		if w.text[k] < 'a' && w.text[k-1] >= 'a' {
			humps++
		}
	}
	w.judged, w.split = end, end-start >= 3*humps
}

func alpha(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }

// chunk is what the decision looks at: a stretch of 512 symbols.
type chunk struct {
	features bitset
	gram     float32
	// gramAt is the block in which the best window of n-grams ends.
	gramAt int
	first  int
}

// chunks calls visit for every chunk.
func (s *scanner) chunks(m *Model, visit func(*chunk)) {
	for first := 0; first == 0 || first+chunkStep < len(s.blocks); first += chunkStep {
		c := &s.chunk
		*c = chunk{first: first, gram: float32(math.Inf(-1))}
		for b := first; b < min(first+chunkSize, len(s.blocks)); b++ {
			for k, w := range s.blocks[b].features {
				c.features[k] |= w
			}
			if g := s.windowScore(b)*m.scale + m.offset; g > c.gram {
				c.gram, c.gramAt = g, b
			}
		}
		visit(c)
	}
}

// windowScore is the score of the window that ends with block b.
func (s *scanner) windowScore(b int) float32 {
	var sum, n int32
	for k := max(0, b-window+1); k <= b; k++ {
		sum += s.blocks[k].sum
		n += s.blocks[k].n
	}
	return float32(sum) / float32(math.Sqrt(float64(3*n+12)))
}
