package detect

import (
	"math"
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
	var (
		sym      = s.lex.symbols
		latin    = s.lex.latin
		next     = latin.next
		loud     = latin.loud
		grams    = s.grams
		state    = int(next[spaceSymbol]) // as after a space
		far      int                      // state of the foreign automaton
		space    = true
		history  uint64
		prevGram byte = ' '
		sum      int32
		n        int32 // symbols of the automata so far
		counted  int32 // symbols of n-grams so far
		words    = words{text: text}
		pending  = s.found
	)
	s.ring[0], s.blockStart = 0, 0
	for i := 0; i < len(text); {
		b := text[i]
		at := int32(i)
		var w, g byte
		if b < utf8.RuneSelf {
			w, g = sym.word[b], sym.gram[b]
			if b-'A' < 26 && !space && words.splits(i) {
				n++
				s.ring[n&(maxLiteral-1)] = at
				state = int(next[state<<6])
				if state >= loud {
					s.emit(latin, state, n, at)
				}
			}
			if far != 0 && w == spaceSymbol {
				far = int(s.lex.foreign.next[far<<8|' '])
			}
			i++
		} else {
			r, size := utf8.DecodeRuneInString(text[i:])
			i += size
			switch l := sym.latin(r); {
			case l != 0:
				w, g = sym.word[l], l
			case r == '’' || r == 'ʼ':
				w, g = noSymbol, '\''
			default:
				if !space {
					n++
					s.ring[n&(maxLiteral-1)] = at
					state, space = int(next[state<<6]), true
					if state >= loud {
						s.emit(latin, state, n, at)
					}
				}
				n++
				s.ring[n&(maxLiteral-1)] = at
				far = s.step(far, unicode.ToLower(r), n, at)
				w, g = noSymbol, byte(r)|0x80
			}
		}
		for len(pending) > 0 && pending[0].start <= at {
			s.fire(pending[0])
			pending = pending[1:]
		}
		if w != noSymbol && (w != spaceSymbol || !space) {
			n++
			s.ring[n&(maxLiteral-1)] = at
			state = int(next[state<<6|int(w)])
			space = w == spaceSymbol
			if state >= loud {
				s.emit(latin, state, n, at+1)
			}
		}
		if g == ' ' && prevGram == ' ' {
			continue
		}
		prevGram = g
		history = history<<8 | uint64(g)
		i3 := (history & 0xffffff) * mul3 >> (64 - gramBits)
		i4 := (history & 0xffffffff) * mul4 >> (64 - gramBits)
		i5 := (history & 0xffffffffff) * mul5 >> (64 - gramBits)
		sum += int32(grams[i3]) + int32(grams[i4]) + int32(grams[i5])
		if s.indices != nil {
			s.collect(uint32(i3), uint32(i4), uint32(i5))
		}
		if counted++; counted&(1<<blockBits-1) == 0 {
			s.close(sum, 1<<blockBits, at+1)
			sum = 0
		}
	}
	if !space {
		n++
		s.ring[n&(maxLiteral-1)] = int32(len(text))
		state = int(next[state<<6])
		if state >= loud {
			s.emit(latin, state, n, int32(len(text)))
		}
	}
	for _, p := range pending {
		s.fire(p)
	}
	if rest := counted & (1<<blockBits - 1); rest > 0 || len(s.blocks) == 0 || s.features != (bitset{}) {
		s.close(sum, rest, int32(len(text)))
	}
}

// close ends a block at a place.
func (s *scanner) close(sum, n, at int32) {
	s.blocks = append(s.blocks, block{sum: sum, n: n, start: s.blockStart, end: at, features: s.features})
	s.features, s.blockStart = bitset{}, at
}

func (s *scanner) collect(a, b, c uint32) {
	k := len(s.blocks)
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

// splits reports whether the capital at i begins a word of its own.
func (w *words) splits(i int) bool {
	if i == 0 || w.text[i-1]-'a' >= 26 {
		return false
	}
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
