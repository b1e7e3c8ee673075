package simulated

import (
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/llm"
)

// Analyst answers from the evidence in the prompt: it adds up the weights that it finds, or the
// words where there are none, and cites what it rests on. It is no judge of alerts, but its
// answers have the shape, the size and the discipline of a good model's.
type Analyst struct {
	// Meanings says what properties are about whose names do not.
	Meanings map[string]Meaning
}

// Answer implements Model.
func (a Analyst) Answer(r *llm.Request) *llm.Response {
	if call := firstCall(r); call != nil {
		return &llm.Response{Calls: []llm.ToolCall{*call}}
	}
	return a.think(r).respond(r)
}

// firstCall uses the first tool once, before any results are there.
func firstCall(r *llm.Request) *llm.ToolCall {
	if len(r.Tools) == 0 || len(r.Messages) > 1 {
		return nil
	}
	subject := "unknown"
	if ids := offered(r, objects(r), 1); len(ids) > 0 {
		subject = ids[0]
	}
	m := mind{says: subject, actions: []action{{name: subject, target: subject}}, citations: []string{subject}}
	return &llm.ToolCall{Name: r.Tools[0].Name, Input: m.fill(r.Tools[0].Input)}
}

// item is a piece of evidence as a prompt shows it.
type item struct {
	id     string
	weight float64 // bits, above zero for malicious
}

func (a Analyst) think(r *llm.Request) *mind {
	if text, ok := toJudge(r); ok {
		return judge(text)
	}
	all := strings.Join(texts(r), "\n")
	sum := 0.0
	found := objects(r)
	items := evidence(found)
	for _, i := range items {
		sum += i.weight
	}
	if sum == 0 {
		f := folded(all)
		sum = 0.7 * float64(occurrences(f, lexicon().malice)-occurrences(f, lexicon().innocence))
	}
	m := &mind{hooks: a.Meanings, confidence: 1 - math.Exp2(-1-math.Min(math.Abs(sum), 10)), techniques: mentioned(all)}
	switch {
	case sum >= 3:
		m.verdict, m.severity, m.other = "malicious", "high", "An administrator's tool could look the same."
	case sum > 0.5:
		m.verdict, m.severity, m.other = "suspicious", "medium", "Ordinary work is possible."
	case sum <= -2:
		m.verdict, m.severity, m.closing, m.other = "benign", "low", true, "An attacker could hide behind ordinary work."
	default:
		m.verdict, m.severity, m.other = "unknown", "medium", "Both readings remain open."
	}
	m.citations = chosen(items, offered(r, found, maxOffered), sum)
	m.unknowns = []string{"Whether the owner of the account expected this."}
	m.says = "The evidence points to " + m.verdict + " activity."
	return m
}

func occurrences(f string, words []string) int {
	n := 0
	for _, w := range words {
		n += min(3, strings.Count(f, w))
	}
	return n
}

// chosen returns up to five ids: of the items that point the way of the sum, else any offered.
func chosen(items []item, ids []string, sum float64) []string {
	var out []string
	for _, i := range items {
		if i.weight*sum > 0 && (len(ids) == 0 || slices.Contains(ids, i.id)) {
			out = append(out, i.id)
		}
	}
	if len(out) == 0 {
		out = ids
	}
	return out[:min(5, len(out))]
}

// mentioned returns the techniques in a text, up to five.
func mentioned(text string) []string {
	var o orders
	var out []string
	for w := range strings.FieldsFuncSeq(text, func(c rune) bool { return c != '.' && !isWord(c) }) {
		w = strings.Trim(w, ".")
		if w != "" && w[0] == 'T' && o.technique(w) && !slices.Contains(out, w) && len(out) < 5 {
			out = append(out, w)
		}
	}
	return out
}

func isWord(c rune) bool {
	return c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// evidence are the objects that have an id and a weight.
func evidence(list []object) []item {
	var out []item
	for i := range list {
		if w, ok := list[i].bits(); ok && list[i].id != "" {
			out = append(out, item{list[i].id, w})
		}
	}
	return out
}

// maxOffered bounds the ids of which an answer chooses.
const maxOffered = 500

// offered returns the first n ids that the prompt offers for citations, in their order: of objects
// of JSON, in brackets, and behind "id".
func offered(r *llm.Request, objects []object, n int) []string {
	var out []string
	add := func(s string) bool {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
		return len(out) < n
	}
	for i := range objects {
		if !add(objects[i].id) {
			return out
		}
	}
	for _, t := range texts(r) {
		for name := range named(t) {
			if idShaped(name) && !add(name) {
				return out
			}
		}
	}
	return out
}

// named yields what stands in brackets, and then behind marks of ids.
func named(t string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for part := range behind(t, "[") {
			if name, _, ok := strings.Cut(part, "]"); ok && !yield(name) {
				return
			}
		}
		for _, mark := range []string{"id=", "id: ", "ID "} {
			for name := range behind(t, mark) {
				if end := strings.IndexFunc(name, func(c rune) bool { return !isWord(c) && c != ':' && c != '.' }); end >= 0 {
					name = name[:end]
				}
				if !yield(strings.Trim(name, ".:")) {
					return
				}
			}
		}
	}
}

// behind yields what stands behind each mark, up to the next one.
func behind(t, mark string) iter.Seq[string] {
	return func(yield func(string) bool) {
		_, t, found := strings.Cut(t, mark)
		for found {
			var part string
			part, t, found = strings.Cut(t, mark)
			if !yield(part) {
				return
			}
		}
	}
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// idShaped reports whether s looks like an identifier: short, of word characters, with a digit.
func idShaped(s string) bool {
	if len(s) < 2 || len(s) > 64 || !strings.ContainsAny(s, "0123456789") {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool { return !isWord(c) && c != ':' && c != '.' })
}
