package sigma

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// detectionSource is what a detection is built from. It is kept for rules with placeholders.
type detectionSource struct{ node *yaml.Node }

// detection is a detection section while it is built.
type detection struct {
	rd           *reader
	placeholders map[string][]string
	names        []string
	selections   map[string]*expr
	// sizes counts the values of each selection, refs those that the conditions stand for.
	sizes map[string]int
	refs  int
	// expands says that a value holds placeholders.
	expands bool
}

// buildDetection turns the section into one expression. Placeholders without a table are an
// error unless lenient, which is for loading, before the table is known.
func buildDetection(n *yaml.Node, placeholders map[string][]string, lenient bool) (*expr, bool, *problem) {
	d := &detection{rd: newReader(), placeholders: placeholders,
		selections: make(map[string]*expr), sizes: make(map[string]int)}
	if lenient {
		d.placeholders = nil
	} else if d.placeholders == nil {
		d.placeholders = map[string][]string{}
	}
	pairs, p := d.rd.pairs(n, "detection")
	if p != nil {
		return nil, false, p
	}
	var condition *pair
	for i := range pairs {
		kv := &pairs[i]
		switch kv.key {
		case "condition":
			condition = kv
		case "timeframe":
			return nil, false, unsupported(kv.line, "write it as a correlation, or as \"count\" in the aluskort block",
				"detection has a timeframe, which belongs to aggregation")
		default:
			e, p := d.selection(kv)
			if p != nil {
				return nil, false, p
			}
			d.names = append(d.names, kv.key)
			d.selections[kv.key] = e
			d.sizes[kv.key] = e.size()
		}
	}
	if condition == nil {
		return nil, false, invalid(n.Line, "add \"condition: selection\"", "detection has no condition")
	}
	e, p := d.conditions(condition)
	return e, d.expands, p
}

// conditions reads one condition or a list of them, of which one must hold.
func (d *detection) conditions(kv *pair) (*expr, *problem) {
	texts, p := d.rd.texts(kv.val, "condition")
	if p != nil {
		return nil, p
	}
	if len(texts) == 0 {
		return nil, invalid(kv.line, "name a selection", "the condition is empty")
	}
	kids := make([]*expr, 0, len(texts))
	for _, t := range texts {
		e, p := d.condition(t, kv.line)
		if p != nil {
			return nil, p
		}
		kids = append(kids, e)
	}
	return anyOf(kids), nil
}

// selection reads a map, a list of maps, a list of keywords, or one keyword.
func (d *detection) selection(kv *pair) (*expr, *problem) {
	what := "selection " + clip(kv.key)
	switch kv.val.Kind {
	case yaml.MappingNode:
		return d.fields(kv.val, what)
	case yaml.SequenceNode:
		return d.alternatives(kv.val, what)
	default:
		if isNull(kv.val) {
			return nil, invalid(kv.line, "give it fields or keywords", "%s is empty", what)
		}
		return d.keywords([]*yaml.Node{kv.val}, what)
	}
}

func (d *detection) alternatives(n *yaml.Node, what string) (*expr, *problem) {
	items, p := d.rd.items(n)
	if p != nil {
		return nil, p
	}
	var kids []*expr
	var words []*yaml.Node
	for _, it := range items {
		switch it.Kind {
		case yaml.MappingNode:
			e, p := d.fields(it, what)
			if p != nil {
				return nil, p
			}
			kids = append(kids, e)
		case yaml.ScalarNode:
			words = append(words, it)
		default:
			return nil, invalid(it.Line, "write maps or keywords as items", "%s has a list inside a list", what)
		}
	}
	if len(words) > 0 {
		e, p := d.keywords(words, what)
		if p != nil {
			return nil, p
		}
		kids = append(kids, e)
	}
	if len(kids) == 0 {
		return nil, invalid(n.Line, "give it fields or keywords", "%s is an empty list", what)
	}
	return anyOf(kids), nil
}

func (d *detection) keywords(words []*yaml.Node, what string) (*expr, *problem) {
	return d.entry("", words, words[0].Line, what)
}

func (d *detection) fields(n *yaml.Node, what string) (*expr, *problem) {
	pairs, p := d.rd.pairs(n, what)
	if p != nil {
		return nil, p
	}
	if len(pairs) == 0 {
		return nil, invalid(n.Line, "give it fields or keywords", "%s is an empty map", what)
	}
	kids := make([]*expr, 0, len(pairs))
	for _, kv := range pairs {
		values := []*yaml.Node{kv.val}
		switch kv.val.Kind {
		case yaml.SequenceNode:
			if values, p = d.rd.items(kv.val); p != nil {
				return nil, p
			}
			if len(values) == 0 {
				return nil, invalid(kv.line, "give the field a value", "%s has an empty list for %q", what, clip(kv.key))
			}
		case yaml.MappingNode:
			return nil, invalid(kv.line, "write nested fields with dots: outer.inner", "%s has a map as the value of %q", what, clip(kv.key))
		}
		e, p := d.entry(kv.key, values, kv.line, what)
		if p != nil {
			return nil, p
		}
		kids = append(kids, e)
	}
	return all(kids), nil
}

// entry compiles one "field|modifier: values" line.
func (d *detection) entry(key string, values []*yaml.Node, line int, what string) (*expr, *problem) {
	field, mods, piped := strings.Cut(key, "|")
	m, p := parseModifiers(mods, piped, line)
	if p != nil {
		return nil, p
	}
	for _, v := range values {
		if v.Kind != yaml.ScalarNode {
			return nil, invalid(v.Line, "write single values", "%s has %s as a value of %q", what, kindName(v), clip(key))
		}
	}
	if field == "" {
		if p := m.forKeywords(line); p != nil {
			return nil, p
		}
	}
	if m.expand {
		d.expands = true
	}
	if !m.all {
		t := &test{field: field, keyword: field == "", not: m.neq}
		for _, v := range values {
			if p := d.add(t, v, m); p != nil {
				return nil, p
			}
		}
		return &expr{test: t}, nil
	}
	kids := make([]*expr, 0, len(values))
	for _, v := range values {
		t := &test{field: field, keyword: field == "", not: m.neq}
		if p := d.add(t, v, m); p != nil {
			return nil, p
		}
		kids = append(kids, &expr{test: t})
	}
	return all(kids), nil
}
