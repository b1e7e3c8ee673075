package asset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is one thing that is wrong, or suspicious, in a file: where, what, and how to mend it.
type Problem struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

// LoadError says why a file cannot be used. It names every problem that was found.
type LoadError struct {
	File     string
	Problems []Problem
}

// Error implements error: one line per problem, the first few of them.
func (e *LoadError) Error() string {
	const shown = 10
	var b strings.Builder
	for i, p := range e.Problems {
		if i == shown {
			fmt.Fprintf(&b, "\n%s: and %d more", e.File, len(e.Problems)-shown)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s:%d: %s", e.File, p.Line, p.Text)
	}
	return b.String()
}

// maxProblems bounds what a hopeless file costs.
const maxProblems = 200

// reader walks a YAML document and notes every problem with its line. It reads the document's
// own text of every value, so that 003 stays 003 and 22:00 stays 22:00.
type reader struct {
	problems []Problem
	warnings []Problem
}

func (r *reader) fail(line int, format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, Problem{line, fmt.Sprintf(format, args...)})
	}
}

func (r *reader) warn(line int, format string, args ...any) {
	if len(r.warnings) < maxProblems {
		r.warnings = append(r.warnings, Problem{line, fmt.Sprintf(format, args...)})
	}
}

// sorted returns problems by line.
func sorted(list []Problem) []Problem {
	slices.SortStableFunc(list, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return list
}

// entry is a value with its line.
type entry struct {
	text string
	line int
}

// key is one key of a mapping and what reads its value.
type key struct {
	name string
	read func(*yaml.Node)
}

func (r *reader) mapping(n *yaml.Node, what string, keys ...key) {
	if n.Kind != yaml.MappingNode {
		r.fail(n.Line, "%s: %s, want keys and values (%s)", what, kindOf(n), keyNames(keys))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i]
		if line, twice := seen[name.Value]; twice {
			r.fail(name.Line, "%s: %q stands here again, first on line %d; keep one", what, clip(name.Value), line)
			continue
		}
		seen[name.Value] = name.Line
		at := slices.IndexFunc(keys, func(k key) bool { return k.name == name.Value })
		if name.Kind != yaml.ScalarNode || at < 0 {
			r.fail(name.Line, "%s: unknown key %q; known are %s", what, clip(name.Value), keyNames(keys))
			continue
		}
		if !isNull(n.Content[i+1]) {
			keys[at].read(n.Content[i+1])
		}
	}
}

func (r *reader) list(n *yaml.Node, what string, each func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		r.fail(n.Line, "%s: %s, want a list", what, kindOf(n))
		return
	}
	for _, item := range n.Content {
		each(item)
	}
}

// texts reads a list of words; a single word is a list of one.
func (r *reader) texts(what string, into *[]entry) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			r.text(what, func(e entry) { *into = append(*into, e) })(n)
			return
		}
		r.list(n, what, r.text(what, func(e entry) { *into = append(*into, e) }))
	}
}

const maxText = 1024

func (r *reader) text(what string, set func(entry)) func(*yaml.Node) {
	return func(n *yaml.Node) {
		text := strings.TrimSpace(n.Value)
		switch {
		case n.Kind != yaml.ScalarNode:
			r.fail(n.Line, "%s: %s, want a word", what, kindOf(n))
		case text == "" || isNull(n):
			r.fail(n.Line, "%s: is empty; write a value or remove the line", what)
		case len(text) > maxText:
			r.fail(n.Line, "%s: is longer than %d characters", what, maxText)
		default:
			set(entry{text, n.Line})
		}
	}
}

func (r *reader) one(what string, into *entry) func(*yaml.Node) {
	return r.text(what, func(e entry) { *into = e })
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "this is a mapping"
	case yaml.SequenceNode:
		return "this is a list"
	case yaml.AliasNode:
		return "anchors and aliases are not supported, write the value out"
	default:
		return fmt.Sprintf("this is the word %q", clip(n.Value))
	}
}

func keyNames(keys []key) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return strings.Join(names, ", ")
}

func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}
