package sigma

import (
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// valueKind is what a value is taken for.
type valueKind uint8

const (
	asText valueKind = iota
	asRegexp
	asCIDR
	asNumber
	asExists
	asReference
	asClock
)

// modifiers are those of one entry, in the form they are applied.
type modifiers struct {
	kind                    valueKind
	all, cased, neq, expand bool
	// transforms are applied to texts in the given order.
	transforms []string
	flags      string // of a regular expression
	op         compareOp
	part       clockPart
	named      string // the modifier that set kind, for messages
}

const modifierFix = "see the modifiers that the package comment of internal/sigma lists"

func parseModifiers(s string, piped bool, line int) (*modifiers, *problem) {
	m := &modifiers{}
	if !piped {
		return m, nil
	}
	for _, name := range strings.Split(s, "|") {
		if p := m.add(name, line); p != nil {
			return nil, p
		}
	}
	return m, m.check(line)
}

func (m *modifiers) add(name string, line int) *problem {
	switch name {
	case "all":
		m.all = true
	case "cased":
		m.cased = true
	case "neq":
		m.neq = true
	case "expand":
		m.expand = true
	case "contains", "startswith", "endswith", "windash", "base64", "base64offset", "utf16le", "wide", "utf16be", "utf16":
		m.transforms = append(m.transforms, name)
	case "re":
		return m.take(asRegexp, name, line)
	case "i", "m", "s":
		if m.kind != asRegexp {
			return invalid(line, "write re|"+name, "the modifier %q stands without re", name)
		}
		m.flags += name
	case "cidr":
		return m.take(asCIDR, name, line)
	case "exists":
		return m.take(asExists, name, line)
	case "fieldref":
		return m.take(asReference, name, line)
	case "lt", "lte", "gt", "gte":
		m.op = map[string]compareOp{"lt": compareLess, "lte": compareLessEqual, "gt": compareGreater, "gte": compareGreaterEqual}[name]
		if m.kind == asClock {
			return nil
		}
		return m.take(asNumber, name, line)
	case "minute", "hour", "day", "week", "month", "year":
		m.part = clockParts[name]
		if m.kind == asNumber {
			m.kind = asText
		}
		return m.take(asClock, name, line)
	default:
		return unsupported(line, modifierFix, "the modifier %q is unknown", clip(name))
	}
	return nil
}

func (m *modifiers) take(k valueKind, name string, line int) *problem {
	if m.kind != asText {
		return invalid(line, "keep one of them", "the modifiers %q and %q exclude each other", m.named, name)
	}
	m.kind, m.named = k, name
	return nil
}

// check refuses combinations that mean nothing, rather than guess.
func (m *modifiers) check(line int) *problem {
	for _, t := range m.transforms {
		position := t == "contains" || t == "startswith" || t == "endswith"
		if m.kind == asText || m.kind == asReference && position {
			continue
		}
		return unsupported(line, "use one of them", "the modifiers %q and %q cannot be combined", m.named, t)
	}
	if m.cased && m.kind != asText && m.kind != asReference && m.kind != asRegexp {
		return unsupported(line, "leave out cased", "the modifiers %q and \"cased\" cannot be combined", m.named)
	}
	if m.kind == asExists && m.neq {
		return unsupported(line, "write exists: false", "the modifiers \"exists\" and \"neq\" cannot be combined")
	}
	return nil
}

// forKeywords refuses what makes no sense without a field.
func (m *modifiers) forKeywords(line int) *problem {
	if m.kind != asText && m.kind != asRegexp || m.neq {
		name := m.named
		if m.neq {
			name = "neq"
		}
		return unsupported(line, "name a field", "keywords cannot have the modifier %q", name)
	}
	return nil
}

// add appends what a value stands for to the alternatives of the test.
func (d *detection) add(t *test, v *yaml.Node, m *modifiers) *problem {
	if isNull(v) {
		if t.keyword || m.kind != asText || len(m.transforms) > 0 {
			return invalid(v.Line, "write a value, or null without modifiers", "an empty value cannot be matched that way")
		}
		t.null = true
		return nil
	}
	raws, p := d.expand(v, m)
	if p != nil {
		return p
	}
	for _, raw := range raws {
		if p := t.add(raw, v, m); p != nil {
			return p
		}
	}
	return nil
}

func (t *test) add(raw string, v *yaml.Node, m *modifiers) *problem {
	switch m.kind {
	case asRegexp:
		return t.addRegexp(raw, v.Line, m)
	case asCIDR:
		return t.addCIDR(raw, v.Line)
	case asNumber:
		return t.addNumber(raw, v.Line, m)
	case asClock:
		return t.addClock(raw, v.Line, m)
	case asExists:
		return t.addExists(raw, v.Line)
	case asReference:
		t.addReference(raw, m)
		return nil
	default:
		return t.addText(raw, v, m)
	}
}

func (t *test) addText(raw string, v *yaml.Node, m *modifiers) *problem {
	if raw == "" && len(m.transforms) == 0 {
		if t.keyword {
			return invalid(v.Line, "write the text to look for", "a keyword is empty")
		}
		t.empty = true
		return nil
	}
	forms := [][]elem{parseText(raw)}
	if decimal, ok := otherSpelling(v); ok && len(m.transforms) == 0 {
		forms = append(forms, parseText(decimal))
	}
	for _, name := range m.transforms {
		var p *problem
		if forms, p = transform(name, forms, v.Line); p != nil {
			return p
		}
	}
	for _, f := range forms {
		if t.keyword {
			f = wrap(f, true, true)
		}
		t.patterns = append(t.patterns, newPattern(f, m.cased))
	}
	return nil
}

// otherSpelling is the decimal form of an unquoted number that was written otherwise.
func otherSpelling(v *yaml.Node) (string, bool) {
	if v.ShortTag() != "!!int" || v.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		return "", false
	}
	i, err := strconv.ParseInt(v.Value, 0, 64)
	if err != nil {
		return "", false
	}
	s := strconv.FormatInt(i, 10)
	return s, s != v.Value
}

func wrap(f []elem, before, after bool) []elem {
	out := make([]elem, 0, len(f)+2)
	if before {
		out = append(out, elem{kind: elemMany})
	}
	out = append(out, f...)
	if after {
		out = append(out, elem{kind: elemMany})
	}
	return out
}

func transform(name string, forms [][]elem, line int) ([][]elem, *problem) {
	var out [][]elem
	for _, f := range forms {
		switch name {
		case "contains":
			out = append(out, wrap(f, true, true))
		case "startswith":
			out = append(out, wrap(f, false, true))
		case "endswith":
			out = append(out, wrap(f, true, false))
		case "windash":
			out = append(out, splitDashes(f))
		default:
			lit, ok := literal(f)
			if !ok {
				return nil, invalid(line, "escape wildcards, and put contains, startswith, endswith and windash after the encoding",
					"the modifier %q cannot encode wildcards", name)
			}
			out = append(out, encode(name, lit)...)
		}
	}
	return out, nil
}

// literal returns the text of a form without wildcards.
func literal(f []elem) ([]byte, bool) {
	switch {
	case len(f) == 0:
		return nil, true
	case len(f) == 1 && f[0].kind == elemLit:
		return f[0].lit, true
	default:
		return nil, false
	}
}

func encode(name string, lit []byte) [][]elem {
	one := func(b []byte) [][]elem { return [][]elem{{{elemLit, b}}} }
	switch name {
	case "base64":
		return one([]byte(base64.StdEncoding.EncodeToString(lit)))
	case "base64offset":
		var out [][]elem
		for _, b := range base64Forms(lit) {
			if len(b) > 0 {
				out = append(out, []elem{{elemLit, b}})
			}
		}
		return out
	case "utf16be":
		return one(encodeUTF16(lit, binary.BigEndian, false))
	case "utf16":
		return one(encodeUTF16(lit, binary.LittleEndian, true))
	default: // utf16le and its alias wide
		return one(encodeUTF16(lit, binary.LittleEndian, false))
	}
}

func (t *test) addRegexp(raw string, line int, m *modifiers) *problem {
	flags := m.flags
	re := raw
	if flags != "" {
		re = "(?" + flags + ")" + re
	}
	c, err := regexp.Compile(re)
	if err != nil {
		return unsupported(line, "rewrite it without look-around and back-references", "the regular expression is outside RE2: %v", err)
	}
	t.regexps = append(t.regexps, c)
	t.literals = append(t.literals, requiredLiteral(re))
	return nil
}

func (t *test) addCIDR(raw string, line int) *problem {
	pfx, err := netip.ParsePrefix(raw)
	if err != nil {
		addr, aerr := netip.ParseAddr(raw)
		if aerr != nil {
			return invalid(line, "write a network such as 192.0.2.0/24 or 2001:db8::/32", "%q is no network", clip(raw))
		}
		pfx = netip.PrefixFrom(addr, addr.BitLen())
	}
	t.nets = append(t.nets, pfx.Masked())
	return nil
}

func (t *test) addNumber(raw string, line int, m *modifiers) *problem {
	n, ok := parseNumber(raw)
	if !ok {
		return invalid(line, "write a number", "the modifier %q needs a number, not %q", m.named, clip(raw))
	}
	t.numbers = append(t.numbers, comparison{op: m.op, num: n})
	return nil
}

func (t *test) addClock(raw string, line int, m *modifiers) *problem {
	n, ok := parseNumber(raw)
	if !ok {
		return invalid(line, "write a number", "the modifier %q needs a number, not %q", m.named, clip(raw))
	}
	t.clocks = append(t.clocks, comparison{op: m.op, num: n, part: m.part})
	return nil
}

func (t *test) addExists(raw string, line int) *problem {
	switch strings.ToLower(raw) {
	case "true", "yes":
		t.exists = true
	case "false", "no":
		t.missing = true
	default:
		return invalid(line, "write true or false", "the modifier \"exists\" needs true or false, not %q", clip(raw))
	}
	return nil
}

func (t *test) addReference(raw string, m *modifiers) {
	ref := reference{field: raw, kind: matchEqual, cased: m.cased}
	for _, name := range m.transforms {
		switch name {
		case "startswith":
			ref.kind = matchPrefix
		case "endswith":
			ref.kind = matchSuffix
		default:
			ref.kind = matchContains
		}
	}
	t.refs = append(t.refs, ref)
}
