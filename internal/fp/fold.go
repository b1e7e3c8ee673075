package fp

import (
	"unicode"
	"unicode/utf8"
)

// maxSubject is the longest text that is compared. A longer one satisfies nothing: nobody can
// have meant it, and comparing it would be paid for by everybody.
const maxSubject = 4096

// appendFold appends s in lower case, rune by rune, so that prefixes stay prefixes. Bytes that
// are not UTF-8 stay as they are.
func appendFold(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			b = append(b, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(b, c)
		} else {
			b = utf8.AppendRune(b, unicode.ToLower(r))
		}
		i += n
	}
	return b
}

func folded(s string) string { return string(appendFold(make([]byte, 0, len(s)), s)) }

// FNV-1a over 64 bits. A collision costs one comparison and can never make a match.
const (
	hashStart = 14695981039346656037
	hashPrime = 1099511628211
)

func hashByte(h uint64, c byte) uint64 { return (h ^ uint64(c)) * hashPrime }

func hashText[T string | []byte](h uint64, s T) uint64 {
	for i := 0; i < len(s); i++ {
		h = hashByte(h, s[i])
	}
	return h
}

// globMatch compares text with a pattern of * and ?, both in lower case. It goes back to the
// last star only, so it needs len(pattern) × len(text) steps at worst.
func globMatch(pattern string, text []byte) bool {
	p, t := 0, 0
	star, mark := -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && pattern[p] == '?':
			p++
			t += runeLen(text[t:])
		case p < len(pattern) && pattern[p] == text[t]:
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

func runeLen(b []byte) int {
	_, n := utf8.DecodeRune(b)
	return n
}

// hidden reports whether r shows nothing or changes how its neighbours show.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
}
