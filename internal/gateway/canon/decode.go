package canon

import (
	"unicode/utf8"
)

func hexValue(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b >= 'a' && b <= 'f':
		return int(b-'a') + 10
	case b >= 'A' && b <= 'F':
		return int(b-'A') + 10
	}
	return -1
}

func unhex(s string) []byte {
	out := make([]byte, 0, len(s)/2)
	for i := 0; i+1 < len(s); i += 2 {
		b := byte(hexValue(s[i])<<4 | hexValue(s[i+1]))
		if b != 0 && b < ' ' && b != '\n' && b != '\r' && b != '\t' {
			return nil
		}
		out = append(out, b)
	}
	return out
}

func value64(b byte) int {
	switch {
	case b >= 'A' && b <= 'Z':
		return int(b - 'A')
	case b >= 'a' && b <= 'z':
		return int(b-'a') + 26
	case b >= '0' && b <= '9':
		return int(b-'0') + 52
	case b == '+', b == '-':
		return 62
	case b == '/', b == '_':
		return 63
	}
	return -1
}

// un64 decodes s as far as it goes. It gives up, with nil and before it allocates, at the first
// control character that neither text nor UTF-16 would have: names and paths cost little.
func un64(s string) []byte {
	n := text64(s)
	if n < 6 {
		return nil
	}
	out := make([]byte, 0, n)
	acc, bits := uint32(0), 0
	for i := 0; len(out) < n; i++ {
		acc, bits = acc<<6|uint32(value64(s[i])), bits+6
		if bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits))
		}
	}
	return out
}

// text64 returns how many bytes of text s encodes, 0 when it encodes something else.
func text64(s string) int {
	acc, bits, n := uint32(0), 0, 0
	more := 0 // bytes that the rune still needs
	for i := 0; i < len(s); i++ {
		v := value64(s[i])
		if v < 0 {
			break
		}
		acc, bits = acc<<6|uint32(v), bits+6
		if bits < 8 {
			continue
		}
		bits -= 8
		b := byte(acc >> bits)
		if b < ' ' && b != '\n' && b != '\r' && b != '\t' && b != 0 || b == 0x7f || b == 0 && n%2 == 0 {
			return 0
		}
		if more = continues(more, b); more < 0 {
			return 0
		}
		n++
	}
	return n
}

// continues returns how many bytes a rune of UTF-8 needs after b, when it needed more before
// it; -1 when b cannot stand there.
func continues(more int, b byte) int {
	switch {
	case more > 0 && b >= 0x80 && b < 0xc0:
		return more - 1
	case more > 0:
		return -1
	case b < 0x80:
		return 0
	case b >= 0xc2 && b < 0xe0:
		return 1
	case b >= 0xe0 && b < 0xf0:
		return 2
	case b >= 0xf0 && b < 0xf5:
		return 3
	}
	return -1
}

// halve returns the ASCII text of UTF-16 in little endian, nil when b is none.
func halve(b []byte) []byte {
	if len(b) < 12 || b[1] != 0 {
		return nil
	}
	out := make([]byte, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		if b[i+1] != 0 {
			return nil
		}
		out = append(out, b[i])
	}
	return out
}

const (
	percent = iota
	html
	backslash
)

// escapeAt returns the kind and length of the escape at the beginning of s; length 0 for none.
func escapeAt(s string) (kind, n int) {
	switch s[0] {
	case '%':
		if len(s) >= 3 && hexValue(s[1]) >= 0 && hexValue(s[2]) >= 0 {
			return percent, 3
		}
	case '&':
		_, n := entity(s)
		return html, n
	case '\\':
		_, n := backslashed(s)
		return backslash, n
	}
	return 0, 0
}

// entity decodes an HTML entity: the numeric ones and the few that matter for structure.
func entity(s string) (rune, int) {
	if len(s) < 4 {
		return 0, 0
	}
	if s[1] != '#' {
		return named(s)
	}
	i, base, r := 2, 10, 0
	if s[2] == 'x' || s[2] == 'X' {
		i, base = 3, 16
	}
	first := i
	for i < len(s) && i-first < 8 {
		v := hexValue(s[i])
		if v < 0 || v >= base {
			break
		}
		r = r*base + v
		i++
	}
	if i == first || !utf8.ValidRune(rune(r)) || r == 0 {
		return 0, 0
	}
	if i < len(s) && s[i] == ';' {
		i++
	}
	return rune(r), i
}

func named(s string) (rune, int) {
	for _, e := range [...]struct {
		name string
		r    rune
	}{{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&nbsp;", ' '}, {"&colon;", ':'}, {"&lbrack;", '['}, {"&rbrack;", ']'}} {
		if len(s) >= len(e.name) && s[:len(e.name)] == e.name {
			return e.r, len(e.name)
		}
	}
	return 0, 0
}

// backslashed decodes \uXXXX, \u{X}, \xXX and octal \OOO.
func backslashed(s string) (rune, int) {
	if len(s) < 4 {
		return 0, 0
	}
	var digits int
	at := 2
	switch s[1] {
	case 'u':
		digits = 4
		if s[2] == '{' {
			return braced(s)
		}
	case 'U':
		digits = 8
	case 'x':
		digits = 2
	default:
		return octal(s)
	}
	if len(s) < at+digits {
		return 0, 0
	}
	r := 0
	for ; digits > 0; digits-- {
		v := hexValue(s[at])
		if v < 0 {
			return 0, 0
		}
		r = r<<4 | v
		at++
	}
	if r == 0 || !utf8.ValidRune(rune(r)) {
		return utf8.RuneError, at
	}
	return rune(r), at
}

func braced(s string) (rune, int) {
	r, i := 0, 3
	for ; i < len(s) && i < 9 && hexValue(s[i]) >= 0; i++ {
		r = r<<4 | hexValue(s[i])
	}
	if i == 3 || i >= len(s) || s[i] != '}' || r == 0 || !utf8.ValidRune(rune(r)) {
		return 0, 0
	}
	return rune(r), i + 1
}

func octal(s string) (rune, int) {
	r := 0
	for i := 1; i < 4; i++ {
		if s[i] < '0' || s[i] > '7' {
			return 0, 0
		}
		r = r<<3 | int(s[i]-'0')
	}
	if r < ' ' || r > 0x7e {
		return 0, 0
	}
	return rune(r), 4
}

// unescape decodes the escapes of one kind in s and leaves the rest.
func unescape(s string, kind int) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		ch := s[i]
		if ch == '%' || ch == '&' || ch == '\\' {
			if k, n := escapeAt(s[i:]); n > 0 && k == kind {
				switch kind {
				case percent:
					out = append(out, byte(hexValue(s[i+1])<<4|hexValue(s[i+2])))
				case html:
					r, _ := entity(s[i:])
					out = utf8.AppendRune(out, r)
				default:
					r, _ := backslashed(s[i:])
					out = utf8.AppendRune(out, r)
				}
				i += n
				continue
			}
		}
		out = append(out, ch)
		i++
	}
	return string(out)
}
