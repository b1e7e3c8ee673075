package question

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// awkward reports whether a rune is invisible, breaks a line or turns the direction of writing:
// in a query that people copy it would show something else than it says.
func awkward(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Cf, r)
}

// kqlString is a string literal of the Kusto query language.
func kqlString(v string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range v { // invalid UTF-8 becomes the replacement character
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '`' || awkward(r) && r <= 0xFFFF:
			fmt.Fprintf(&b, `\u%04x`, r)
		case awkward(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// splPlain reports whether a value means nothing but itself wherever it stands in a quoted
// string of Splunk's search language.
func splPlain(v string) bool {
	for i := 0; i < len(v); i++ {
		c := v[i]
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("._:@/-", c) >= 0) {
			return false
		}
	}
	return v != ""
}

// splString is a string of Splunk's expressions. A quoted text may hold macros in backticks,
// tokens between dollar signs and comments, which are replaced before the quotes are read, so
// everything that is not plain is written in percent encoding and decoded by the search.
func splString(v string) string {
	if splPlain(v) {
		return `"` + v + `"`
	}
	v = strings.ToValidUTF8(v, "\uFFFD")
	var b strings.Builder
	b.WriteString(`urldecode("`)
	for i := 0; i < len(v); i++ {
		if splPlain(v[i : i+1]) {
			b.WriteByte(v[i])
			continue
		}
		fmt.Fprintf(&b, "%%%02X", v[i])
	}
	b.WriteString(`")`)
	return b.String()
}

// esqlString is a string literal of ES|QL, which knows the escapes \" \\ \n \r \t and no others:
// what else cannot be seen becomes the replacement character and matches nothing.
func esqlString(v string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range v {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case awkward(r):
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// wildcard escapes what a wildcard query of the Wazuh indexer would read as a pattern. The
// result still has to be encoded as JSON.
func wildcard(v string) string {
	var b strings.Builder
	for _, r := range v {
		if r == '*' || r == '?' || r == '\\' {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
