package intel

import (
	"fmt"
	"strings"
)

// Limits of a STIX pattern.
const (
	maxPattern      = 64 << 10
	maxPatternDepth = 64
	maxTerms        = 4096
)

// PatternError says where a STIX pattern cannot be understood.
type PatternError struct {
	Offset int
	Reason string
}

// Error implements error.
func (e *PatternError) Error() string {
	return fmt.Sprintf("STIX pattern, byte %d: %s", e.Offset, e.Reason)
}

// term is one comparison of a pattern.
type term struct {
	object string   // "file"
	path   []string // "hashes", "SHA-256"
	op     string   // "=", "IN", "LIKE", ...
	values []string
	// negated: the pattern asks that the comparison fails.
	negated bool
	// partial: the pattern needs something of another object as well.
	partial bool
}

// parsePattern reads the patterning language of STIX 2.0 and 2.1 (OASIS STIX 2.1, part 9):
// observations in brackets joined by AND, OR and FOLLOWEDBY, with qualifiers, and
// comparisons joined by AND and OR inside. It returns the comparisons.
func parsePattern(s string) ([]term, error) {
	if len(s) > maxPattern {
		return nil, &PatternError{Offset: maxPattern, Reason: "the pattern is too long"}
	}
	p := &patternParser{lex: patternLexer{s: s}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	terms, err := p.observations(0)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokEnd {
		return nil, p.fail("%q after the end of the pattern", p.tok.text)
	}
	return terms, nil
}

type patternParser struct {
	lex   patternLexer
	tok   token
	count int
}

func (p *patternParser) advance() (err error) {
	p.tok, err = p.lex.next()
	return err
}

func (p *patternParser) fail(format string, args ...any) error {
	return &PatternError{Offset: p.tok.at, Reason: fmt.Sprintf(format, args...)}
}

func (p *patternParser) keyword(words ...string) bool {
	if p.tok.kind != tokWord {
		return false
	}
	for _, w := range words {
		if strings.EqualFold(p.tok.text, w) {
			return true
		}
	}
	return false
}

func (p *patternParser) symbol(s string) bool { return p.tok.kind == tokSymbol && p.tok.text == s }

func (p *patternParser) expect(s string) error {
	if !p.symbol(s) {
		return p.fail("%q was expected", s)
	}
	return p.advance()
}

func (p *patternParser) observations(depth int) ([]term, error) {
	if depth > maxPatternDepth {
		return nil, p.fail("the pattern is nested too deep")
	}
	terms, err := p.observation(depth)
	for err == nil && p.keyword("AND", "OR", "FOLLOWEDBY") {
		either := p.keyword("OR")
		if err = p.advance(); err != nil {
			break
		}
		var more []term
		more, err = p.observation(depth)
		if !either {
			markPartial(terms)
			markPartial(more)
		}
		terms = append(terms, more...)
	}
	return terms, err
}

func (p *patternParser) observation(depth int) (terms []term, err error) {
	switch {
	case p.symbol("["):
		if err = p.advance(); err != nil {
			return nil, err
		}
		if terms, err = p.comparisons(depth + 1); err != nil {
			return nil, err
		}
		if err = p.expect("]"); err != nil {
			return nil, err
		}
	case p.symbol("("):
		if err = p.advance(); err != nil {
			return nil, err
		}
		if terms, err = p.observations(depth + 1); err != nil {
			return nil, err
		}
		if err = p.expect(")"); err != nil {
			return nil, err
		}
	default:
		return nil, p.fail(`an observation in brackets was expected`)
	}
	return terms, p.qualifiers()
}

// qualifiers skips WITHIN, REPEATS and START ... STOP: they bound when, not what.
func (p *patternParser) qualifiers() error {
	for p.keyword("WITHIN", "REPEATS", "START") {
		second := []string{"SECONDS", "TIMES"}
		if p.keyword("START") {
			second = []string{"STOP"}
		}
		if err := p.advance(); err != nil {
			return err
		}
		if _, err := p.literal(); err != nil {
			return err
		}
		if !p.keyword(second...) {
			return p.fail("%s was expected", second[0])
		}
		if err := p.advance(); err != nil {
			return err
		}
		if second[0] == "STOP" {
			if _, err := p.literal(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *patternParser) comparisons(depth int) ([]term, error) {
	if depth > maxPatternDepth {
		return nil, p.fail("the pattern is nested too deep")
	}
	terms, err := p.comparison(depth)
	for err == nil && p.keyword("AND", "OR") {
		both := p.keyword("AND")
		if err = p.advance(); err != nil {
			break
		}
		var more []term
		more, err = p.comparison(depth)
		if both && otherObject(terms, more) {
			markPartial(terms)
			markPartial(more)
		}
		terms = append(terms, more...)
	}
	return terms, err
}

func (p *patternParser) comparison(depth int) ([]term, error) {
	if p.symbol("(") {
		if err := p.advance(); err != nil {
			return nil, err
		}
		terms, err := p.comparisons(depth + 1)
		if err != nil {
			return nil, err
		}
		return terms, p.expect(")")
	}
	if p.count++; p.count > maxTerms {
		return nil, p.fail("the pattern has more than %d comparisons", maxTerms)
	}
	exists := p.keyword("EXISTS")
	negated := false
	for p.keyword("EXISTS", "NOT") {
		negated = negated || p.keyword("NOT")
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	t, err := p.objectPath()
	if err != nil {
		return nil, err
	}
	t.negated = negated
	if exists {
		t.op = "EXISTS"
		return []term{t}, nil
	}
	if p.keyword("NOT") {
		t.negated = true
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	return p.operand(t)
}

func (p *patternParser) operand(t term) ([]term, error) {
	t.op = strings.ToUpper(p.tok.text)
	switch t.op {
	case "=", "==":
		t.op = "="
	case "!=", "<>":
		t.op, t.negated = "=", !t.negated
	case "<", "<=", ">", ">=", "IN", "LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET":
	default:
		return nil, p.fail("%q is not an operator", p.tok.text)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if t.op != "IN" {
		v, err := p.literal()
		t.values = []string{v}
		return []term{t}, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	for !p.symbol(")") {
		v, err := p.literal()
		if err != nil {
			return nil, err
		}
		if t.values = append(t.values, v); len(t.values) > maxTerms {
			return nil, p.fail("a set has more than %d values", maxTerms)
		}
		if p.symbol(",") {
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
	}
	return []term{t}, p.advance()
}

func (p *patternParser) literal() (string, error) {
	switch p.tok.kind {
	case tokString, tokWord:
		v := p.tok.text
		return v, p.advance()
	}
	return "", p.fail("a value was expected")
}

// objectPath reads type:property.property['key'][*].property.
func (p *patternParser) objectPath() (term, error) {
	var t term
	if p.tok.kind != tokWord {
		return t, p.fail("an object path was expected")
	}
	t.object = strings.ToLower(p.tok.text)
	if err := p.advance(); err != nil {
		return t, err
	}
	if !p.symbol(":") {
		return t, p.fail(`":" was expected after %q`, t.object)
	}
	for p.symbol(":") || p.symbol(".") || p.symbol("[") {
		index := p.symbol("[")
		if err := p.advance(); err != nil {
			return t, err
		}
		if p.tok.kind != tokWord && p.tok.kind != tokString && !p.symbol("*") {
			return t, p.fail("a property was expected")
		}
		if !index || p.tok.kind == tokString {
			t.path = append(t.path, strings.ToLower(p.tok.text))
		}
		if err := p.advance(); err != nil {
			return t, err
		}
		if index {
			if err := p.expect("]"); err != nil {
				return t, err
			}
		}
	}
	return t, nil
}

func markPartial(terms []term) {
	for i := range terms {
		terms[i].partial = true
	}
}

func otherObject(a, b []term) bool {
	for i := range a {
		for j := range b {
			if a[i].object != b[j].object {
				return true
			}
		}
	}
	return false
}
