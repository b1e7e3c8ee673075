package sigma

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Limits on one document. They bound aliases that multiply and structures that never end.
const (
	maxFileBytes = 4 << 20
	maxNodes     = 200_000
	maxDepth     = 64
)

// reader walks the nodes of one document and counts them, aliases included.
type reader struct{ left int }

func newReader() *reader { return &reader{left: maxNodes} }

// pair is one entry of a mapping, aliases resolved.
type pair struct {
	key  string
	line int
	val  *yaml.Node
}

// node resolves an alias and takes one node off the budget.
func (rd *reader) node(n *yaml.Node) (*yaml.Node, *problem) {
	line := n.Line
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if rd.left--; rd.left < 0 {
		return nil, invalid(line, "split the rule and write repeated parts out instead of using aliases",
			"the document has more than %d values, aliases counted each time", maxNodes)
	}
	return n, nil
}

// pairs reads a mapping with scalar keys, each of which may stand once.
func (rd *reader) pairs(n *yaml.Node, what string) ([]pair, *problem) {
	n, p := rd.node(n)
	if p != nil {
		return nil, p
	}
	if n.Kind != yaml.MappingNode {
		return nil, invalid(n.Line, "write it as \"key: value\" lines", "%s is %s, not a map", what, kindName(n))
	}
	out := make([]pair, 0, len(n.Content)/2)
	seen := make(map[string]struct{}, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, p := rd.node(n.Content[i])
		if p != nil {
			return nil, p
		}
		if k.Kind != yaml.ScalarNode {
			return nil, invalid(k.Line, "use a plain name as key", "%s has a key that is %s", what, kindName(k))
		}
		if k.Tag == "!!merge" {
			return nil, unsupported(k.Line, "write the merged keys out", "%s uses a YAML merge key", what)
		}
		if _, dup := seen[k.Value]; dup {
			return nil, invalid(k.Line, "keep one of them, or use a list of values", "%s has the key %q twice", what, k.Value)
		}
		seen[k.Value] = struct{}{}
		v, p := rd.node(n.Content[i+1])
		if p != nil {
			return nil, p
		}
		out = append(out, pair{key: k.Value, line: k.Line, val: v})
	}
	return out, nil
}

// items reads a sequence.
func (rd *reader) items(n *yaml.Node) ([]*yaml.Node, *problem) {
	out := make([]*yaml.Node, 0, len(n.Content))
	for _, c := range n.Content {
		v, p := rd.node(c)
		if p != nil {
			return nil, p
		}
		out = append(out, v)
	}
	return out, nil
}

// text reads a scalar.
func (rd *reader) text(n *yaml.Node, what string) (string, *problem) {
	if n.Kind != yaml.ScalarNode {
		return "", invalid(n.Line, "write one value", "%s is %s, not a single value", what, kindName(n))
	}
	if isNull(n) {
		return "", nil
	}
	return n.Value, nil
}

// texts reads a list of scalars; a single scalar is a list of one.
func (rd *reader) texts(n *yaml.Node, what string) ([]string, *problem) {
	switch {
	case isNull(n):
		return nil, nil
	case n.Kind == yaml.ScalarNode:
		return []string{n.Value}, nil
	case n.Kind != yaml.SequenceNode:
		return nil, invalid(n.Line, "write a list", "%s is %s, not a list", what, kindName(n))
	}
	items, p := rd.items(n)
	if p != nil {
		return nil, p
	}
	out := make([]string, 0, len(items))
	for _, it := range items {
		s, p := rd.text(it, "an item of "+what)
		if p != nil {
			return nil, p
		}
		out = append(out, s)
	}
	return out, nil
}

// value turns any node into plain Go values, for keys that are only kept.
func (rd *reader) value(n *yaml.Node, depth int) (any, *problem) {
	if depth > maxDepth {
		return nil, invalid(n.Line, "flatten it", "values are nested deeper than %d levels", maxDepth)
	}
	switch n.Kind {
	case yaml.MappingNode:
		pairs, p := rd.pairs(n, "a map")
		if p != nil {
			return nil, p
		}
		m := make(map[string]any, len(pairs))
		for _, kv := range pairs {
			v, p := rd.value(kv.val, depth+1)
			if p != nil {
				return nil, p
			}
			m[kv.key] = v
		}
		return m, nil
	case yaml.SequenceNode:
		items, p := rd.items(n)
		if p != nil {
			return nil, p
		}
		list := make([]any, 0, len(items))
		for _, it := range items {
			v, p := rd.value(it, depth+1)
			if p != nil {
				return nil, p
			}
			list = append(list, v)
		}
		return list, nil
	default:
		return scalarValue(n), nil
	}
}

func scalarValue(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		if b, err := strconv.ParseBool(n.Value); err == nil {
			return b
		}
	case "!!int":
		if i, err := strconv.ParseInt(n.Value, 0, 64); err == nil {
			return i
		}
	case "!!float":
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil {
			return f
		}
	}
	return n.Value
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		if isNull(n) {
			return "empty"
		}
		return "a single value"
	default:
		return "not a value"
	}
}
