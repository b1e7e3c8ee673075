package sigma

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/aluskort/aluskort/internal/alert"
)

// Options are what compiling needs beside the rules.
type Options struct {
	// Fields returns the field map of a source: Sigma's field names to native paths, tried in
	// order. A field may always be named by its native path too. Nil means native names only.
	// It is called at most a few times per source and must not change its answer.
	Fields func(source string) map[string][]string
	// Placeholders gives the values of %names% for the modifier expand, as Sigma strings.
	Placeholders map[string][]string
}

// Event is one alert to match.
type Event struct {
	Fields alert.Fields
	// Source names the adapter, for Options.Fields.
	Source string
	// Logsource is what the adapter knows for certain. Empty parts are derived from the event
	// where that is possible, and prune nothing where it is not.
	Logsource Logsource
}

// Hit is one value that made a rule match.
type Hit struct {
	// Field is the field as the rule names it; for a keyword the native path.
	Field string
	// Pointer is the JSON pointer of the value in the native record; for DecodedCommand that of
	// the value it was decoded from.
	Pointer string
	// Value is the value as the record has it, of any length; DecodedCommand is decoded.
	Value string
}

// Hits are the values that made a rule match, each once, at most 64. Tests under "not" and for
// absence have none.
type Hits []Hit

const maxHits = 64

// Stats counts what a set holds.
type Stats struct {
	// Rules is the number of usable rules, of which Always have no literal to index and are
	// evaluated whenever their log source fits.
	Rules, Always int
	// Literals, Fields and Tests count the distinct ones; Logsources the log sources.
	Literals, Fields, Tests, Logsources int
}

// Set is a compiled set of rules: immutable, safe for concurrent use.
type Set struct {
	rules      []compiledRule
	nodes      []node
	tests      []compiledTest
	fields     []field
	ids        map[string]int32
	logsources []Logsource

	posts       []posting
	grams       [2]*gramIndex // windows of four bytes, and of three
	always      []int32
	keywordLogs []int32 // log sources of rules with indexed keywords

	problems []*RuleError
	stats    Stats

	fieldMap   func(string) map[string][]string
	tables     sync.Map // source → *sourceTable
	tableCount atomic.Int32
	runs       sync.Pool
}

type compiledRule struct {
	rule      *Rule
	root      int32
	logsource int32
}

// node is a node of an expression in the set's array.
type node struct {
	op   exprOp
	n    int32
	test int32
	// kids are in the order of effort, written in that of the rule.
	kids, written []int32
}

type compiledTest struct {
	*test
	field int32 // anyField for keywords
	refs  []int32
}

// field is a field that rules name.
type field struct {
	name string
	// command says that commands are decoded out of it.
	command bool
	// scanned says that substrings in it are indexed.
	scanned bool
	// equal indexes whole values, lower-cased; maxEqual is the length of the longest.
	equal    map[string]int32
	maxEqual int
}

// Problems names the rules that could not be compiled with these options.
func (s *Set) Problems() []*RuleError { return s.problems }

// Stats counts what the set holds.
func (s *Set) Stats() Stats { return s.stats }

// Rules returns the rules of the set in the order they are matched.
func (s *Set) Rules() []*Rule {
	out := make([]*Rule, len(s.rules))
	for i := range s.rules {
		out[i] = s.rules[i].rule
	}
	return out
}

// Match calls fn for every rule that matches the event, in the order of the rules. The hits are
// valid during the call; their strings stay valid.
func (s *Set) Match(ev *Event, fn func(*Rule, Hits)) {
	m := s.begin(ev)
	defer m.end()
	m.findCandidates()
	m.report(fn)
}

// matchAll is Match without the index: every rule whose log source fits is evaluated.
func (s *Set) matchAll(ev *Event, fn func(*Rule, Hits)) {
	m := s.begin(ev)
	defer m.end()
	for i := range s.rules {
		m.mark(int32(i))
	}
	m.prepareCommands()
	m.report(fn)
}

func (m *run) report(fn func(*Rule, Hits)) {
	slices.Sort(m.candidates)
	for _, i := range m.candidates {
		r := &m.set.rules[i]
		if m.eval(r.root) {
			m.hits = m.hits[:0]
			m.explain(r.root)
			fn(r.rule, m.hits)
		}
	}
}

// Values returns the values a field has in the event, by its Sigma name or native path.
func (s *Set) Values(ev *Event, name string) []string {
	for _, p := range s.table(ev.Source).names[name] {
		if v := ev.Fields.All(p); len(v) > 0 {
			return v
		}
	}
	return ev.Fields.All(name)
}
