package sigma

import (
	"fmt"

	"github.com/aluskort/aluskort/internal/alert"
)

// Failure is an example of a rule that did not turn out as the rule says.
type Failure struct {
	Rule *Rule
	Line int
	// Want is true for an example that should match.
	Want bool
	// Reason is set when the rule could not be tried at all.
	Reason string
}

// Error implements error.
func (f Failure) Error() string {
	switch {
	case f.Reason != "":
		return fmt.Sprintf("%s %q: %s", f.Rule.File, f.Rule.Title, f.Reason)
	case f.Want:
		return fmt.Sprintf("%s:%d %q: the example should match and does not", f.Rule.File, f.Line, f.Rule.Title)
	default:
		return fmt.Sprintf("%s:%d %q: the example matches and should not", f.Rule.File, f.Line, f.Rule.Title)
	}
}

// RunTests tries the rule on its own examples. Only the detection is tried: counts and the
// organisation's context are the caller's. A rule without examples of both kinds is the
// caller's to refuse; here it has no failures.
func RunTests(r *Rule) []Failure {
	set := Compile([]*Rule{r}, Options{})
	if p := set.Problems(); len(p) > 0 {
		return []Failure{{Rule: r, Line: p[0].Line, Reason: p[0].Reason}}
	}
	var out []Failure
	try := func(examples []Example, want bool) {
		for i := range examples {
			if examples[i].matches(set, r) != want {
				out = append(out, Failure{Rule: r, Line: examples[i].Line, Want: want})
			}
		}
	}
	try(r.Tests.Match, true)
	try(r.Tests.NoMatch, false)
	return out
}

func (x *Example) matches(set *Set, r *Rule) bool {
	ls := x.Logsource
	if ls == (Logsource{}) {
		ls = r.Logsource
	}
	matched := false
	set.Match(&Event{Fields: x.Fields(), Logsource: ls}, func(*Rule, Hits) { matched = true })
	return matched
}

// Fields returns the example as an event has it, each field at a pointer of its own name.
func (x *Example) Fields() alert.Fields {
	out := make(alert.Fields, 0, len(x.Event))
	for _, f := range x.Event {
		leaf := alert.Field{Path: f.Name, Pointer: "/" + f.Name, Value: f.Value}
		if f.Null {
			leaf.Kind = alert.KindNull
		}
		out = append(out, leaf)
	}
	return out
}
