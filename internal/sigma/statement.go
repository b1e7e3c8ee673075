package sigma

import (
	"strings"
	"unicode"
)

// maxStatementValue is how many characters of a value a statement quotes.
const maxStatementValue = 120

// Statement says in words what a match of the rule means: the rule's statement with its
// placeholders filled from the hits, else from the event, or its title. Values are the event's own text: control
// characters become spaces, long ones are cut, and a field the event lacks reads "(unknown)".
func (s *Set) Statement(r *Rule, ev *Event, hits Hits) string {
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
		if v, ok := s.placeholderValue(ev, hits, name); ok {
			writeValue(&b, v)
		} else {
			b.WriteString("(unknown)")
		}
		rest = after
	}
}

// placeholderValue prefers the value that made the rule match: of a field with several values
// it is the one in question, and a decoded command stands nowhere else.
func (s *Set) placeholderValue(ev *Event, hits Hits, name string) (string, bool) {
	for i := range hits {
		if hits[i].Field == name {
			return hits[i].Value, true
		}
	}
	if values := s.Values(ev, name); len(values) > 0 {
		return values[0], true
	}
	return "", false
}

func writeValue(b *strings.Builder, v string) {
	n := 0
	// Some sources double the backslashes of Windows paths; people should not read them twice.
	v = strings.ReplaceAll(v, `\\`, `\`)
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
