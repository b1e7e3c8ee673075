package sigma

import (
	"slices"
	"strconv"
	"strings"
)

// Limits on conditions.
const (
	maxConditionDepth = 100
	maxConditionRefs  = 200_000
)

// conditionParser reads one condition by recursive descent:
//
//	or   = and { "or" and }
//	and  = not { "and" not }
//	not  = { "not" } unit
//	unit = "(" or ")" | quantity "of" ( "them" | pattern ) | name
type conditionParser struct {
	toks  []string
	pos   int
	depth int
	line  int
	names []string // selections in document order
	byKey map[string]*expr
	sizes map[string]int
	refs  int
}

func (d *detection) condition(text string, line int) (*expr, *problem) {
	if strings.Contains(text, "|") {
		return nil, unsupported(line, "write it as a correlation, or as \"count\" in the aluskort block",
			"the condition aggregates after a pipe: %q", clip(text))
	}
	c := &conditionParser{toks: tokens(text), line: line, names: d.names, byKey: d.selections, sizes: d.sizes, refs: d.refs}
	if len(c.toks) == 0 {
		return nil, invalid(line, "name a selection", "the condition is empty")
	}
	e, p := c.or()
	if p != nil {
		return nil, p
	}
	if c.pos < len(c.toks) {
		return nil, invalid(line, "join selections with and, or, not", "the condition goes on after its end, at %q", clip(c.toks[c.pos]))
	}
	d.refs = c.refs
	return e, nil
}

func tokens(text string) []string {
	var out []string
	for _, f := range strings.Fields(text) {
		for f != "" {
			i := strings.IndexAny(f, "()")
			switch {
			case i < 0:
				out = append(out, f)
				f = ""
			case i > 0:
				out = append(out, f[:i])
				f = f[i:]
			default:
				out = append(out, f[:1])
				f = f[1:]
			}
		}
	}
	return out
}

func (c *conditionParser) peek() string {
	if c.pos < len(c.toks) {
		return c.toks[c.pos]
	}
	return ""
}

// word reports whether the next token is the operator, and takes it.
func (c *conditionParser) word(w string) bool {
	if strings.EqualFold(c.peek(), w) {
		c.pos++
		return true
	}
	return false
}

func (c *conditionParser) or() (*expr, *problem) { return c.chain("or", opOr, c.and) }

func (c *conditionParser) and() (*expr, *problem) { return c.chain("and", opAnd, c.not) }

func (c *conditionParser) chain(word string, op exprOp, next func() (*expr, *problem)) (*expr, *problem) {
	var kids []*expr
	for {
		e, p := next()
		if p != nil {
			return nil, p
		}
		kids = append(kids, e)
		if !c.word(word) {
			return join(op, kids), nil
		}
	}
}

func (c *conditionParser) not() (*expr, *problem) {
	negate := false
	for c.word("not") {
		negate = !negate
	}
	e, p := c.unit()
	if p != nil || !negate {
		return e, p
	}
	return &expr{op: opNot, kids: []*expr{e}}, nil
}

func (c *conditionParser) unit() (*expr, *problem) {
	tok := c.peek()
	switch {
	case tok == "":
		return nil, invalid(c.line, "name a selection there", "the condition ends where a selection is expected")
	case tok == "(":
		return c.group()
	case tok == ")" || isOperator(tok):
		return nil, invalid(c.line, "name a selection there", "the condition has %q where a selection is expected", tok)
	}
	c.pos++
	if c.word("of") {
		return c.quantity(tok)
	}
	e := c.byKey[tok]
	if e == nil {
		return nil, invalid(c.line, "define it under detection, or mend the name", "the condition names %q, which is no selection", clip(tok))
	}
	return e, c.charge(c.sizes[tok])
}

func isOperator(tok string) bool {
	return strings.EqualFold(tok, "and") || strings.EqualFold(tok, "or") || strings.EqualFold(tok, "of")
}

func (c *conditionParser) group() (*expr, *problem) {
	c.pos++
	if c.depth++; c.depth > maxConditionDepth {
		return nil, invalid(c.line, "use fewer parentheses", "the condition nests deeper than %d levels", maxConditionDepth)
	}
	e, p := c.or()
	if p != nil {
		return nil, p
	}
	if !c.word(")") {
		return nil, invalid(c.line, "add \")\"", "the condition has an open parenthesis that is never closed")
	}
	c.depth--
	return e, nil
}

func (c *conditionParser) quantity(tok string) (*expr, *problem) {
	kids, p := c.selected(c.peek())
	if p != nil {
		return nil, p
	}
	c.pos++
	switch {
	case strings.EqualFold(tok, "all"):
		return all(kids), nil
	case strings.EqualFold(tok, "any"):
		return anyOf(kids), nil
	}
	n, err := strconv.Atoi(tok)
	switch {
	case err != nil || n < 1:
		return nil, invalid(c.line, "write \"1 of\", \"all of\" or another positive number", "%q is no quantity", clip(tok))
	case n > len(kids):
		return nil, invalid(c.line, "lower the number", "the condition asks for %d of %d selections", n, len(kids))
	case n == 1:
		return anyOf(kids), nil
	default:
		return &expr{op: opAtLeast, n: n, kids: kids}, nil
	}
}

// selected returns the selections that "them" or a pattern stands for.
func (c *conditionParser) selected(pattern string) ([]*expr, *problem) {
	if pattern == "" || pattern == "(" || pattern == ")" {
		return nil, invalid(c.line, "write \"them\" or a pattern such as selection*", "the condition lacks the selections after \"of\"")
	}
	var kids []*expr
	size := 0
	them := strings.EqualFold(pattern, "them")
	p := newPattern(nameElems(pattern), true)
	for _, name := range c.names {
		if them && !strings.HasPrefix(name, "_") || !them && p.match([]byte(name)) {
			kids = append(kids, c.byKey[name])
			size += c.sizes[name]
		}
	}
	if len(kids) == 0 {
		return nil, invalid(c.line, "mend the pattern or add a selection", "no selection fits %q", clip(pattern))
	}
	return kids, c.charge(size)
}

// nameElems reads a pattern of names, where only * is special.
func nameElems(s string) []elem {
	var out []elem
	for i, part := range strings.Split(s, "*") {
		if i > 0 {
			out = append(out, elem{kind: elemMany})
		}
		if part != "" {
			out = append(out, elem{elemLit, []byte(part)})
		}
	}
	return out
}

func (c *conditionParser) charge(n int) *problem {
	if c.refs += n; c.refs > maxConditionRefs {
		return invalid(c.line, "simplify it", "the condition stands for more than %d values", maxConditionRefs)
	}
	return nil
}

// clip shortens text that goes into a message.
func clip(s string) string {
	const limit = 60
	if r := []rune(s); len(r) > limit {
		return string(slices.Concat(r[:limit], []rune("…")))
	}
	return s
}
