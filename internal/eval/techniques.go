package eval

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/alert"
)

// techniqueCase is some events and the techniques that they show.
type techniqueCase struct {
	ID     string
	Title  string
	Truth  []string
	Events [][]byte
}

// TechniqueReport says how well techniques are named.
type TechniqueReport struct {
	Cases  int `json:"cases"`
	Events int `json:"events"`
	// Rejected events gave no verdict; they count as naming nothing.
	Rejected int `json:"rejected"`
	// Unnamed cases got no technique at all; Untagged cases state none and are left out of the rates.
	Unnamed  int         `json:"unnamed"`
	Untagged int         `json:"untagged"`
	Exact    NamingRates `json:"exact"`
	Parent   NamingRates `json:"parent"`
	// KnownRecall is the exact recall over those stated ids that the taxonomy knows; StatedUnknown
	// are the others, of another release of ATT&CK, which no product with this taxonomy can name.
	KnownRecall Rate `json:"recall_in_taxonomy"`
	// KnownPrecision is the exact precision over the cases whose stated ids the taxonomy knows, all
	// of them: where another release renamed what a case states, the right name counts as wrong.
	KnownPrecision Rate     `json:"precision_in_taxonomy"`
	StatedUnknown  []string `json:"stated_outside_taxonomy"`
	// Unknown are ids that the product gave and no taxonomy knows; it must be empty.
	Unknown []string `json:"ids_outside_taxonomy"`
	// ByTechnique lists each technique of the truth, the most often missed first.
	ByTechnique []TechniqueCount `json:"by_technique"`
	Misses      []TechniqueMiss  `json:"misses"`
}

// NamingRates are micro-averaged over pairs of case and technique. The truth is what one rule
// states, so a technique named beside it may be right as well: precision is a lower bound.
type NamingRates struct {
	Precision Rate `json:"precision"`
	Recall    Rate `json:"recall"`
}

// TechniqueCount is how often one technique was stated and found.
type TechniqueCount struct {
	ID     string `json:"id"`
	Stated int    `json:"stated"`
	Found  int    `json:"found"`
	// Parent counts the cases where its technique or a sibling was found instead.
	Parent int `json:"found_as_parent_or_sibling"`
}

// TechniqueMiss is a case with a technique that was not found.
type TechniqueMiss struct {
	Case   string   `json:"case"`
	Title  string   `json:"title"`
	Stated []string `json:"stated"`
	Named  []string `json:"named"`
}

const maxCase = 16 << 20 // bytes of one line

// readTechniqueCases reads JSON lines of {sigma_id, title, attack: [tags], events: [{Event}]}.
func readTechniqueCases(r io.Reader) ([]techniqueCase, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxCase)
	var out []techniqueCase
	for line := 1; sc.Scan(); line++ {
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		c, err := readCase(sc.Bytes(), line)
		if err != nil {
			return nil, fmt.Errorf("techniques, line %d: %w", line, err)
		}
		out = append(out, c)
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("techniques: a line is longer than %d bytes; write one case per line", maxCase)
	}
	return out, sc.Err()
}

func readCase(raw []byte, line int) (techniqueCase, error) {
	var c struct {
		ID     string   `json:"sigma_id"`
		Title  string   `json:"title"`
		Attack []string `json:"attack"`
		Events []struct {
			Event jsontext.Value `json:"Event"`
		} `json:"events"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return techniqueCase{}, err
	}
	if len(c.Events) == 0 {
		return techniqueCase{}, errors.New("it has no events; expected {\"sigma_id\": …, \"attack\": […], \"events\": [{\"Event\": …}]}")
	}
	out := techniqueCase{ID: c.ID, Title: c.Title}
	for _, tag := range c.Attack {
		id := strings.ToUpper(strings.TrimPrefix(strings.ToLower(tag), "attack."))
		if alert.IsTechniqueID(id) && !slices.Contains(out.Truth, id) {
			out.Truth = append(out.Truth, id)
		}
	}
	for n, e := range c.Events {
		hit, err := WindowsHit(fmt.Sprintf("case-%d-event-%d", line, n+1), e.Event)
		if err != nil {
			return techniqueCase{}, err
		}
		out.Events = append(out.Events, hit)
	}
	return out, nil
}

// Techniques judges every event by itself and compares the techniques that the product names
// with those stated. known says whether an id exists.
func Techniques(ctx context.Context, judge Judge, r io.Reader, known func(id string) bool) (*TechniqueReport, error) {
	cases, err := readTechniqueCases(r)
	if err != nil {
		return nil, err
	}
	var records [][]byte
	for i := range cases {
		records = append(records, cases[i].Events...)
	}
	judged, err := judge(ctx, records, true)
	if err == nil {
		err = checkJudged(records, judged)
	}
	if err != nil {
		return nil, err
	}
	s := &scorer{rep: TechniqueReport{Cases: len(cases), Events: len(records), Unknown: []string{}, StatedUnknown: []string{}, Misses: []TechniqueMiss{}}, known: known, counts: map[string]*TechniqueCount{}}
	for i := range cases {
		n := len(cases[i].Events)
		s.score(&cases[i], judged[:n])
		judged = judged[n:]
	}
	return s.done(), nil
}

// tally counts pairs of case and technique.
type tally struct{ right, named, found, stated int }

func (t *tally) add(named, stated []string) {
	t.named += len(named)
	t.stated += len(stated)
	for _, id := range named {
		if slices.Contains(stated, id) {
			t.right++
		}
	}
	for _, id := range stated {
		if slices.Contains(named, id) {
			t.found++
		}
	}
}

func (t *tally) rates() NamingRates {
	return NamingRates{Precision: NewRate(t.right, t.named), Recall: NewRate(t.found, t.stated)}
}

type scorer struct {
	rep           TechniqueReport
	known         func(string) bool
	exact, parent tally
	reachable     tally
	comparable    tally
	counts        map[string]*TechniqueCount
}

func (s *scorer) score(c *techniqueCase, judged []Judged) {
	var named []string
	for i := range judged {
		r := judged[i].Line.Result
		if r == nil {
			s.rep.Rejected++
			continue
		}
		for _, t := range r.Investigation.Techniques {
			named = addOnce(named, t.ID)
			if !s.known(t.ID) {
				s.rep.Unknown = addOnce(s.rep.Unknown, t.ID)
			}
		}
	}
	if len(c.Truth) == 0 {
		s.rep.Untagged++
		return
	}
	if len(named) == 0 {
		s.rep.Unnamed++
	}
	parents := parentsOf(named)
	s.exact.add(named, c.Truth)
	s.parent.add(parents, parentsOf(c.Truth))
	reachable := slices.DeleteFunc(slices.Clone(c.Truth), func(id string) bool { return !s.known(id) })
	s.reachable.add(named, reachable)
	if len(reachable) == len(c.Truth) {
		s.comparable.add(named, c.Truth)
	}
	missed := false
	for _, id := range c.Truth {
		if !s.known(id) {
			s.rep.StatedUnknown = addOnce(s.rep.StatedUnknown, id)
		}
		n := s.counts[id]
		if n == nil {
			n = &TechniqueCount{ID: id}
			s.counts[id] = n
		}
		n.Stated++
		switch {
		case slices.Contains(named, id):
			n.Found++
		case slices.Contains(parents, parentOf(id)):
			n.Parent++
			missed = true
		default:
			missed = true
		}
	}
	if missed {
		slices.Sort(named)
		s.rep.Misses = append(s.rep.Misses, TechniqueMiss{Case: c.ID, Title: c.Title, Stated: c.Truth, Named: named})
	}
}

func (s *scorer) done() *TechniqueReport {
	s.rep.Exact, s.rep.Parent = s.exact.rates(), s.parent.rates()
	s.rep.KnownRecall, s.rep.KnownPrecision = s.reachable.rates().Recall, s.comparable.rates().Precision
	slices.Sort(s.rep.StatedUnknown)
	s.rep.ByTechnique = make([]TechniqueCount, 0, len(s.counts))
	for _, n := range s.counts {
		s.rep.ByTechnique = append(s.rep.ByTechnique, *n)
	}
	slices.SortFunc(s.rep.ByTechnique, func(a, b TechniqueCount) int {
		return cmp.Or(cmp.Compare(b.Stated-b.Found, a.Stated-a.Found), cmp.Compare(a.ID, b.ID))
	})
	return &s.rep
}

func parentOf(id string) string {
	if strings.HasPrefix(id, "AML.") {
		return id
	}
	p, _, _ := strings.Cut(id, ".")
	return p
}

func parentsOf(ids []string) []string {
	var out []string
	for _, id := range ids {
		out = addOnce(out, parentOf(id))
	}
	return out
}

func addOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// WriteText prints the report for a person; verbose adds every technique and case missed.
func (r *TechniqueReport) WriteText(w io.Writer, verbose bool) error {
	p := &printer{w: w}
	p.f("%d cases with %d events (%d rejected, %d cases without a technique named, %d that state none)\n\n", r.Cases, r.Events, r.Rejected, r.Unnamed, r.Untagged)
	p.table(func(t *printer) {
		t.f("\tCOUNT\tRATE\t95 %% INTERVAL\n")
		for _, x := range []struct {
			name string
			rate Rate
		}{
			{"recall, exact", r.Exact.Recall}, {"precision, exact", r.Exact.Precision},
			{"recall, exact, ids of this taxonomy", r.KnownRecall},
			{"precision, exact, cases of this taxonomy", r.KnownPrecision},
			{"recall, technique level", r.Parent.Recall}, {"precision, technique level", r.Parent.Precision},
		} {
			t.f("%s\t%d of %d\t%s\t%s\n", x.name, x.rate.Count, x.rate.Of, percent(x.rate.Rate), interval(x.rate))
		}
	})
	p.f("\nids outside the taxonomy: %d", len(r.Unknown))
	for _, id := range r.Unknown {
		p.f(" %s", id)
	}
	p.f("\n")
	if len(r.StatedUnknown) > 0 {
		p.f("stated, but of another release of ATT&CK: %s\n", strings.Join(r.StatedUnknown, " "))
	}
	if !verbose {
		return p.err
	}
	p.f("\nTECHNIQUES MISSED\n")
	p.table(func(t *printer) {
		for _, n := range r.ByTechnique {
			if n.Found < n.Stated {
				t.f("  %s\tfound %d of %d\tas parent or sibling %d\n", n.ID, n.Found, n.Stated, n.Parent)
			}
		}
	})
	p.f("\nCASES MISSED\n")
	for _, m := range r.Misses {
		p.f("  %s  %s\n      stated %s, named %s\n", m.Case, m.Title, strings.Join(m.Stated, " "), orDash(m.Named))
	}
	return p.err
}

func orDash(list []string) string {
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, " ")
}
