package sigma

import (
	"net/netip"
	"regexp"
)

// exprOp is the operator of a node of a rule's expression.
type exprOp uint8

const (
	opTest exprOp = iota
	opAnd
	opOr
	opNot
	opAtLeast // n of the kids
)

// expr is a rule's detection as a tree; selections that the condition names twice are shared.
type expr struct {
	op   exprOp
	n    int
	kids []*expr
	test *test
}

func all(kids []*expr) *expr   { return join(opAnd, kids) }
func anyOf(kids []*expr) *expr { return join(opOr, kids) }

func join(op exprOp, kids []*expr) *expr {
	if len(kids) == 1 {
		return kids[0]
	}
	return &expr{op: op, kids: kids}
}

// size counts the values of a selection.
func (e *expr) size() int {
	if t := e.test; t != nil {
		return max(1, len(t.patterns)+len(t.regexps)+len(t.nets)+len(t.numbers)+len(t.clocks)+len(t.refs))
	}
	n := 1
	for _, k := range e.kids {
		n += k.size()
	}
	return n
}

// test is one entry of a selection: a field, or every value when it is a keyword, and the
// alternatives of which one must hold.
type test struct {
	field   string
	keyword bool
	// not inverts the alternatives; the field must exist (modifier neq).
	not bool

	null, empty     bool
	exists, missing bool
	patterns        []pattern
	regexps         []*regexp.Regexp
	// literals holds per regular expression a text that every match contains, nil for none.
	literals [][]byte
	nets     []netip.Prefix
	numbers  []comparison
	clocks   []comparison
	refs     []reference
}

// comparison compares a number, or a part of a time, with a number.
type comparison struct {
	op   compareOp
	num  float64
	part clockPart
}

type compareOp uint8

const (
	compareEqual compareOp = iota
	compareLess
	compareLessEqual
	compareGreater
	compareGreaterEqual
)

func (c comparison) holds(v float64) bool {
	switch c.op {
	case compareLess:
		return v < c.num
	case compareLessEqual:
		return v <= c.num
	case compareGreater:
		return v > c.num
	case compareGreaterEqual:
		return v >= c.num
	default:
		return v == c.num
	}
}

// reference compares a field with another one.
type reference struct {
	field string
	kind  patternKind // equal, prefix, suffix, contains
	cased bool
}
