package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// A token is the prefix of a class, a dash, a digit of 2 to 9 and seven letters without I and O,
// for example HOST-4MKWTRBX: 35 bits of a keyed hash of the value. Its length is fixed, so tokens
// may touch each other and anything else.
//
// Spellings of one value that differ in case have one code: the first has it in capitals, the
// others have some of its letters small. That makes them one token to a reader and still restores
// each as it was written.
const (
	codeLetters = 7
	codeLen     = 1 + codeLetters
	maxSpell    = 1 << codeLetters
	letters     = "ABCDEFGHJKLMNPQRSTUVWXYZ"
)

// Key is the secret from which the tokens of one investigation are made.
type Key [32]byte

// code derives the code of a value; n counts up when codes of two values collide.
func (k *Key) code(c Class, folded string, n uint32) [codeLen]byte {
	h := hmac.New(sha256.New, k[:])
	var head [5]byte
	head[0] = byte(c)
	binary.BigEndian.PutUint32(head[1:], n)
	h.Write(head[:])
	h.Write([]byte(folded))
	var sum [sha256.Size]byte
	v := binary.BigEndian.Uint64(h.Sum(sum[:0]))
	var out [codeLen]byte
	out[0] = '2' + byte(v%8)
	v /= 8
	for i := 1; i < codeLen; i++ {
		out[i] = letters[v%uint64(len(letters))]
		v /= uint64(len(letters))
	}
	return out
}

// spell marks the n-th spelling of a code by its case.
func spell(code [codeLen]byte, n int) [codeLen]byte {
	for i := 1; i < codeLen; i++ {
		if n>>(i-1)&1 != 0 {
			code[i] |= 0x20
		}
	}
	return code
}

// spelling is the inverse of spell.
func spelling(code string) (n int) {
	for i := 1; i < codeLen; i++ {
		if code[i]&0x20 != 0 {
			n |= 1 << (i - 1)
		}
	}
	return n
}

func isCodeLetter(b byte) bool {
	b &^= 0x20
	return b >= 'A' && b <= 'Z' && b != 'I' && b != 'O'
}

func isCodeDigit(b byte) bool { return b >= '2' && b <= '9' }

// prefixBefore returns the class whose prefix ends at the dash, not reaching before from.
func prefixBefore(text string, from, dash int) (Class, bool) {
	head := text[from:dash]
	if len(head) < 2 || head[len(head)-1] < 'A' || head[len(head)-1] > 'Z' {
		return 0, false
	}
	for c, p := range prefixes {
		if strings.HasSuffix(head, p) {
			return Class(c), true
		}
	}
	return 0, false
}

// shape is a place that looks like a token or the beginning of one.
type shape struct {
	class      Class
	start, end int
	whole      bool // it has a complete code
}

// nextShape finds the next place at or after from.
func nextShape(text string, from int) (shape, bool) {
	for at := from; ; at++ {
		n := strings.IndexByte(text[at:], '-')
		if n < 0 || at+n+1 >= len(text) {
			return shape{}, false
		}
		at += n
		if !isCodeDigit(text[at+1]) {
			continue
		}
		c, ok := prefixBefore(text, from, at)
		if !ok {
			continue
		}
		end := at + 2
		for end < len(text) && end < at+1+codeLen && isCodeLetter(text[end]) {
			end++
		}
		return shape{c, at - len(prefixes[c]), end, end == at+1+codeLen}, true
	}
}

// Cut returns the longest beginning of text with at most limit bytes that ends neither inside a
// rune nor inside a token.
func Cut(text string, limit int) string {
	if limit >= len(text) {
		return text
	}
	if limit <= 0 {
		return ""
	}
	const longest = 6 + 1 + codeLen // prefix, dash, code
	for at := max(0, limit-longest); ; {
		s, ok := nextShape(text[:min(len(text), limit+longest)], at)
		if !ok || s.start >= limit {
			break
		}
		if s.whole && s.end > limit {
			limit = s.start
			break
		}
		at = s.end
	}
	for n := 0; n < utf8.UTFMax-1 && limit > 0 && !utf8.RuneStart(text[limit]); n++ {
		limit--
	}
	return text[:limit]
}
