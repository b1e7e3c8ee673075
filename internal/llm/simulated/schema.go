package simulated

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
)

// schema is the part of JSON Schema that strict modes know.
type schema struct {
	Type       any                `json:"type"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Items      *schema            `json:"items"`
	Enum       []any              `json:"enum"`
	Const      any                `json:"const"`
	AnyOf      []*schema          `json:"anyOf"`
	OneOf      []*schema          `json:"oneOf"`
	AllOf      []*schema          `json:"allOf"`
	Ref        string             `json:"$ref"`
	Defs       map[string]*schema `json:"$defs"`
	Additional json.RawMessage    `json:"additionalProperties"`
	Minimum    *float64           `json:"minimum"`
	Maximum    *float64           `json:"maximum"`
	MinItems   int                `json:"minItems"`
}

// strict reports the first place that strict modes refuse.
func (s *schema) strict(at string) error {
	if s == nil {
		return nil
	}
	if s.is("object") || s.Properties != nil {
		if string(s.Additional) != "false" {
			return fmt.Errorf("%s: additionalProperties must be false", at)
		}
		for name := range s.Properties {
			if !slices.Contains(s.Required, name) {
				return fmt.Errorf("%s: property %s must be required", at, name)
			}
		}
	}
	for name, p := range s.Properties {
		if err := p.strict(at + "." + name); err != nil {
			return err
		}
	}
	for name, p := range s.Defs {
		if err := p.strict("$defs." + name); err != nil {
			return err
		}
	}
	for _, p := range slices.Concat(s.AnyOf, s.OneOf, s.AllOf) {
		if err := p.strict(at); err != nil {
			return err
		}
	}
	return s.Items.strict(at + "[]")
}

func (s *schema) is(name string) bool {
	switch t := s.Type.(type) {
	case string:
		return t == name
	case []any:
		return slices.Contains(t, any(name))
	}
	return false
}

// Meaning is what a property of an answer is about, whatever the schema calls it.
type Meaning int

// The meanings.
const (
	Text Meaning = iota
	Classification
	Confidence
	Citations
	Actions
	Techniques
	Unknowns
	Alternative
	Severity
	Closing // a yes or no about closing, suppressing or harmlessness
	Raising // a yes or no about escalating or malice
	Target  // what an action is about
	Weight  // bits for or against malice
)

// meanings are words in names of properties, the more particular first.
var meanings = []struct {
	word string
	is   Meaning
}{
	{"bits", Weight}, {"weight", Weight}, {"log_odds", Weight},
	{"alternative", Alternative}, {"counter", Alternative},
	{"unknown", Unknowns}, {"missing", Unknowns}, {"gap", Unknowns}, {"question", Unknowns}, {"not_known", Unknowns},
	{"confidence", Confidence}, {"probab", Confidence}, {"likelihood", Confidence}, {"certain", Confidence}, {"score", Confidence},
	{"techniq", Techniques}, {"mitre", Techniques}, {"ttp", Techniques},
	{"escalat", Raising}, {"is_attack", Raising}, {"needs_human", Raising}, {"is_malicious", Raising},
	{"auto_close", Closing}, {"close", Closing}, {"suppress", Closing}, {"is_benign", Closing}, {"false_positive", Closing}, {"dismiss", Closing},
	{"severity", Severity}, {"priority", Severity}, {"urgency", Severity},
	{"citation", Citations}, {"cite", Citations}, {"evidence", Citations}, {"ref", Citations}, {"support", Citations}, {"basis", Citations},
	{"target", Target}, {"parameter", Target}, {"param", Target}, {"entity", Target}, {"host", Target}, {"user", Target}, {"account", Target}, {"address", Target}, {"indicator", Target},
	{"action", Actions}, {"playbook", Actions}, {"remediation", Actions}, {"containment", Actions}, {"response_step", Actions},
	{"classification", Classification}, {"verdict", Classification}, {"disposition", Classification}, {"label", Classification}, {"conclusion", Classification}, {"category", Classification}, {"decision", Classification},
}

func meaningOf(name string, hooks map[string]Meaning) Meaning {
	if m, ok := hooks[name]; ok {
		return m
	}
	name = strings.ToLower(name)
	for _, m := range meanings {
		if strings.Contains(name, m.word) {
			return m.is
		}
	}
	return Text
}

// action is an effect on something.
type action struct{ name, target string }

// mind is what a model wants to say, before it is put into the shape of a schema.
type mind struct {
	verdict    string // benign, malicious, suspicious, unknown
	literal    string // the verdict in the words of whoever asked for it
	confidence float64
	citations  []string
	techniques []string
	actions    []action
	severity   string
	closing    bool
	unknowns   []string
	other      string
	says       string         // free text
	forced     map[string]any // values for properties of this name
	loose      bool           // values as they are, even where an enumeration forbids them
	hooks      map[string]Meaning
}

// maxDepth ends schemas that contain themselves.
const maxDepth = 12

// fill makes an answer that meets the schema.
func (m *mind) fill(raw json.RawMessage) json.RawMessage {
	var root schema
	if jsonv2.Unmarshal(raw, &root, lenient) != nil {
		return json.RawMessage("{}")
	}
	f := filler{mind: m, root: &root}
	b, err := json.Marshal(f.value(&root, "", Text, 0, 0))
	if err != nil {
		return json.RawMessage("{}")
	}
	return b
}

type filler struct {
	*mind
	root *schema
}

// resolve follows references and chooses among alternatives: null only when all are.
func (f *filler) resolve(s *schema) *schema {
	for range maxDepth {
		switch {
		case s == nil:
			return &schema{}
		case s.Ref != "":
			s = f.root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
		case len(s.AllOf) > 0:
			s = s.AllOf[0]
		case len(s.AnyOf)+len(s.OneOf) > 0:
			alternatives := slices.Concat(s.AnyOf, s.OneOf)
			s = alternatives[0]
			for _, a := range alternatives {
				if !a.is("null") {
					s = a
					break
				}
			}
		default:
			return s
		}
	}
	return &schema{}
}

// value fills one place. The n-th item of a list gets the n-th thing to say.
func (f *filler) value(s *schema, name string, about Meaning, n, depth int) any {
	s = f.resolve(s)
	if m := meaningOf(name, f.hooks); name != "" && m != Text {
		about = narrower(about, m)
	}
	if v, ok := f.forced[name]; ok && f.fits(s, v) {
		return v
	}
	switch {
	case depth > maxDepth:
		return nil
	case s.Const != nil:
		return s.Const
	case len(s.Enum) > 0:
		return f.choose(s.Enum, about, n)
	case s.is("object") || s.Properties != nil:
		return f.object(s, about, n, depth)
	case s.is("array"):
		return f.list(s, about, depth)
	case s.is("string"):
		return f.text(about, name, n)
	case s.is("boolean"):
		return f.flag(about)
	case s.is("integer"):
		return math.Round(f.number(s, about, 100))
	case s.is("number"):
		return f.number(s, about, 1)
	}
	return nil
}

// narrower keeps what an enclosing property is about where an inner one says less: the name of
// an action, the id of a citation.
func narrower(outer, inner Meaning) Meaning {
	if outer == Actions && inner != Target || outer == Citations && inner == Target {
		return outer
	}
	return inner
}

func (f *filler) fits(s *schema, v any) bool {
	if len(s.Enum) > 0 && !f.loose {
		return slices.Contains(s.Enum, v)
	}
	switch v.(type) {
	case string:
		return s.is("string")
	case float64:
		return s.is("number") || s.is("integer")
	case bool:
		return s.is("boolean")
	}
	return false
}

func (f *filler) object(s *schema, about Meaning, n, depth int) any {
	out := map[string]any{}
	for name, p := range s.Properties {
		out[name] = f.value(p, name, about, n, depth+1)
	}
	return out
}

// list makes one item for each thing to say about the property.
func (f *filler) list(s *schema, about Meaning, depth int) any {
	var count int
	switch about {
	case Citations:
		count = len(f.citations)
	case Techniques:
		count = len(f.techniques)
	case Actions:
		count = len(f.actions)
	case Unknowns:
		count = len(f.unknowns)
	case Alternative:
		count = min(1, len(f.other))
	case Target:
		count = min(1, len(f.actions))
	default:
		count = min(1, len(f.says))
	}
	out := []any{}
	for i := range max(count, s.MinItems) {
		v := f.value(s.Items, "", about, i, depth+1)
		if item := f.resolve(s.Items); len(item.Enum) > 0 && slices.Contains(out, v) {
			continue // a choice that stands in the list already
		}
		out = append(out, v)
	}
	return out
}

func at(list []string, n int) string {
	if len(list) == 0 {
		return ""
	}
	return list[min(n, len(list)-1)]
}

func (f *filler) text(about Meaning, name string, n int) string {
	switch about {
	case Classification:
		if f.literal != "" {
			return f.literal
		}
		return f.verdict
	case Citations:
		return at(f.citations, n)
	case Techniques:
		return at(f.techniques, n)
	case Severity:
		return f.severity
	case Unknowns:
		return at(f.unknowns, n)
	case Alternative:
		return f.other
	case Actions, Target:
		if len(f.actions) == 0 {
			return ""
		}
		a := f.actions[min(n, len(f.actions)-1)]
		if about == Target {
			return a.target
		}
		if strings.Contains(name, "reason") || strings.Contains(name, "rational") {
			return f.says
		}
		return a.name
	}
	return f.says
}

func (f *filler) flag(about Meaning) bool {
	switch about {
	case Closing:
		return f.closing
	case Raising:
		return !f.closing && f.verdict == "malicious"
	}
	return false
}

func (f *filler) number(s *schema, about Meaning, full float64) float64 {
	v := 0.0
	if about == Weight {
		v = map[string]float64{"malicious": 1.5, "suspicious": 1, "benign": -1.5}[f.verdict]
	}
	if about == Confidence {
		v = f.confidence
		if s.is("integer") || s.Maximum != nil && *s.Maximum > 1 {
			v *= full
		}
	}
	if s.Minimum != nil {
		v = max(v, *s.Minimum)
	}
	if s.Maximum != nil {
		v = min(v, *s.Maximum)
	}
	return math.Round(v*1000) / 1000
}

// verdictWords tell which value of an enumeration means which verdict.
var verdictWords = map[string][]string{
	"benign":     {"falsepositive", "benign", "harmless", "legitimate", "clean", "fp", "closed", "notmalicious", "expected"},
	"malicious":  {"truepositive", "malicious", "confirmed", "compromised", "attack", "tp"},
	"suspicious": {"suspicious", "likely", "possible", "elevated"},
	"unknown":    {"unknown", "undetermined", "inconclusive", "investigat", "unsure", "insufficient", "needs"},
}

// choose picks of an enumeration what comes nearest to what is to be said.
func (f *filler) choose(enum []any, about Meaning, n int) any {
	want := f.text(about, "", n)
	if about == Text {
		return enum[0]
	}
	if f.loose && want != "" {
		return want
	}
	best, score := enum[0], -1
	for _, e := range enum {
		s, ok := e.(string)
		if !ok {
			continue
		}
		if k := f.closeness(s, want, about); k > score {
			best, score = e, k
		}
	}
	return best
}

func (f *filler) closeness(value, want string, about Meaning) int {
	v, w := squeeze(value), squeeze(want)
	score := 0
	switch {
	case w == "":
	case v == w:
		score = 100
	case strings.Contains(v, w), strings.Contains(w, v):
		score = 50 + min(len(v), len(w))
	default:
		for _, part := range strings.FieldsFunc(strings.ToLower(want), func(r rune) bool { return r == '_' || r == ' ' || r == '-' }) {
			if len(part) > 2 && strings.Contains(v, part) {
				score += 5
			}
		}
	}
	if about == Classification {
		for i, word := range verdictWords[f.verdict] {
			if strings.Contains(v, word) {
				score += 30 - i
				break
			}
		}
	}
	return score
}

// squeeze keeps lower-case letters and digits.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r > 127:
			return r
		}
		return -1
	}, s)
}
