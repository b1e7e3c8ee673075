package redact

import (
	"unicode"
	"unicode/utf8"
)

type charClass uint8

const (
	cLower charClass = 1 << iota
	cUpper
	cDigit
	cHex
	cHigh
	cTrigger // punctuation at which something may begin
	cJoin    // joins the parts of an identifier: _ - .

	cLetter = cLower | cUpper
	cWord   = cLower | cUpper | cDigit | cHigh
)

var chars, lower = charTables()

func charTables() (class [256]charClass, low [256]byte) {
	for i := range 256 {
		b := byte(i)
		low[i] = b
		switch {
		case b >= 'a' && b <= 'z':
			class[i] = cLower
		case b >= 'A' && b <= 'Z':
			class[i] = cUpper
			low[i] = b | 0x20
		case b >= '0' && b <= '9':
			class[i] = cDigit | cHex
		case b >= utf8.RuneSelf:
			class[i] = cHigh
		}
		if l := low[i]; l >= 'a' && l <= 'f' {
			class[i] |= cHex
		}
	}
	for _, b := range []byte("@\\/+($%:") {
		class[b] |= cTrigger
	}
	for _, b := range []byte("_-.") {
		class[b] |= cJoin
	}
	return class, low
}

// The hash of words is FNV-1a over lower case.
const (
	hashSeed  uint64 = 0xcbf29ce484222325
	hashPrime uint64 = 0x100000001b3
)

func hashWord(s string) uint64 {
	h := hashSeed
	for i := range len(s) {
		h = (h ^ uint64(lower[s[i]])) * hashPrime
	}
	return h
}

func isWordRune(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r))
}

// wordAt reports whether a letter or digit begins at i.
func wordAt(text string, i int) bool {
	if i >= len(text) {
		return false
	}
	if b := text[i]; b < utf8.RuneSelf {
		return chars[b]&cWord != 0
	}
	r, _ := utf8.DecodeRuneInString(text[i:])
	return isWordRune(r)
}

// wordBefore reports whether a letter or digit ends at i.
func wordBefore(text string, i int) bool {
	if i <= 0 {
		return false
	}
	if b := text[i-1]; b < utf8.RuneSelf {
		return chars[b]&cWord != 0
	}
	r, _ := utf8.DecodeLastRuneInString(text[max(0, i-utf8.UTFMax):i])
	return isWordRune(r)
}

// matchFold compares the text at i with a value in lower case and returns where it ends, or -1.
func matchFold(text string, i int, low string) int {
	for q := 0; q < len(low); {
		if i >= len(text) {
			return -1
		}
		if text[i] < utf8.RuneSelf && low[q] < utf8.RuneSelf {
			if lower[text[i]] != low[q] {
				return -1
			}
			i, q = i+1, q+1
			continue
		}
		a, n := utf8.DecodeRuneInString(text[i:])
		b, m := utf8.DecodeRuneInString(low[q:])
		if a != b && unicode.ToLower(a) != b {
			return -1
		}
		i, q = i+n, q+m
	}
	return i
}

// equalFold compares ASCII words.
func equalFold(s, low string) bool {
	return len(s) == len(low) && matchFold(s, 0, low) == len(s)
}

// wordTable maps words to small numbers, without allocation and with two memory accesses for a
// word that it does not have.
type wordTable struct {
	mask  uint64
	slots []wordSlot
}

type wordSlot struct {
	hash  uint64
	word  string
	value uint16
}

// filter says of a hash that it belongs to none of some words, or perhaps to one: most words of a
// text are neither known nor keywords, and one look says so.
type filter [1 << 13 / 64]uint64

func (f *filter) set(h uint64) { f[h/64%uint64(len(f))] |= 1 << (h % 64) }

func (f *filter) may(h uint64) bool { return f[h/64%uint64(len(f))]>>(h%64)&1 != 0 }

// add sets what stands for the words of a table.
func (f *filter) add(t *wordTable) {
	for i := range t.slots {
		if s := &t.slots[i]; s.word != "" {
			f.set(s.hash)
		}
	}
}

func newWordTable(words map[string]uint16) *wordTable {
	size := 16
	for size < 4*len(words) {
		size *= 2
	}
	t := &wordTable{mask: uint64(size - 1), slots: make([]wordSlot, size)}
	for w, v := range words {
		h := hashWord(w)
		i := h & t.mask
		for t.slots[i].word != "" {
			i = (i + 1) & t.mask
		}
		t.slots[i] = wordSlot{h, w, v}
	}
	return t
}

func (t *wordTable) find(h uint64, word string) (uint16, bool) {
	for i := h & t.mask; ; i = (i + 1) & t.mask {
		s := &t.slots[i]
		if s.word == "" {
			return 0, false
		}
		if s.hash == h && equalFold(word, s.word) {
			return s.value, true
		}
	}
}

func (t *wordTable) has(word string) bool {
	_, ok := t.find(hashWord(word), word)
	return ok
}
