package eval

import (
	"math/rand/v2"
	"strings"
)

// pseudonyms gives words other words of the same length and shape: letters become letters
// that can be spoken, digits digits, everything else stays. Equal words get equal ones, in
// whatever case they are written; different words different ones.
type pseudonyms struct {
	seed uint64
	of   map[string]string
	used map[string]bool
}

func newPseudonyms(seed uint64) *pseudonyms {
	return &pseudonyms{seed: seed, of: map[string]string{}, used: map[string]bool{}}
}

// name renames each word of a name: "Web-01.corp" has three.
func (p *pseudonyms) name(s string) string {
	var b strings.Builder
	start := 0
	flush := func(end int) {
		if start < end {
			b.WriteString(likeCase(p.word(strings.ToLower(s[start:end])), s[start:end]))
		}
	}
	for i := 0; i < len(s); i++ {
		if !alphanumeric(s[i]) {
			flush(i)
			b.WriteByte(s[i])
			start = i + 1
		}
	}
	flush(len(s))
	return b.String()
}

func (p *pseudonyms) word(w string) string {
	if got, ok := p.of[w]; ok {
		return got
	}
	for try := uint64(0); ; try++ {
		got := invent(w, hash(p.seed+try, w))
		// A word of one or two characters has few others; after some tries it may share one.
		if got != w && !p.used[got] || try > 64 {
			p.of[w], p.used[got] = got, true
			return got
		}
	}
}

const consonants, vowels = "bcdfglmnprstvz", "aeiou"

func invent(w string, key uint64) string {
	r := rand.New(rand.NewPCG(key, 2))
	out := []byte(w)
	vowel := r.IntN(2) == 0
	for i, c := range out {
		switch {
		case c >= '0' && c <= '9':
			out[i] = byte('0' + r.IntN(10))
		case c < 'a' || c > 'z':
		case vowel:
			out[i] = vowels[r.IntN(len(vowels))]
			vowel = false
		default:
			out[i] = consonants[r.IntN(len(consonants))]
			vowel = true
		}
	}
	return string(out)
}

// likeCase writes s with the capitals of like, which is as long.
func likeCase(s, like string) string {
	if len(s) != len(like) {
		return s
	}
	out := []byte(s)
	for i := range out {
		if like[i] >= 'A' && like[i] <= 'Z' && out[i] >= 'a' && out[i] <= 'z' {
			out[i] -= 'a' - 'A'
		}
	}
	return string(out)
}

// scramble replaces hexadecimal digits (or, without hex, letters and digits) of an id by
// others of the same kind; "id" of the same text in another case gets the same in that case.
func (p *pseudonyms) scramble(s string, hex bool) string {
	low := s
	if hex {
		low = strings.ToLower(s)
	}
	for try := uint64(0); ; try++ {
		r := rand.New(rand.NewPCG(hash(p.seed+try, low), 3))
		out := []byte(low)
		for i, c := range out {
			switch {
			case hex && (c >= '0' && c <= '9' || c >= 'a' && c <= 'f'):
				if c != '0' || r.IntN(2) == 0 { // zeros often fill
					out[i] = "123456789abcdef"[r.IntN(15)]
				}
			case hex:
			case c >= '0' && c <= '9':
				out[i] = byte('0' + r.IntN(10))
			case c >= 'a' && c <= 'z':
				out[i] = byte('a' + r.IntN(26))
			case c >= 'A' && c <= 'Z':
				out[i] = byte('A' + r.IntN(26))
			}
		}
		if got := string(out); got != low || try > 64 {
			return likeCase(got, s)
		}
	}
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
