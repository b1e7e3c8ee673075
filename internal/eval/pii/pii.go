// Package pii measures how well personal data is found in text: recall per class, precision, the
// share of text that is flagged for nothing, and how long it takes.
package pii

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/gateway/redact"
)

// Line is a labelled text. Offsets count characters, not bytes.
type Line struct {
	Text  string `json:"text"`
	Spans []Span `json:"spans"`
}

// Span is a place that a person labelled.
type Span struct {
	Type  string `json:"type"`
	Start int    `json:"start"`
	End   int    `json:"end"`
	Value string `json:"value"`
}

const maxLine = 16 << 20

// Read reads JSON lines of texts with spans. A span whose value does not stand at its offsets is
// an error that names the line.
func Read(r io.Reader) ([]Line, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	var out []Line
	for n := 1; sc.Scan(); n++ {
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		var l Line
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if err := l.check(); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out = append(out, l)
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("a line is longer than %d bytes", maxLine)
	}
	if sc.Err() == nil && len(out) == 0 {
		return nil, errors.New(`no texts; expected JSON lines of {"text": …, "spans": [{"type", "start", "end", "value"}]}`)
	}
	return out, sc.Err()
}

// check turns the offsets into bytes.
func (l *Line) check() error {
	at := offsets(l.Text)
	for i := range l.Spans {
		s := &l.Spans[i]
		if s.Type == "" || s.Start < 0 || s.End <= s.Start || s.End >= len(at) {
			return fmt.Errorf("span %d (%q, %d to %d) does not lie in a text of %d characters", i+1, s.Type, s.Start, s.End, len(at)-1)
		}
		start, end := at[s.Start], at[s.End]
		if s.Value != "" && l.Text[start:end] != s.Value {
			return fmt.Errorf("span %d says %q and the text says %q; offsets count characters", i+1, s.Value, l.Text[start:end])
		}
		s.Start, s.End = start, end
	}
	return nil
}

// offsets returns the byte at which each character begins, and the length of the text.
func offsets(text string) []int {
	at := make([]int, 0, len(text)+1)
	for i := range text {
		at = append(at, i)
	}
	return append(at, len(text))
}

// classes are what a label may be found as. Labels that are not listed may be found as anything.
var classes = map[string]redact.Set{
	"EMAIL_ADDRESS":     redact.Classes(redact.Mail, redact.User, redact.Domain),
	"IP_ADDRESS":        redact.Classes(redact.IP),
	"CREDIT_CARD":       redact.Classes(redact.Card),
	"IBAN_CODE":         redact.Classes(redact.IBAN),
	"US_SSN":            redact.Classes(redact.National),
	"US_DRIVER_LICENSE": redact.Classes(redact.National),
	"PHONE_NUMBER":      redact.Classes(redact.Phone),
	"DOMAIN_NAME":       redact.Classes(redact.Domain, redact.Host),
	"PERSON":            redact.Classes(redact.Person, redact.User),
	"STREET_ADDRESS":    redact.Classes(redact.Address),
	"ZIP_CODE":          redact.Classes(redact.Address),
	"GPE":               redact.Classes(redact.Address, redact.Trait),
	"DATE_TIME":         redact.Classes(redact.Date),
	"AGE":               redact.Classes(redact.Trait),
	"TITLE":             redact.Classes(redact.Trait),
	"NRP":               redact.Classes(redact.Trait),
	"ORGANIZATION":      redact.Classes(redact.Trait),
}

func accepted(label string) redact.Set {
	if s, ok := classes[label]; ok {
		return s
	}
	return ^redact.Set(0)
}

// Group counts the spans of a class, and those that were found whole.
type Group struct {
	N   int `json:"n"`
	Hit int `json:"hit"`
}

// Latency is per text, in microseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Report is contract/eval-detection.schema.json. A span is found when findings of its class cover
// it to the last character; a finding is right when it touches a span of its class.
type Report struct {
	Kind      string  `json:"kind"`
	N         int     `json:"n"`
	Positives int     `json:"positives"`
	Recall    float64 `json:"recall"`
	// FalsePositiveRate is the share of the flagged characters that lie outside of every span.
	FalsePositiveRate float64          `json:"false_positive_rate"`
	Precision         float64          `json:"precision"`
	ByGroup           map[string]Group `json:"by_group"`
	Latency           Latency          `json:"latency_us"`

	findings map[string]Group
	missed   []string
	wrong    []string
}

// Finder finds personal data in a text.
type Finder interface {
	Find(text string) []redact.Finding
}

// Score runs the finder over the lines. With only, spans of other types are neither wanted nor
// counted as wrong when they are found.
func Score(f Finder, lines []Line, only []string, c clock.Clock) *Report {
	s := scorer{rep: &Report{Kind: "pii", N: len(lines), ByGroup: map[string]Group{}, findings: map[string]Group{}}, only: only}
	times := make([]time.Duration, 0, len(lines))
	for i := range lines {
		start := c.Now()
		found := f.Find(lines[i].Text)
		times = append(times, c.Now().Sub(start))
		s.line(&lines[i], found)
	}
	s.done(times)
	return s.rep
}

type scorer struct {
	rep                 *Report
	only                []string
	hit, found, right   int
	flagged, flaggedFor int
}

func (s *scorer) line(l *Line, found []redact.Finding) {
	var wanted redact.Set
	for _, t := range s.only {
		wanted |= accepted(t)
	}
	for i := range l.Spans {
		sp := &l.Spans[i]
		if len(s.only) > 0 && !slices.Contains(s.only, sp.Type) {
			continue
		}
		g := s.rep.ByGroup[sp.Type]
		g.N++
		if covered(l.Text, sp, found) {
			g.Hit++
			s.hit++
		} else {
			s.rep.missed = append(s.rep.missed, fmt.Sprintf("%s %q in %q", sp.Type, l.Text[sp.Start:sp.End], l.Text))
		}
		s.rep.ByGroup[sp.Type] = g
		s.rep.Positives++
	}
	for i := range found {
		if f := &found[i]; f.Class != redact.Mark && (len(s.only) == 0 || wanted.Has(f.Class)) {
			s.finding(l, f)
		}
	}
}

// covered reports whether findings of the span's class cover it; spaces between them may stay.
func covered(text string, sp *Span, found []redact.Finding) bool {
	at, ok := sp.Start, accepted(sp.Type)
	for i := range found {
		f := &found[i]
		if f.End <= at || !f.IsSecret && !ok.Has(f.Class) {
			continue
		}
		if f.Start > at && strings.Trim(text[at:min(f.Start, sp.End)], " \t\r\n,.@") != "" {
			return false
		}
		if at = f.End; at >= sp.End {
			return true
		}
	}
	return strings.Trim(text[at:sp.End], " \t\r\n,.") == "" && at > sp.Start
}

func (s *scorer) finding(l *Line, f *redact.Finding) {
	s.found++
	right := false
	inside := make([]bool, f.End-f.Start)
	for i := range l.Spans {
		sp := &l.Spans[i]
		if sp.End <= f.Start || sp.Start >= f.End {
			continue
		}
		right = right || f.IsSecret || accepted(sp.Type).Has(f.Class)
		for p := max(sp.Start, f.Start); p < min(sp.End, f.End); p++ {
			inside[p-f.Start] = true
		}
	}
	for p := range inside {
		if !utf8.RuneStart(l.Text[f.Start+p]) {
			continue
		}
		s.flagged++
		if inside[p] {
			s.flaggedFor++
		}
	}
	name := f.Class.String()
	if f.IsSecret {
		name = f.Secret.String()
	}
	g := s.rep.findings[name]
	g.N++
	if right {
		g.Hit++
		s.right++
	} else {
		s.rep.wrong = append(s.rep.wrong, fmt.Sprintf("%s %q in %q", name, l.Text[f.Start:f.End], l.Text))
	}
	s.rep.findings[name] = g
}

func (s *scorer) done(times []time.Duration) {
	share := func(n, of int) float64 {
		if of == 0 {
			return 0
		}
		return float64(n) / float64(of)
	}
	s.rep.Recall, s.rep.Precision = share(s.hit, s.rep.Positives), share(s.right, s.found)
	s.rep.FalsePositiveRate = share(s.flagged-s.flaggedFor, s.flagged)
	slices.Sort(times)
	at := func(p int) float64 {
		if len(times) == 0 {
			return 0
		}
		return float64(times[min(len(times)-1, len(times)*p/100)].Nanoseconds()) / 1000
	}
	s.rep.Latency = Latency{at(50), at(99)}
}

// WriteText prints the report for a person; verbose adds what was missed and what was wrong.
func (r *Report) WriteText(w io.Writer, verbose bool) error {
	p := &printer{w: w}
	p.f("%d texts with %d labelled spans\n\n", r.N, r.Positives)
	p.f("recall %.1f %%, precision %.1f %%, flagged characters outside of every span %.1f %%\n", 100*r.Recall, 100*r.Precision, 100*r.FalsePositiveRate)
	p.f("per text %.1f µs (median), %.1f µs (99 of 100)\n\n", r.Latency.P50, r.Latency.P99)
	p.table("LABEL\tSPANS\tFOUND\tRECALL", r.ByGroup)
	p.f("\n")
	p.table("FOUND AS\tFINDINGS\tRIGHT\tPRECISION", r.findings)
	if verbose {
		for _, x := range r.missed {
			p.f("\nmissed: %s", x)
		}
		for _, x := range r.wrong {
			p.f("\nwrong: %s", x)
		}
		p.f("\n")
	}
	return p.err
}

// printer remembers the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) table(head string, groups map[string]Group) {
	names := make([]string, 0, len(groups))
	for n := range groups {
		names = append(names, n)
	}
	slices.Sort(names)
	tw := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	t := &printer{w: tw}
	t.f("%s\n", head)
	for _, n := range names {
		g := groups[n]
		t.f("%s\t%d\t%d\t%.1f %%\n", n, g.N, g.Hit, 100*float64(g.Hit)/float64(max(1, g.N)))
	}
	if t.err == nil {
		t.err = tw.Flush()
	}
	if p.err == nil {
		p.err = t.err
	}
}
