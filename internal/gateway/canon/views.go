package canon

import (
	"strings"
	"unicode/utf8"
)

// View is a text that the given text encodes. Start and End are the place in the given text.
type View struct {
	How        string
	Text       string
	Start, End int
}

// class tells the byte classes that encodings are made of.
type class uint8

const (
	isBase64 class = 1 << iota // standard alphabet
	isURL64                    // - and _
	isHex
	isLetter
	isDigit
	isMark      // begins or may begin an escape
	isSeparator // may stand between the letters of a word that are written apart
)

func byteClasses() (t [256]class) {
	for b := range 256 {
		switch c := byte(b); {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			t[b] = isBase64 | isLetter
		case c >= '0' && c <= '9':
			t[b] = isBase64 | isDigit
		case c == '+', c == '/':
			t[b] = isBase64
		case c == '-', c == '_':
			t[b] = isURL64
		case c == '%', c == '&', c == '\\':
			t[b] = isMark
		}
		if hexValue(byte(b)) >= 0 {
			t[b] |= isHex
		}
	}
	for _, b := range []byte(" .-_*|/,~+") {
		t[b] |= isSeparator
	}
	return t
}

const (
	layers   = 2
	minRun   = 16 // shortest base64 or hexadecimal run that is opened
	spacedOf = 6  // so many spaced letters make a word
)

// open adds views of what t encodes, and of what these encode in turn. The bound on their sum
// is a multiple of the text.
func (c *Canoniser) open(t *Text) {
	budget := 2*t.rawLen + 4096
	for i := range t.Views {
		budget -= len(t.Views[i].Text)
	}
	from := len(t.Views)
	found := c.find(t.Canonical, &budget)
	for i := range found {
		found[i].Start, found[i].End = t.Raw(found[i].Start, found[i].End)
	}
	t.Views = append(t.Views, found...)
	for layer := 1; layer < layers; layer++ {
		if layer == 1 {
			from = 0
		}
		end := len(t.Views)
		for i := from; i < end; i++ {
			v := t.Views[i]
			if v.How == "spaced" {
				continue
			}
			for _, inner := range c.find(v.Text, &budget) {
				inner.How = v.How + "+" + inner.How
				inner.Start, inner.End = v.Start, v.End
				t.Views = append(t.Views, inner)
			}
		}
		from = end
	}
	t.Signs.Cut = budget < 0
	for i := range t.Views {
		v := &t.Views[i]
		if !plain(v.Text) {
			inner := Text{rawLen: len(v.Text)}
			c.rewrite(&inner, v.Text)
			v.Text = inner.Canonical
		}
	}
}

// find scans s once for encodings.
func (c *Canoniser) find(s string, budget *int) []View {
	var out []View
	add := func(how, text string, start, end int) {
		if *budget -= len(text); *budget >= 0 {
			out = append(out, View{How: how, Text: text, Start: start, End: end})
		}
	}
	var escapes [3]region // percent, HTML, backslash
	var leet leetRun
	for i := 0; i < len(s); {
		cl := c.bytes[s[i]]
		switch {
		case cl&isMark != 0:
			if kind, n := escapeAt(s[i:]); n > 0 {
				escapes[kind].grow(i, i+n)
				i += n
				continue
			}
			i++
		case cl&(isBase64|isURL64) != 0:
			i = c.run(s, i, &leet, add)
		default:
			i++
		}
	}
	names := [3]string{"percent", "html", "escape"}
	for kind, r := range escapes {
		if r.n >= 2 {
			start, end := r.widen(s)
			add(names[kind], unescape(s[start:end], kind), start, end)
		}
	}
	if leet.words >= 2 {
		r := region{n: leet.words, start: leet.start, end: leet.end}
		start, end := r.widen(s)
		add("leet", unleet(s[start:end]), start, end)
	}
	c.spaced(s, add)
	return out
}

// region is the part of a text in which escapes of one kind stand.
type region struct{ n, start, end int }

func (r *region) grow(start, end int) {
	if r.n == 0 {
		r.start = start
	}
	r.n++
	r.end = end
}

// widen takes in the words at both ends, so that what is only partly escaped stays together.
func (r *region) widen(s string) (start, end int) {
	start, end = r.start, r.end
	for n := 0; start > 0 && n < 64; n++ {
		start--
	}
	for start > 0 && !utf8.RuneStart(s[start]) {
		start--
	}
	for n := 0; end < len(s) && n < 64; n++ {
		end++
	}
	for end < len(s) && !utf8.RuneStart(s[end]) {
		end++
	}
	return start, end
}

type adder func(how, text string, start, end int)

// run looks at the run of base64 or hexadecimal characters that begins at i and returns where
// it ends.
func (c *Canoniser) run(s string, i int, leet *leetRun, add adder) int {
	j, all, some := i, ^class(0), class(0)
	for j < len(s) {
		cl := c.bytes[s[j]]
		if cl&(isBase64|isURL64) == 0 {
			break
		}
		all &= cl
		some |= cl
		j++
	}
	url := some&isURL64 != 0
	if j-i < minRun {
		if some&(isLetter|isDigit) == isLetter|isDigit {
			leet.word(s, i, j)
		}
		if all&isHex != 0 && j-i == 2 {
			return c.hexPairs(s, i, add)
		}
		return j
	}
	if all&isHex != 0 && (j-i)%2 == 0 {
		if b := unhex(s[i:j]); readable(b) {
			add("hex", string(b), i, j)
			return j
		}
	}
	if end, ok := c.base64(s, i, j, url, add); ok || !url {
		return end
	}
	// Words of a name that are joined to the run by - or _.
	for from := i; from < j; {
		to := from
		for to < j && c.bytes[s[to]]&isBase64 != 0 {
			to++
		}
		if to-from >= minRun {
			c.base64(s, from, to, false, add)
		}
		from = to + 1
	}
	return j
}

// base64 opens s[i:j], at each of the four places where a group may begin. A run that is broken
// into lines is taken together.
// It returns where to go on, and whether there was text in it.
func (c *Canoniser) base64(s string, i, j int, url bool, add adder) (next int, ok bool) {
	run, end := s[i:j], j
	if !url && j-i >= 60 {
		run, end = c.lines(s, i, j)
	}
	for skip := range 4 {
		b := un64(run[skip:])
		if b == nil {
			continue
		}
		if narrow := halve(b); narrow != nil {
			b = narrow
		}
		if readable(b) {
			add("base64", string(b), i, end)
			return end, true
		}
	}
	return j, false
}

// maxLines bounds what lines joins, so that a run which is joined again and again in vain costs
// no more than a constant for each byte.
const maxLines = 64

// lines joins runs of full lines.
func (c *Canoniser) lines(s string, i, j int) (string, int) {
	first := j - i
	if first%4 != 0 || !lineBreak(s, j) {
		return s[i:j], j
	}
	var sb strings.Builder
	sb.WriteString(s[i:j])
	for n := 0; n < maxLines && lineBreak(s, j); n++ {
		k := j
		for k < len(s) && (s[k] == '\r' || s[k] == '\n') && k-j < 2 {
			k++
		}
		e := k
		for e < len(s) && e-k < first && c.bytes[s[e]]&isBase64 != 0 {
			e++
		}
		if e == k {
			break
		}
		sb.WriteString(s[k:e])
		j = e
		if e-k < first {
			break
		}
	}
	return sb.String(), j
}

func lineBreak(s string, i int) bool { return i < len(s) && (s[i] == '\n' || s[i] == '\r') }

// hexPairs opens pairs of hexadecimal digits with one separator between them.
func (c *Canoniser) hexPairs(s string, i int, add adder) int {
	j := i
	for j+2 <= len(s) && c.bytes[s[j]]&isHex != 0 && c.bytes[s[j+1]]&isHex != 0 {
		j += 2
		if j+3 > len(s) || (s[j] != ' ' && s[j] != ':' && s[j] != ',') || c.bytes[s[j+1]]&isHex == 0 || c.bytes[s[j+2]]&isHex == 0 {
			break
		}
		j++
	}
	if j-i < 3*minRun/2-1 {
		return max(j, i+1)
	}
	b := make([]byte, 0, (j-i+1)/3)
	for k := i; k+2 <= j; k += 3 {
		b = append(b, byte(hexValue(s[k])<<4|hexValue(s[k+1])))
	}
	if readable(b) {
		add("hex", string(b), i, j)
	}
	return max(j, i+1)
}

// spaced opens words whose letters stand apart: i g n o r e, i.g.n.o.r.e.
func (c *Canoniser) spaced(s string, add adder) {
	for i := 1; i+2*spacedOf-1 < len(s); {
		if c.bytes[s[i]]&isSeparator == 0 || !c.single(s, i-1) || c.bytes[s[i+1]]&isLetter == 0 {
			i++
			continue
		}
		i = c.spacedFrom(s, i-1, add) + 1
	}
}

// single reports whether s[i] is a letter and no other is before it.
func (c *Canoniser) single(s string, i int) bool {
	return (i == 0 || c.bytes[s[i-1]]&isLetter == 0) && c.bytes[s[i]]&isLetter != 0
}

func (c *Canoniser) spacedFrom(s string, i int, add adder) int {
	sep, letters, j := s[i+1], 0, i
	var space [64]byte
	sb := space[:0]
	for j < len(s) && c.bytes[s[j]]&isLetter != 0 {
		if j+1 < len(s) && c.bytes[s[j+1]]&isLetter != 0 {
			break // a whole word: the spaced part ended before it
		}
		sb = append(sb, s[j])
		letters++
		j++
		k := j
		for k < len(s) && k-j < 8 && (s[k] == sep || s[k] == ' ') {
			k++
		}
		if k == j {
			break
		}
		if k-j > 1 || s[j] != sep {
			sb = append(sb, ' ')
		}
		j = k
	}
	if letters >= spacedOf {
		add("spaced", strings.TrimRight(string(sb), " "), i, min(j, len(s)))
	}
	return max(j, i+1)
}

// readable reports whether b looks like text: valid, printable, with letters.
func readable(b []byte) bool {
	if len(b) < 6 || !utf8.Valid(b) {
		return false
	}
	letters, odd := 0, 0
	for _, ch := range b {
		switch {
		case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch == ' ', ch >= 0x80:
			letters++
		case ch < ' ' && ch != '\n' && ch != '\r' && ch != '\t', ch == 0x7f:
			return false
		default:
			odd++
		}
	}
	return letters > odd
}
