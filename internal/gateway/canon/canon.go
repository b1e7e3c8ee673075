package canon

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Signs counts what a reader would not have seen.
type Signs struct {
	// ZeroWidth counts invisible characters between Latin letters, digits or spaces.
	ZeroWidth int
	// Tags counts characters of the tag block outside flags, and bytes in variation selectors.
	Tags int
	// Bidi counts overrides and embeddings of the writing direction.
	Bidi int
	// Homoglyphs counts letters of other scripts that posed as Latin ones.
	Homoglyphs int
	// Marks counts combining marks piled on letters that do not compose with them.
	Marks int
	// Controls counts control characters and terminal sequences.
	Controls int
	// Cut is set when the views would have been larger than the bound.
	Cut bool
}

// Hidden reports whether the signs are more than accidents of layout.
func (s *Signs) Hidden() bool {
	return s.ZeroWidth > 0 || s.Tags > 0 || s.Bidi > 0 || s.Homoglyphs > 0 || s.Marks > 4 || s.Cut
}

// Text is a text in canonical form.
type Text struct {
	// Canonical is valid UTF-8. It is the given text itself when there was nothing to change.
	Canonical string
	Signs     Signs
	// Views are what encodings in the text hide, with the place where it stood.
	Views []View

	rawLen int
	// off holds, for every byte of Canonical, where it comes from; nil means the same place.
	off []int32
}

// Raw returns the range of the given text from which a range of Canonical was made.
func (t *Text) Raw(start, end int) (rawStart, rawEnd int) {
	if t.off == nil {
		return start, end
	}
	return t.at(start), t.at(end)
}

func (t *Text) at(i int) int {
	if i >= len(t.off) {
		return t.rawLen
	}
	return int(t.off[i])
}

// Canoniser holds the tables. It is safe for concurrent use.
type Canoniser struct {
	folds *folds
	bytes [256]class
}

// New makes the tables.
func New() *Canoniser {
	return &Canoniser{folds: newFolds(), bytes: byteClasses()}
}

// maxInput bounds what is looked at, so that offsets fit.
const maxInput = 1 << 30

// Text brings s into canonical form and opens what it encodes, two layers deep.
func (c *Canoniser) Text(s string) Text {
	s = s[:min(len(s), maxInput)]
	t := Text{Canonical: s, rawLen: len(s)}
	if !plain(s) {
		c.rewrite(&t, s)
	}
	c.open(&t)
	return t
}

// plain reports whether s is ASCII without control characters other than layout. It looks at eight
// bytes at a time, and at each of them only where one may be neither.
func plain(s string) bool {
	for len(s) >= 8 {
		if odd(eight(s)) && !plainBytes(s[:8]) {
			return false
		}
		s = s[8:]
	}
	return plainBytes(s)
}

func plainBytes(s string) bool {
	for i := 0; i < len(s); i++ {
		if b := s[i]; b >= 0x7f || (b < ' ' && b != '\n' && b != '\r' && b != '\t') {
			return false
		}
	}
	return true
}

// eight is the first eight bytes of s as one number.
func eight(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// odd reports whether one of eight bytes is below a space, above ~, or not ASCII: where none is,
// neither subtracting a space from each nor adding one sets a highest bit.
func odd(v uint64) bool {
	const each = 0x0101010101010101
	return (v|(v-each*' ')|(v+each))&(each<<7) != 0
}

// work is a text being rewritten: bytes and where each comes from.
type work struct {
	buf []byte
	off []int32
}

func (w *work) add(r rune, from int32) {
	n := len(w.buf)
	w.buf = utf8.AppendRune(w.buf, r)
	for ; n < len(w.buf); n++ {
		w.off = append(w.off, from)
	}
}

// rewrite strips, composes and folds until nothing changes. Each round removes letters of
// other scripts or marks, and two rounds do for all text that was met; the bound is for the rest.
func (c *Canoniser) rewrite(t *Text, s string) {
	w := c.strip(t, s)
	for range 8 {
		next, changed := c.fold(compose(w), &t.Signs)
		same := !changed && string(next.buf) == string(w.buf)
		w = next
		if same {
			break
		}
	}
	t.Canonical, t.off = string(w.buf), w.off
}

// marksKept is how many marks may follow one letter. Living scripts need four.
const marksKept = 6

// strip removes what cannot be seen, and collects what was written with it.
func (c *Canoniser) strip(t *Text, s string) *work {
	w := &work{buf: make([]byte, 0, len(s)+16), off: make([]int32, 0, len(s)+16)}
	var smuggled, override hiding
	marks, flag := 0, false
	last := utf8.RuneError // nothing yet
	var n int
	for i := 0; i < len(s); i += n {
		var r rune
		r, n = utf8.DecodeRuneInString(s[i:])
		r = short(r)
		switch what := hiddenKind(r); what {
		case shown:
			if unicode.Is(unicode.Mn, r) {
				if marks++; marks > marksKept {
					t.Signs.Marks++
					continue
				}
			} else {
				marks = 0
			}
			w.add(r, int32(i))
			override.feed(r, i, n)
			flag = r == 0x1F3F4
			last = r
		case control:
			t.Signs.Controls++
			if r == 0x1b {
				n = sequence(s[i:])
			}
			last = ' '
		case zeroWidth:
			if last < 0x80 && nextASCII(s[i+n:]) {
				t.Signs.ZeroWidth++
			}
		case tag:
			if !flag {
				t.Signs.Tags++
				smuggled.open(i)
				smuggled.feed(r-0xE0000, i, n)
			}
		case selector:
			if smuggled.selectors++; smuggled.selectors > 1 {
				t.Signs.Tags++
			}
			smuggled.bytes = append(smuggled.bytes, selectorByte(r))
			smuggled.grow(i, n)
		case bidi:
			t.Signs.Bidi++
			if r == 0x202E || r == 0x202D || r == 0x2067 {
				override.open(i)
			} else {
				t.Views = override.reversed(t.Views)
			}
		}
		if hiddenKind(r) == shown && smuggled.selectors == 1 {
			smuggled.bytes, smuggled.selectors = nil, 0
		}
	}
	t.Views = override.reversed(t.Views)
	t.Views = smuggled.written(t.Views)
	return w
}

// short replaces the two letters whose compatibility forms are whole sentences by the usual
// abbreviations; a text of them would grow elevenfold.
func short(r rune) rune {
	switch r {
	case 0xFDFA:
		return 'ص'
	case 0xFDFB:
		return 'ج'
	}
	return r
}

// nextASCII reports whether the next visible character is ASCII.
func nextASCII(s string) bool {
	for i, r := range s {
		if i > 64 || r < 0x80 {
			return i <= 64 && r >= ' '
		}
		if hiddenKind(r) == shown {
			return false
		}
	}
	return false
}

// compose brings w into NFKC.
func compose(w *work) *work {
	if norm.NFKC.IsNormal(w.buf) {
		return w
	}
	out := &work{buf: make([]byte, 0, len(w.buf)), off: make([]int32, 0, len(w.off))}
	var it norm.Iter
	it.Init(norm.NFKC, w.buf)
	for !it.Done() {
		from := w.off[it.Pos()]
		seg := it.Next()
		out.buf = append(out.buf, seg...)
		for range seg {
			out.off = append(out.off, from)
		}
	}
	return out
}

// fold replaces look-alikes word by word, and drops marks on letters that did not compose.
func (c *Canoniser) fold(w *work, signs *Signs) (*work, bool) {
	out := &work{buf: make([]byte, 0, len(w.buf)), off: make([]int32, 0, len(w.off))}
	alone := c.alone(w.buf)
	changed := false
	for i := 0; i < len(w.buf); {
		end, latin := c.word(w.buf, i)
		if end == i {
			r, n := utf8.DecodeRune(w.buf[i:])
			if b, ok := c.folds.shape(r); ok {
				r, changed = rune(b), true
			}
			if hiddenKind(r) == shown {
				out.add(r, w.off[i])
			} else {
				changed = true
			}
			i += n
			continue
		}
		prev := rune(0)
		for i < end {
			r, n := utf8.DecodeRune(w.buf[i:])
			from := w.off[i]
			i += n
			if r >= 0x80 {
				if latinLetter(prev) && unicode.Is(unicode.Mn, r) {
					signs.Marks++
					changed = true
					continue
				}
				if hiddenKind(r) != shown {
					changed = true
					continue
				}
				if b, ok := c.folds.shape(r); ok {
					r, changed = rune(b), true
				} else if b, ok := c.folds.posing[r]; ok && (latin || alone[script(r)]) {
					signs.Homoglyphs++
					r, changed = rune(b), true
				}
			}
			out.add(r, from)
			prev = r
		}
	}
	return out, changed
}

// word returns the end of the word that begins at i, and whether it has a Latin letter.
func (c *Canoniser) word(b []byte, i int) (end int, latin bool) {
	for i < len(b) {
		r, n := utf8.DecodeRune(b[i:])
		if !wordRune(r) {
			break
		}
		if !latin {
			latin = latinLetter(r)
			if !latin && r >= 0x80 {
				_, latin = c.folds.shape(r)
			}
		}
		i += n
	}
	return i, latin
}

// alone tells for each script whether all its letters in the text are look-alikes. A sentence
// in the script has others; a single word that poses as Latin has not.
func (c *Canoniser) alone(b []byte) [5]bool {
	var posing, genuine [5]int
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		i += n
		s := script(r)
		if s == 0 {
			continue
		}
		if _, ok := c.folds.posing[r]; ok {
			posing[s]++
		} else if unicode.IsLetter(r) {
			genuine[s]++
		}
	}
	var out [5]bool
	for s := 1; s < len(out); s++ {
		// Three letters at least: a lone Greek letter in a formula is itself.
		out[s] = genuine[s] == 0 && posing[s] >= 3
	}
	return out
}
