package simulated

import (
	"encoding/json"
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
	if ids := offered(r); len(ids) > 0 {
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
	f := folded(all)
	sum := 0.0
	items := evidence(r)
	for _, i := range items {
		sum += i.weight
	}
	if sum == 0 {
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
	m.citations = chosen(items, offered(r), sum)
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
	for _, w := range strings.FieldsFunc(text, func(c rune) bool { return c != '.' && !isWord(c) }) {
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

// evidence finds objects of JSON in the messages that have an id and a weight.
func evidence(r *llm.Request) []item {
	var out []item
	walkObjects(r, func(o map[string]any) {
		id := idOf(o)
		if id == "" {
			return
		}
		for _, name := range []string{"weight", "bits", "score"} {
			if w, ok := o[name].(float64); ok {
				out = append(out, item{id, w * direction(o)})
				return
			}
		}
	})
	return out
}

func idOf(o map[string]any) string {
	for _, name := range []string{"id", "evidence_id", "ref", "cite"} {
		if s, ok := o[name].(string); ok && s != "" && len(s) <= 200 {
			return s
		}
	}
	return ""
}

// direction is -1 for evidence that states to be for harmlessness by a name and not by a sign.
func direction(o map[string]any) float64 {
	for _, name := range []string{"stance", "kind", "direction", "for", "supports"} {
		if s, ok := o[name].(string); ok && strings.Contains(strings.ToLower(s), "benign") {
			for _, w := range []string{"weight", "bits", "score"} {
				if v, ok := o[w].(float64); ok && v > 0 {
					return -1
				}
			}
		}
	}
	return 1
}

// maxBroken is how many beginnings of JSON that does not end are tried: each may cost the whole
// length of the text.
const maxBroken = 500

// walkObjects visits every object of JSON in the messages, nested ones too.
func walkObjects(r *llm.Request, visit func(map[string]any)) {
	for _, t := range texts(r) {
		failures := 0
		for at := strings.IndexByte(t, '{'); at >= 0 && failures < maxBroken; {
			d := json.NewDecoder(strings.NewReader(t[at:]))
			var v any
			step := 1
			if d.Decode(&v) == nil {
				walkValue(v, visit)
				step = int(d.InputOffset())
			} else {
				failures++
			}
			next := strings.IndexByte(t[at+step:], '{')
			if next < 0 {
				break
			}
			at += step + next
		}
	}
}

func walkValue(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(v)
		for _, k := range sortedKeys(v) {
			walkValue(v[k], visit)
		}
	case []any:
		for _, x := range v {
			walkValue(x, visit)
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

// offered returns the ids that the prompt offers for citations, in their order: of objects of
// JSON, in brackets, and behind "id".
func offered(r *llm.Request) []string {
	var out []string
	add := func(s string) {
		if s != "" && !slices.Contains(out, s) && len(out) < 500 {
			out = append(out, s)
		}
	}
	walkObjects(r, func(o map[string]any) { add(idOf(o)) })
	for _, t := range texts(r) {
		for i, part := range strings.Split(t, "[") {
			if name, _, ok := strings.Cut(part, "]"); i > 0 && ok && idShaped(name) {
				add(name)
			}
		}
		for _, mark := range []string{"id=", "id: ", "ID "} {
			for i, part := range strings.Split(t, mark) {
				name := part
				if end := strings.IndexFunc(part, func(c rune) bool { return !isWord(c) && c != ':' && c != '.' }); end >= 0 {
					name = part[:end]
				}
				if name = strings.Trim(name, ".:"); i > 0 && idShaped(name) {
					add(name)
				}
			}
		}
	}
	return out
}

// idShaped reports whether s looks like an identifier: short, of word characters, with a digit.
func idShaped(s string) bool {
	if len(s) < 2 || len(s) > 64 || !strings.ContainsAny(s, "0123456789") {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool { return !isWord(c) && c != ':' && c != '.' })
}
