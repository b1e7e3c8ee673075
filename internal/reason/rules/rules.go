// Package rules makes evidence out of Sigma rules: which rules match an alert, what each match
// is worth in bits, and what it was read from. A match of a malicious rule speaks for, one of
// a benign rule against.
package rules

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/parallel"
	"github.com/aluskort/aluskort/internal/reason/weight"
	"github.com/aluskort/aluskort/internal/sigma"
)

// Org answers the predicates that benign rules put to the organisation's context.
type Org interface {
	// Holds reports whether the predicate ("admin_account", "scanner" …) holds for the value, at
	// the time of the alert, for its tenant. An unknown predicate does not hold.
	Holds(predicate, value string, a *alert.Alert) bool
}

// Citer is an Org that can name what makes a predicate hold.
type Citer interface {
	Cite(predicate, value string, a *alert.Alert) string
}

// Config is what a Source is made of.
type Config struct {
	Rules []*sigma.Rule
	// Fields returns the field map of a source.
	Fields func(source string) map[string][]string
	// Org may be nil: then no predicate holds.
	Org Org
	// Weights replace the stated weights of some rules by fitted ones; nil for none.
	Weights *weight.Table
	// Problems are those found while the rules were loaded.
	Problems []Problem
}

// Problem is a rule that is not used, and why.
type Problem struct {
	Rule   string `json:"rule"`
	Place  string `json:"place,omitempty"`
	Reason string `json:"reason"`
}

// Source is an evidence source over a compiled set of rules. It is immutable and safe for
// concurrent use.
type Source struct {
	set      *sigma.Set
	org      Org
	weights  *weight.Table
	requires map[*sigma.Rule][]condition
	problems []Problem
}

// condition is one predicate of a rule over the organisation's context.
type condition struct{ predicate, field string }

// New compiles the rules. Rules that cannot be used are left out and named by Problems.
func New(cfg Config) *Source {
	s := &Source{org: cfg.Org, weights: cfg.Weights, problems: cfg.Problems, requires: map[*sigma.Rule][]condition{}}
	var usable []*sigma.Rule
	for _, r := range cfg.Rules {
		if err := s.admit(r); err != nil {
			s.problems = append(s.problems, Problem{Rule: r.Title, Place: fmt.Sprintf("%s:%d", r.File, r.Line), Reason: err.Error()})
			continue
		}
		usable = append(usable, r)
	}
	s.problems = append(s.problems, unusedWeights(cfg.Weights, usable)...)
	s.set = sigma.Compile(usable, sigma.Options{Fields: cfg.Fields})
	for _, p := range s.set.Problems() {
		s.problems = append(s.problems, problemOf(p))
	}
	return s
}

func problemOf(e *sigma.RuleError) Problem {
	return Problem{Rule: e.Title, Place: e.Place(), Reason: e.Error()}
}

// unusedWeights names the fitted weights that no rule has.
func unusedWeights(t *weight.Table, list []*sigma.Rule) (out []Problem) {
	if t == nil {
		return nil
	}
	byID := make(map[string]*sigma.Rule, len(list))
	for _, r := range list {
		byID[r.ID] = r
	}
	for i := range t.Weights {
		f := &t.Weights[i]
		switch r := byID[f.Rule]; {
		case r == nil:
			out = append(out, Problem{Rule: cmp.Or(f.Title, f.Rule), Reason: "its weight was fitted and no such rule is loaded"})
		case t.Of(r.ID, stated(r)) == nil:
			out = append(out, Problem{Rule: r.Title, Place: fmt.Sprintf("%s:%d", r.File, r.Line),
				Reason: "its fitted weight is for another stated weight and is not used; run eval fit again"})
		}
	}
	return out
}

// stated is the weight of a rule as its author states it, with the sign of its stance.
func stated(r *sigma.Rule) float64 {
	if r.Stance == sigma.Benign {
		return -r.Weight
	}
	return r.Weight
}

// weigh returns what a match is worth, and how the weight was fitted if it was. A match that
// does not reach the rule's full weight, by what it rests on, keeps what it has.
func (s *Source) weigh(r *sigma.Rule, hits sigma.Hits) (bits float64, from string) {
	bits = r.Bits(hits)
	if f := s.weights.Of(r.ID, bits); f != nil && bits == stated(r) {
		return f.Weight, f.String()
	}
	return bits, ""
}

func (s *Source) admit(r *sigma.Rule) error {
	if r.Count != nil && (r.Count.AtLeast < 2 || r.Count.Window < time.Second || len(r.Count.Key) == 0) {
		return errors.New("aluskort count needs a key, a window of a second or more and at_least 2 or more")
	}
	if r.RequiresOrg == "" {
		return nil
	}
	conds, err := parseRequires(r.RequiresOrg)
	if err != nil {
		return err
	}
	s.requires[r] = conds
	return nil
}

// parseRequires reads "admin_account(User) and admin_host(Computer)".
func parseRequires(text string) ([]condition, error) {
	var out []condition
	for part := range strings.SplitSeq(text, " and ") {
		name, rest, ok := strings.Cut(strings.TrimSpace(part), "(")
		field, ok2 := strings.CutSuffix(rest, ")")
		if !ok || !ok2 || name == "" || field == "" {
			return nil, fmt.Errorf("requires_org %q: write predicate(Field), joined by \" and \"", text)
		}
		out = append(out, condition{strings.TrimSpace(name), strings.TrimSpace(field)})
	}
	return out, nil
}

// Load reads every rule below fsys; what cannot be loaded is named by the problems.
func Load(fsys fs.FS) ([]*sigma.Rule, []Problem, error) {
	list, report, err := sigma.LoadDir(fsys)
	if err != nil {
		return nil, nil, fmt.Errorf("load rules: %w", err)
	}
	var problems []Problem
	for _, e := range report.Problems {
		problems = append(problems, problemOf(e))
	}
	return list, problems, nil
}

// Problems names the rules that are not used.
func (s *Source) Problems() []Problem { return s.problems }

// Len returns how many rules are in use.
func (s *Source) Len() int { return s.set.Stats().Rules }

// Name implements evidence.Source.
func (*Source) Name() string { return "rules" }

// Gather implements evidence.Source.
func (s *Source) Gather(ctx context.Context, subjects []evidence.Subject) ([]evidence.Finding, error) {
	out := make([]evidence.Finding, len(subjects))
	if s.Len() == 0 {
		for i := range out {
			out[i].Blind = "no rules are loaded"
		}
		return out, ctx.Err()
	}
	err := parallel.Within(ctx, len(subjects), func(i int) error {
		out[i].Items, out[i].Tallies = s.match(subjects[i].Alert)
		return ctx.Err()
	})
	return out, err
}

func (s *Source) match(a *alert.Alert) (items []evidence.Evidence, tallies []evidence.Tally) {
	ev := sigma.Event{Fields: a.Fields, Source: a.Source}
	var exact []*sigma.Rule
	s.set.Match(&ev, func(r *sigma.Rule, hits sigma.Hits) {
		cites, ok := s.holds(r, &ev, a)
		if !ok {
			return
		}
		item := s.item(r, &ev, hits)
		item.Cites = cites
		if r.Count == nil {
			items = append(items, item)
			if len(r.Refines) > 0 {
				exact = append(exact, r)
			}
		} else if t, ok := s.tally(r, &ev, item); ok {
			tallies = append(tallies, t)
		}
	})
	nameExactly(items, exact)
	return items, tallies
}

// nameExactly takes the techniques from items whose kind an exact rule refines: a rule over a
// family of behaviours names all that it may have seen, the exact one what it was. Exact rules do
// not refine each other, and the weights stay.
func nameExactly(items []evidence.Evidence, exact []*sigma.Rule) {
	for i := range items {
		own, refined := false, false
		for _, r := range exact {
			own = own || items[i].ID == itemID(r)
			refined = refined || contains(r.Refines, items[i].Kind)
		}
		if refined && !own {
			items[i].Techniques = nil
		}
	}
}

func itemID(r *sigma.Rule) string { return "rule:" + r.ID }

// tally is a match of a rule that asks for repetition; ok is false when the alert lacks one of
// the key fields, since then nothing says what it repeats.
func (s *Source) tally(r *sigma.Rule, ev *sigma.Event, item evidence.Evidence) (t evidence.Tally, ok bool) {
	keys := make([]string, len(r.Count.Key))
	for i, f := range r.Count.Key {
		v := s.set.Values(ev, f)
		if len(v) == 0 {
			return t, false
		}
		keys[i] = strings.ToLower(v[0])
	}
	t = evidence.Tally{
		Item: item, Key: strings.Join(keys, "\x00"), WindowSeconds: int64(r.Count.Window / time.Second),
		AtLeast: r.Count.AtLeast, Distinct: r.Count.Distinct != "",
	}
	if t.Distinct {
		v := s.set.Values(ev, r.Count.Distinct)
		if len(v) == 0 {
			return t, false
		}
		t.Value = strings.ToLower(v[0])
	}
	return t, true
}

// holds reports whether the organisation confirms what a rule asks of it, and what of it does.
func (s *Source) holds(r *sigma.Rule, ev *sigma.Event, a *alert.Alert) (cites []string, ok bool) {
	for _, c := range s.requires[r] {
		value, ok := s.confirmed(c, ev, a)
		if !ok {
			return nil, false
		}
		if by, can := s.org.(Citer); can {
			cites = append(cites, by.Cite(c.predicate, value, a))
		}
	}
	slices.Sort(cites)
	return slices.Compact(cites), true
}

func (s *Source) confirmed(c condition, ev *sigma.Event, a *alert.Alert) (value string, ok bool) {
	if s.org == nil {
		return "", false
	}
	for _, v := range s.set.Values(ev, c.field) {
		if s.org.Holds(c.predicate, v, a) {
			return v, true
		}
	}
	return "", false
}

// maxRefs bounds how many places one item cites.
const maxRefs = 8

func (s *Source) item(r *sigma.Rule, ev *sigma.Event, hits sigma.Hits) evidence.Evidence {
	bits, from := s.weigh(r, hits)
	e := evidence.Evidence{
		ID: itemID(r), Kind: r.Kind, Stance: evidence.For, Statement: s.set.Statement(r, ev, hits), Weight: bits, WeightFrom: from,
		Source: r.Title, Techniques: r.Techniques, Trust: evidence.TrustAttacker, Voids: r.Voids, Expected: r.Expected,
		Group: r.Group,
	}
	if e.Kind == "" {
		e.Kind = "rule"
	}
	if bits < 0 {
		e.Stance, e.Trust = evidence.Against, evidence.TrustSystem
	}
	longest := -1
	for _, h := range hits {
		if len(e.Refs) < maxRefs && h.Pointer != "" && !contains(e.Refs, h.Pointer) {
			e.Refs = append(e.Refs, h.Pointer)
		}
		// What was read is named after the most telling value, which is nearly always the longest.
		if r.Group == "" && len(h.Value) > longest {
			longest, e.Group = len(h.Value), h.Pointer
		}
	}
	return e
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
