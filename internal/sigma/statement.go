package sigma

import (
	"strings"
	"unicode"
)

// maxStatementValue is how many characters of a value a statement quotes.
const maxStatementValue = 120

// Statement says in words what a match of the rule means: the rule's statement with its
// placeholders filled from the event, or its title. Values are the event's own text: control
// characters become spaces, long ones are cut, and a field the event lacks reads "(unknown)".
func (s *Set) Statement(r *Rule, ev *Event) string {
	if r.Statement == "" {
		return r.Title
	}
	var b strings.Builder
	rest := r.Statement
	for {
		before, name, after := placeholder(rest)
		b.WriteString(before)
		if name == "" {
			return b.String()
		}
		if values := s.Values(ev, name); len(values) > 0 {
			writeValue(&b, values[0])
		} else {
			b.WriteString("(unknown)")
		}
		rest = after
	}
}

func writeValue(b *strings.Builder, v string) {
	n := 0
	for _, c := range v {
		if n++; n > maxStatementValue {
			b.WriteString("…")
			return
		}
		if unicode.IsControl(c) || c == unicode.ReplacementChar || unicode.Is(unicode.Cf, c) {
			c = ' '
		}
		b.WriteRune(c)
	}
}
