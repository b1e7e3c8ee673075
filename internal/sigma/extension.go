package sigma

import (
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	maxWeight      = 10
	maxCountWindow = 30 * 24 * time.Hour
)

const extensionKeys = "stance, weight, kind, group, refines, voids, expected, requires_org, trusted_fields, count, statement, tests"

// readExtension reads the block "aluskort". It is ours, so unknown keys are mistakes.
func (r *Rule) readExtension(rd *reader, n *yaml.Node) *problem {
	pairs, p := rd.pairs(n, "aluskort")
	if p != nil {
		return p
	}
	for _, kv := range pairs {
		if p := r.readExtensionKey(rd, kv); p != nil {
			return p
		}
	}
	return r.checkExtension(n.Line)
}

func (r *Rule) readExtensionKey(rd *reader, kv pair) *problem {
	var p *problem
	var s string
	switch kv.key {
	case "stance":
		s, p = rd.text(kv.val, kv.key)
		r.Stance = Stance(s)
	case "weight":
		r.Weight, p = readWeight(kv)
	case "kind":
		r.Kind, p = rd.text(kv.val, kv.key)
	case "group":
		r.Group, p = rd.text(kv.val, kv.key)
	case "refines":
		r.Refines, p = rd.texts(kv.val, kv.key)
	case "voids":
		r.Voids, p = rd.texts(kv.val, kv.key)
	case "expected":
		b, ok := scalarValue(kv.val).(bool)
		if !ok {
			return invalid(kv.line, "write true or false", "aluskort expected is neither true nor false")
		}
		r.Expected = b
	case "requires_org":
		r.RequiresOrg, p = rd.text(kv.val, kv.key)
	case "trusted_fields":
		r.TrustedFields, p = rd.texts(kv.val, kv.key)
	case "count":
		r.Count, p = readCount(rd, kv.val)
	case "statement":
		if r.Statement, p = rd.text(kv.val, kv.key); p == nil && !balanced(r.Statement) {
			p = invalid(kv.line, "write placeholders as {Field}", "aluskort statement has an open or empty brace")
		}
	case "tests":
		p = r.readTests(rd, kv.val)
	default:
		p = invalid(kv.line, "use one of: "+extensionKeys, "aluskort has the unknown key %q", clip(kv.key))
	}
	return p
}

func (r *Rule) checkExtension(line int) *problem {
	switch {
	case r.Stance != Malicious && r.Stance != Benign:
		return invalid(line, "write malicious or benign", "aluskort stance %q is unknown", clip(string(r.Stance)))
	case len(r.Refines) > 0 && r.Stance != Malicious:
		return invalid(line, "leave out refines, or write stance: malicious", "aluskort refines belongs to malicious rules: it names the kinds whose techniques this one says more exactly")
	case len(r.Voids) > 0 && r.Stance != Benign:
		return invalid(line, "leave out voids, or write stance: benign", "aluskort voids belongs to benign rules: it names the kinds that void this one")
	case r.Expected && r.Stance != Benign:
		return invalid(line, "leave out expected, or write stance: benign", "aluskort expected belongs to benign rules")
	default:
		return nil
	}
}

func readWeight(kv pair) (float64, *problem) {
	var w float64
	switch v := scalarValue(kv.val).(type) {
	case int64:
		w = float64(v)
	case float64:
		w = v
	default:
		w = -1
	}
	if !(w >= 0 && w <= maxWeight) {
		return 0, invalid(kv.line, "write bits from 0 to "+strconv.Itoa(maxWeight)+"; the stance gives the sign", "aluskort weight %q is out of range", clip(kv.val.Value))
	}
	return w, nil
}

func readCount(rd *reader, n *yaml.Node) (*Count, *problem) {
	pairs, p := rd.pairs(n, "aluskort count")
	if p != nil {
		return nil, p
	}
	c := &Count{}
	for _, kv := range pairs {
		var s string
		switch kv.key {
		case "key":
			c.Key, p = rd.texts(kv.val, "count key")
		case "distinct":
			c.Distinct, p = rd.text(kv.val, "count distinct")
		case "window":
			if s, p = rd.text(kv.val, "count window"); p == nil {
				c.Window, p = readWindow(s, kv.line)
			}
		case "at_least":
			v, ok := scalarValue(kv.val).(int64)
			if !ok || v < 2 || v > 1_000_000 {
				return nil, invalid(kv.line, "write a whole number from 2 on", "count at_least %q is no usable number", clip(kv.val.Value))
			}
			c.AtLeast = int(v)
		default:
			p = invalid(kv.line, "use one of: key, window, at_least, distinct", "count has the unknown key %q", clip(kv.key))
		}
		if p != nil {
			return nil, p
		}
	}
	if c.Window == 0 || c.AtLeast == 0 {
		return nil, invalid(n.Line, "add window and at_least", "count lacks window or at_least")
	}
	return c, nil
}

// readWindow reads Go durations and the days of Sigma ("1d").
func readWindow(s string, line int) (time.Duration, *problem) {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); err != nil && ok {
		var n int
		if n, err = strconv.Atoi(days); err == nil {
			d = time.Duration(min(max(n, 0), 1000)) * 24 * time.Hour
		}
	}
	if err != nil || d <= 0 || d > maxCountWindow {
		return 0, invalid(line, "write a duration such as 10m, 1h or 1d, at most 30d", "count window %q is no usable duration", clip(s))
	}
	return d, nil
}

func (r *Rule) readTests(rd *reader, n *yaml.Node) *problem {
	pairs, p := rd.pairs(n, "aluskort tests")
	if p != nil {
		return p
	}
	for _, kv := range pairs {
		var dst *[]Example
		switch kv.key {
		case "match":
			dst = &r.Tests.Match
		case "no_match":
			dst = &r.Tests.NoMatch
		default:
			return invalid(kv.line, "use match and no_match", "tests has the unknown key %q", clip(kv.key))
		}
		if kv.val.Kind != yaml.SequenceNode {
			return invalid(kv.line, "write a list of events", "tests %s is %s, not a list", kv.key, kindName(kv.val))
		}
		items, p := rd.items(kv.val)
		if p != nil {
			return p
		}
		for _, it := range items {
			ex, p := readExample(rd, it)
			if p != nil {
				return p
			}
			*dst = append(*dst, ex)
		}
	}
	return nil
}

func readExample(rd *reader, n *yaml.Node) (Example, *problem) {
	ex := Example{Line: n.Line}
	pairs, p := rd.pairs(n, "a test")
	if p != nil {
		return ex, p
	}
	found := false
	for _, kv := range pairs {
		switch kv.key {
		case "event":
			found = true
			ex.Event, p = readEvent(rd, kv.val)
		case "logsource":
			ex.Logsource, p = readLogsource(rd, kv.val)
		case "why":
			_, p = rd.text(kv.val, "why")
		default:
			p = invalid(kv.line, "use event, logsource and why", "a test has the unknown key %q", clip(kv.key))
		}
		if p != nil {
			return ex, p
		}
	}
	if !found {
		return ex, invalid(n.Line, "add event with fields and values", "a test has no event")
	}
	return ex, nil
}

func readEvent(rd *reader, n *yaml.Node) ([]ExampleField, *problem) {
	pairs, p := rd.pairs(n, "a test event")
	if p != nil {
		return nil, p
	}
	var out []ExampleField
	for _, kv := range pairs {
		values := []*yaml.Node{kv.val}
		if kv.val.Kind == yaml.SequenceNode {
			if values, p = rd.items(kv.val); p != nil {
				return nil, p
			}
		}
		for _, v := range values {
			if v.Kind != yaml.ScalarNode {
				return nil, invalid(kv.line, "write nested fields with dots", "a test event has %s as the value of %q", kindName(v), clip(kv.key))
			}
			f := ExampleField{Name: kv.key, Null: isNull(v)}
			if !f.Null {
				f.Value = v.Value
			}
			out = append(out, f)
		}
	}
	return out, nil
}

// placeholder cuts the text before and after the first {Field}; name is empty when there is none.
func placeholder(s string) (before, name, after string) {
	i := strings.IndexByte(s, '{')
	if i < 0 {
		return s, "", ""
	}
	j := strings.IndexByte(s[i:], '}')
	if j <= 1 {
		return s, "", ""
	}
	return s[:i], s[i+1 : i+j], s[i+j+1:]
}

func balanced(s string) bool {
	for {
		before, name, after := placeholder(s)
		if strings.ContainsAny(before, "{}") {
			return false
		}
		if name == "" {
			return true
		}
		if strings.ContainsAny(name, "{") {
			return false
		}
		s = after
	}
}
