package intel

import "strings"

type tokenKind uint8

const (
	tokEnd    tokenKind = iota
	tokWord             // a name, a keyword, a number
	tokString           // a quoted text, without its quotes
	tokSymbol
)

type token struct {
	kind tokenKind
	text string
	at   int
}

// patternLexer cuts a STIX pattern into tokens.
type patternLexer struct {
	s   string
	pos int
}

func (l *patternLexer) next() (token, error) {
	for l.pos < len(l.s) && (l.s[l.pos] <= ' ' || l.s[l.pos] == 0x7f) {
		l.pos++
	}
	at := l.pos
	if at >= len(l.s) {
		return token{at: at}, nil
	}
	c := l.s[at]
	switch {
	case c == '\'':
		return l.quoted(at)
	case wordByte(c):
		// t'2024-01-01T00:00:00Z', h'0a' and b'Cg==' are literals with a letter before the quote.
		if l.pos+1 < len(l.s) && l.s[l.pos+1] == '\'' && (c == 't' || c == 'h' || c == 'b') {
			l.pos++
			return l.quoted(at)
		}
		for l.pos < len(l.s) && (wordByte(l.s[l.pos]) || l.fraction()) {
			l.pos++
		}
		return token{kind: tokWord, text: l.s[at:l.pos], at: at}, nil
	case strings.IndexByte("!<>=", c) >= 0:
		for l.pos < len(l.s) && l.pos-at < 2 && strings.IndexByte("!<>=", l.s[l.pos]) >= 0 {
			l.pos++
		}
		return token{kind: tokSymbol, text: l.s[at:l.pos], at: at}, nil
	case strings.IndexByte("[](),:.*", c) >= 0:
		l.pos++
		return token{kind: tokSymbol, text: l.s[at:l.pos], at: at}, nil
	}
	return token{}, &PatternError{Offset: at, Reason: "unexpected character"}
}

// fraction reports whether the point at the position belongs to a number such as 1.5.
func (l *patternLexer) fraction() bool {
	if l.s[l.pos] != '.' || l.pos == 0 || l.pos+1 >= len(l.s) {
		return false
	}
	before, after := l.s[l.pos-1], l.s[l.pos+1]
	return before >= '0' && before <= '9' && after >= '0' && after <= '9'
}

func (l *patternLexer) quoted(at int) (token, error) {
	var b strings.Builder
	for i := l.pos + 1; i < len(l.s); i++ {
		switch c := l.s[i]; c {
		case '\\':
			if i+1 >= len(l.s) {
				return token{}, &PatternError{Offset: i, Reason: "the text ends in an escape"}
			}
			i++
			b.WriteByte(l.s[i])
		case '\'':
			l.pos = i + 1
			return token{kind: tokString, text: b.String(), at: at}, nil
		default:
			b.WriteByte(c)
		}
	}
	return token{}, &PatternError{Offset: at, Reason: "a text has no closing quote"}
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '+'
}
