package audit

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// MaxInt is the largest magnitude of an integer in a record: 2^53-1, which every JSON
// implementation reads exactly (RFC 7493, section 2.2).
const MaxInt = 1<<53 - 1

// maxDepth bounds the nesting of context, decision and outcome.
const maxDepth = 16

var (
	// ErrInvalidUTF8 is returned for text that is not UTF-8. The bytes belong into the object
	// store and their SHA-256 into the record.
	ErrInvalidUTF8 = errors.New("audit: text is not valid UTF-8")
	// ErrNotCanonical is returned for a fragment that is not canonical JSON of the restricted kind.
	ErrNotCanonical = errors.New("audit: not canonical JSON")
	// ErrRange is returned for an integer beyond ±MaxInt.
	ErrRange = errors.New("audit: integer beyond 2^53-1")
)

// Micros converts a fraction such as a confidence or a weight into the millionths that records
// carry, rounded half away from zero. NaN becomes 0; what lies beyond ±MaxInt is cut to it.
func Micros(f float64) int64 {
	m := math.Round(f * 1e6)
	switch {
	case math.IsNaN(m):
		return 0
	case m > MaxInt:
		return MaxInt
	case m < -MaxInt:
		return -MaxInt
	}
	return int64(m)
}

// plain marks the bytes that a JSON string carries as they are: ASCII from the space on, but
// the quote and the backslash.
var plain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendQuoted appends s as a JSON string with the minimal escapes of RFC 8785, section
// 3.2.2.2. It reports false, with dst unusable, when s is not UTF-8.
func appendQuoted(dst []byte, s string) ([]byte, bool) {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				return dst, false
			}
			i += n
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscape(dst, c)
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"'), true
}

func appendEscape(dst []byte, c byte) []byte {
	if e := shortEscape(c); e != 0 {
		return append(dst, '\\', e)
	}
	const hexDigits = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// shortEscape returns the letter of the two-character escape of c, or 0.
func shortEscape(c byte) byte {
	switch c {
	case '"', '\\':
		return c
	case '\b':
		return 'b'
	case '\t':
		return 't'
	case '\n':
		return 'n'
	case '\f':
		return 'f'
	case '\r':
		return 'r'
	}
	return 0
}

// Fragment is a canonical JSON object that can be put into a record as it is. The zero value
// is the empty object.
type Fragment struct{ text string }

// String returns the canonical JSON.
func (f Fragment) String() string {
	if f.text == "" {
		return "{}"
	}
	return f.text
}

// ParseFragment checks that text is one canonical object of the restricted kind and returns it.
// The error wraps ErrNotCanonical and names the byte.
func ParseFragment(text string) (Fragment, error) {
	c := checker{s: text}
	if !c.object(0) || c.i != len(text) {
		return Fragment{}, fmt.Errorf("%w: byte %d of %d", ErrNotCanonical, c.i, len(text))
	}
	return Fragment{text}, nil
}

// checker walks canonical JSON once; i is where it stands, and where it failed.
type checker struct {
	s string
	i int
}

func (c *checker) eat(b byte) bool {
	if c.i < len(c.s) && c.s[c.i] == b {
		c.i++
		return true
	}
	return false
}

func (c *checker) object(depth int) bool {
	if depth == maxDepth || !c.eat('{') {
		return false
	}
	if c.eat('}') {
		return true
	}
	last := ""
	for first := true; ; first = false {
		start := c.i
		if !c.str() {
			return false
		}
		key := c.s[start+1 : c.i-1]
		if !validKey(key) || !first && key <= last {
			c.i = start
			return false
		}
		last = key
		if !c.eat(':') || !c.value(depth+1) {
			return false
		}
		if c.eat('}') {
			return true
		}
		if !c.eat(',') {
			return false
		}
	}
}

func (c *checker) array(depth int) bool {
	if depth == maxDepth || !c.eat('[') {
		return false
	}
	if c.eat(']') {
		return true
	}
	for {
		if !c.value(depth + 1) {
			return false
		}
		if c.eat(']') {
			return true
		}
		if !c.eat(',') {
			return false
		}
	}
}

func (c *checker) value(depth int) bool {
	if c.i >= len(c.s) {
		return false
	}
	switch c.s[c.i] {
	case '"':
		return c.str()
	case '{':
		return c.object(depth)
	case '[':
		return c.array(depth)
	case 't':
		return c.literal("true")
	case 'f':
		return c.literal("false")
	}
	return c.integer()
}

func (c *checker) literal(word string) bool {
	if len(c.s)-c.i < len(word) || c.s[c.i:c.i+len(word)] != word {
		return false
	}
	c.i += len(word)
	return true
}

func (c *checker) integer() bool {
	start := c.i
	negative := c.eat('-')
	n, digits := int64(0), 0
	for c.i < len(c.s) && c.s[c.i]-'0' <= 9 && digits < 17 {
		n = n*10 + int64(c.s[c.i]-'0')
		c.i++
		digits++
	}
	first := start
	if negative {
		first++
	}
	if digits == 0 || n > MaxInt || c.s[first] == '0' && (digits > 1 || negative) {
		c.i = start
		return false
	}
	return true
}

func (c *checker) str() bool {
	if !c.eat('"') {
		return false
	}
	for c.i < len(c.s) {
		b := c.s[c.i]
		switch {
		case plain[b]:
			c.i++
		case b == '"':
			c.i++
			return true
		case b == '\\':
			if !c.escape() {
				return false
			}
		case b < 0x20:
			return false
		default:
			r, n := utf8.DecodeRuneInString(c.s[c.i:])
			if r == utf8.RuneError && n == 1 {
				return false
			}
			c.i += n
		}
	}
	return false
}

// escape accepts only the escape that appendEscape would have written.
func (c *checker) escape() bool {
	rest := c.s[c.i:]
	if len(rest) < 2 {
		return false
	}
	switch rest[1] {
	case '"', '\\', 'b', 't', 'n', 'f', 'r':
		c.i += 2
		return true
	case 'u':
		if len(rest) < 6 {
			return false
		}
		n, err := strconv.ParseUint(rest[2:6], 16, 16)
		if err != nil || n >= 0x20 || shortEscape(byte(n)) != 0 {
			return false
		}
		if string(appendEscape(nil, byte(n))) != rest[:6] {
			return false
		}
		c.i += 6
		return true
	}
	return false
}

// validKey reports whether key is printable ASCII without quote and backslash: such keys sort
// by byte as RFC 8785 wants them by UTF-16 unit, and need no escape.
func validKey(key string) bool {
	for i := 0; i < len(key); i++ {
		if !plain[key[i]] || key[i] == 0x7f {
			return false
		}
	}
	return key != ""
}
