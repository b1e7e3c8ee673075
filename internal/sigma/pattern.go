package sigma

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// A Sigma string is a sequence of elements: literal text, one character, any text, one dash.
type elemKind uint8

const (
	elemLit elemKind = iota
	elemOne
	elemMany
	elemDash
)

type elem struct {
	kind elemKind
	lit  []byte
}

// dashes are what the modifier windash takes for one another.
var dashes = [...]string{"-", "/", "\u2013", "\u2014", "\u2015"}

// parseText reads a value with the escapes of the specification: a backslash is only special
// before *, ? and another backslash.
func parseText(s string) []elem {
	var out []elem
	var lit []byte
	flush := func() {
		if len(lit) > 0 {
			out = append(out, elem{elemLit, lit})
			lit = nil
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && (s[i+1] == '*' || s[i+1] == '?' || s[i+1] == '\\'):
			i++
			lit = append(lit, s[i])
		case c == '*':
			flush()
			out = append(out, elem{kind: elemMany})
		case c == '?':
			flush()
			out = append(out, elem{kind: elemOne})
		default:
			lit = append(lit, c)
		}
	}
	flush()
	return out
}

// splitDashes turns every dash of the literals into a dash element.
func splitDashes(in []elem) []elem {
	var out []elem
	for _, e := range in {
		if e.kind != elemLit {
			out = append(out, e)
			continue
		}
		rest := e.lit
		start := 0
		for i := 0; i < len(rest); {
			n := dashLen(rest[i:])
			if n == 0 {
				i++
				continue
			}
			if i > start {
				out = append(out, elem{elemLit, rest[start:i]})
			}
			out = append(out, elem{kind: elemDash})
			i += n
			start = i
		}
		if start < len(rest) {
			out = append(out, elem{elemLit, rest[start:]})
		}
	}
	return out
}

// dashLen is the length of the dash that b begins with, 0 when it does not.
func dashLen(b []byte) int {
	for _, d := range dashes {
		if len(b) >= len(d) && string(b[:len(d)]) == d {
			return len(d)
		}
	}
	return 0
}

type patternKind uint8

const (
	matchEqual patternKind = iota
	matchPrefix
	matchSuffix
	matchContains
	matchAny // any value
	matchGlob
)

// pattern matches one text value. Unless cased, it is lower-cased and so must the text be.
type pattern struct {
	kind  patternKind
	cased bool
	lit   []byte // of the four simple kinds
	segs  [][]elem
	// head and tail say that the first or last segment is bound to the beginning or end.
	head, tail bool
}

// newPattern compiles elements.
func newPattern(elems []elem, cased bool) pattern {
	p := pattern{cased: cased, head: true, tail: true}
	var seg []elem
	last := false
	for i, e := range elems {
		last = e.kind == elemMany
		if !last {
			seg = appendElem(seg, e, cased)
			continue
		}
		if i == 0 {
			p.head = false
		}
		if len(seg) > 0 {
			p.segs = append(p.segs, seg)
			seg = nil
		}
	}
	if len(seg) > 0 {
		p.segs = append(p.segs, seg)
	}
	p.tail = !last
	p.simplify(len(elems) == 0)
	return p
}

func appendElem(seg []elem, e elem, cased bool) []elem {
	if e.kind != elemLit {
		return append(seg, e)
	}
	lit := bytes.Clone(e.lit)
	if !cased {
		lit = appendFold(nil, lit)
	}
	if n := len(seg); n > 0 && seg[n-1].kind == elemLit {
		seg[n-1].lit = append(bytes.Clone(seg[n-1].lit), lit...)
		return seg
	}
	return append(seg, elem{elemLit, lit})
}

func (p *pattern) simplify(empty bool) {
	switch {
	case empty:
		p.kind = matchEqual
	case len(p.segs) == 0:
		p.kind = matchAny
	case len(p.segs) > 1 || len(p.segs[0]) > 1 || p.segs[0][0].kind != elemLit:
		p.kind = matchGlob
	default:
		p.lit = p.segs[0][0].lit
		switch {
		case p.head && p.tail:
			p.kind = matchEqual
		case p.head:
			p.kind = matchPrefix
		case p.tail:
			p.kind = matchSuffix
		default:
			p.kind = matchContains
		}
		p.segs = nil
	}
}

// open reports whether the pattern is not bound to either end of the value: a substring match.
func (p *pattern) open() bool {
	return p.kind == matchContains || p.kind == matchAny || p.kind == matchGlob && !p.head && !p.tail
}

// match tests text, which must be lower-cased unless the pattern is cased.
func (p *pattern) match(text []byte) bool {
	switch p.kind {
	case matchEqual:
		return bytes.Equal(text, p.lit)
	case matchPrefix:
		return bytes.HasPrefix(text, p.lit)
	case matchSuffix:
		return bytes.HasSuffix(text, p.lit)
	case matchContains:
		return bytes.Contains(text, p.lit)
	case matchAny:
		return true
	default:
		return p.glob(text)
	}
}

// glob finds the segments from left to right. Each segment covers a fixed number of characters,
// so the leftmost place for one never spoils the next.
func (p *pattern) glob(text []byte) bool {
	segs, pos := p.segs, 0
	if p.head {
		end := matchSegment(segs[0], text, 0)
		if end < 0 {
			return false
		}
		if segs = segs[1:]; len(segs) == 0 {
			return !p.tail || end == len(text)
		}
		pos = end
	}
	var last []elem
	if p.tail {
		last, segs = segs[len(segs)-1], segs[:len(segs)-1]
	}
	for _, seg := range segs {
		if pos = findSegment(seg, text, pos); pos < 0 {
			return false
		}
	}
	return last == nil || endsWithSegment(last, text, pos)
}

// matchSegment returns where the segment ends when it begins at i, or -1.
func matchSegment(seg []elem, text []byte, i int) int {
	for k := range seg {
		switch e := &seg[k]; e.kind {
		case elemLit:
			if !bytes.HasPrefix(text[i:], e.lit) {
				return -1
			}
			i += len(e.lit)
		case elemDash:
			n := dashLen(text[i:])
			if n == 0 {
				return -1
			}
			i += n
		default:
			if i >= len(text) {
				return -1
			}
			_, n := utf8.DecodeRune(text[i:])
			i += n
		}
	}
	return i
}

// findSegment returns the end of the leftmost occurrence at or after i, or -1.
func findSegment(seg []elem, text []byte, i int) int {
	for i <= len(text) {
		if seg[0].kind == elemLit {
			j := bytes.Index(text[i:], seg[0].lit)
			if j < 0 {
				return -1
			}
			i += j
		}
		if end := matchSegment(seg, text, i); end >= 0 {
			return end
		}
		if i >= len(text) {
			return -1
		}
		_, n := utf8.DecodeRune(text[i:])
		i += n
	}
	return -1
}

// endsWithSegment reports whether the segment ends the text and begins at or after pos.
func endsWithSegment(seg []elem, text []byte, pos int) bool {
	i := len(text)
	for k := len(seg) - 1; k >= 0; k-- {
		switch e := &seg[k]; e.kind {
		case elemLit:
			i -= len(e.lit)
		default:
			if i <= 0 {
				return false
			}
			_, n := utf8.DecodeLastRune(text[:i])
			i -= n
		}
		if i < pos {
			return false
		}
	}
	return matchSegment(seg, text, i) == len(text)
}

// foldTable lower-cases ASCII.
var foldTable = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if i >= 'A' && i <= 'Z' {
			t[i] = byte(i) + 'a' - 'A'
		}
	}
	return t
}()

// appendFold appends src in the form that matching without case compares: lower case by
// character, with the long s folded too, so that ASCII letters fold as in regular expressions.
// Bytes that are not UTF-8 stay as they are.
func appendFold(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		c := src[i]
		if c < utf8.RuneSelf {
			dst = append(dst, foldTable[c])
			i++
			continue
		}
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, c)
			i++
			continue
		}
		dst = utf8.AppendRune(dst, foldRune(r))
		i += n
	}
	return dst
}

func foldRune(r rune) rune {
	if r == 'ſ' {
		return 's'
	}
	return unicode.ToLower(r)
}
