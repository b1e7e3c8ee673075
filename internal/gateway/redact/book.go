package redact

import (
	"strings"
	"unicode"
)

// base is one value: its code, and in how many spellings it was met.
type base struct {
	code      [codeLen]byte
	spellings int
}

// book knows which token stands for which value. It is not safe for concurrent use.
type book struct {
	key     Key
	tokens  [numClasses]map[string]string // spelling to token
	values  map[string]string             // token to spelling
	classes map[string]Class              // token to class, in step with values
	bases   [numClasses]map[string]*base  // folded value to its current base
	taken   map[string]bool               // codes in use, with prefix, in capitals
	order   []string                      // tokens in the order in which they were made
}

func newBook(key Key) *book {
	b := &book{key: key, values: make(map[string]string), classes: make(map[string]Class), taken: make(map[string]bool)}
	for c := range b.tokens {
		b.tokens[c] = make(map[string]string)
		b.bases[c] = make(map[string]*base)
	}
	return b
}

// token returns the token of a value, and makes one when there is none.
func (b *book) token(c Class, value string) string {
	if t, ok := b.tokens[c][value]; ok {
		return t
	}
	value = strings.Clone(value)
	folded := fold(c, value)
	e := b.bases[c][folded]
	if e == nil || e.spellings == maxSpell {
		e = b.newBase(c, folded)
	}
	code := spell(e.code, e.spellings)
	e.spellings++
	t := prefixes[c] + "-" + string(code[:])
	b.put(c, t, value)
	return t
}

func (b *book) newBase(c Class, folded string) *base {
	for n := uint32(0); ; n++ {
		e := &base{code: b.key.code(c, folded, n)}
		if name := prefixes[c] + "-" + string(e.code[:]); !b.taken[name] {
			b.taken[name] = true
			b.bases[c][folded] = e
			return e
		}
	}
}

func (b *book) put(c Class, token, value string) {
	b.tokens[c][value] = token
	b.values[token] = value
	b.classes[token] = c
	b.order = append(b.order, token)
}

// value returns what a token stands for. A model may have changed the case of the code: it then
// means the value in its first spelling.
func (b *book) value(token string) (string, bool) {
	if v, ok := b.values[token]; ok {
		return v, true
	}
	v, ok := b.values[strings.ToUpper(token)]
	return v, ok
}

// fold brings a value into the form under which values of the class are the same.
func fold(c Class, v string) string {
	switch c {
	case Phone, Card, MAC, IBAN:
		return strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				return unicode.ToLower(r)
			}
			return -1
		}, v)
	}
	if c.foldsCase() {
		return strings.ToLower(v)
	}
	return v
}
