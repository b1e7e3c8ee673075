package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/investigate/cohort"
	"github.com/aluskort/aluskort/internal/result"
)

// textReport prints results for people: one block per investigation, one line per repeat.
type textReport struct {
	w io.Writer
	n int
}

func newTextReport(w io.Writer) *textReport { return &textReport{w: w} }

// classNames are the classifications as people say them.
var classNames = map[evidence.Classification]string{
	evidence.TruePositive: "MALICIOUS", evidence.Suspicious: "SUSPICIOUS", evidence.InvestigationRequired: "UNDECIDED",
	evidence.BenignTruePositive: "EXPECTED", evidence.FalsePositive: "BENIGN",
}

// maxShown bounds what a block lists of one thing; --json has everything.
const maxShown = 6

func (t *textReport) line(l *result.Line) error {
	t.n++
	var b strings.Builder
	switch {
	case l.Rejection != nil:
		t.rejected(&b, &l.Rejected)
	case l.Investigation.FoldedInto != "":
		fmt.Fprintf(&b, "%4d  %-10s  repeat, folded into %s: %s\n", t.n, "\"", short(l.Investigation.ID), inert(l.Alert.Title, 80))
	default:
		t.verdict(&b, l.Result)
	}
	_, err := io.WriteString(t.w, b.String())
	return err
}

func (t *textReport) rejected(b *strings.Builder, r *result.Rejected) {
	word := "REJECTED"
	if r.Dropped {
		word = "DROPPED"
	}
	fmt.Fprintf(b, "%4d  %-10s  %s, record %d: %s\n", t.n, word, inert(r.File, 60), r.Index, inert(r.Reason, 300))
}

func (t *textReport) verdict(b *strings.Builder, r *result.Result) {
	inv := &r.Investigation
	fmt.Fprintf(b, "%4d  %-10s  %3.0f %% malicious  %-8s %-8s  %s\n", t.n, classNames[inv.Classification],
		100*inv.Probability, inv.Severity, r.Alert.Source, inert(r.Alert.Title, 100))
	fmt.Fprintf(b, "      %s  %s  investigation %s\n", r.Alert.Timestamp.UTC().Format("2006-01-02 15:04:05Z"), entityLine(r.Alert.Entities), short(inv.ID))
	shown := 0
	for i := range inv.Evidence {
		e := &inv.Evidence[i]
		if e.Weight == 0 || shown == maxShown {
			continue
		}
		shown++
		fmt.Fprintf(b, "      %+5.2f bits  %s\n", e.Weight, inert(e.Statement, 160))
	}
	if n := counting(inv.Evidence) - shown; n > 0 {
		fmt.Fprintf(b, "                  and %d more\n", n)
	}
	fmt.Fprintf(b, "      %+5.2f bits  prior: %s\n", inv.Prior, inv.PriorSource)
	if len(inv.Techniques) > 0 {
		fmt.Fprintf(b, "      techniques: %s\n", techniqueLine(inv.Techniques))
	}
	if inv.WaitReason != investigate.WaitNone {
		fmt.Fprintf(b, "      waits for %s: %s\n", waitName(inv.WaitReason), strings.Join(inv.WaitWhy, "; "))
	}
	if len(inv.Actions) > 0 {
		fmt.Fprintf(b, "      recommended: %s\n", actionLine(inv))
	}
	for i, u := range inv.Unknowns {
		if i == 3 {
			fmt.Fprintf(b, "      unknown: and %d more\n", len(inv.Unknowns)-3)
			break
		}
		if !strings.HasPrefix(u, "blind: ") { // stands once in the summary
			fmt.Fprintf(b, "      unknown: %s\n", inert(u, 160))
		}
	}
	for _, q := range inv.NextQuestions {
		fmt.Fprintf(b, "      ask: %s  (yes %+.1f, no %+.1f bits)\n", inert(q.Text, 200), q.IfYes, q.IfNo)
	}
	if inv.Counterfactual != "" {
		fmt.Fprintf(b, "      %s\n", inv.Counterfactual)
	}
	b.WriteByte('\n')
}

func counting(items []result.Evidence) (n int) {
	for i := range items {
		if items[i].Weight != 0 {
			n++
		}
	}
	return n
}

func waitName(w investigate.WaitReason) string {
	switch w {
	case investigate.WaitVerdict:
		return "a person's verdict"
	case investigate.WaitApproval:
		return "approval of the plan"
	}
	return string(w)
}

func entityLine(list []result.Entity) string {
	var parts []string
	for i := range list {
		e := &list[i]
		switch e.Type {
		case alert.Host, alert.Account, alert.IP:
			name, _, _ := strings.Cut(e.Value, ".")
			if e.Confidence < 1 || len(parts) == 5 || e.Type == alert.Host && slices.ContainsFunc(parts, func(p string) bool {
				return strings.EqualFold(p, "host "+name) // the full name of a host that stands there already
			}) {
				continue
			}
			parts = append(parts, string(e.Type)+" "+inert(e.Value, 60))
		}
	}
	if len(parts) == 0 {
		return "no host, account or address"
	}
	return strings.Join(parts, " · ")
}

func techniqueLine(list []investigate.Technique) string {
	var parts []string
	for i, t := range list {
		if i == maxShown {
			parts = append(parts, fmt.Sprintf("and %d more", len(list)-maxShown))
			break
		}
		parts = append(parts, t.ID+" "+t.Name)
	}
	return strings.Join(parts, ", ")
}

func actionLine(inv *result.Investigation) string {
	var parts []string
	for _, a := range inv.Actions {
		s := strings.ReplaceAll(a.Action, "_", " ")
		if a.Target != inv.ID {
			s += " " + inert(a.Target, 60)
		}
		if a.NeedsApproval {
			s += " (needs approval)"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}

func short(id string) string { return id[:min(8, len(id))] }

// inert makes text that an attacker may have written safe for a terminal and fit for a line:
// control, bidirectional and invisible characters become visible, long text is cut.
func inert(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == limit {
			b.WriteString("…")
			break
		}
		n++
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			b.WriteByte(' ')
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r):
			fmt.Fprintf(&b, "<U+%04X>", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// summary counts the lines of a run.
type summary struct {
	alerts, rejected, dropped, folded int
	classes                           map[evidence.Classification]int
	states                            map[investigate.State]int
	waits                             map[investigate.WaitReason]int
	revised, actions                  int
	milliseconds                      []float64
	techniques                        map[string]bool
	indicators                        map[string]bool
	blind                             map[string]int
	groups                            map[string]bool // of benign proposals
	grouped                           int             // benign proposals in groups
	approvals                         []*investigate.Investigation
}

func newSummary() *summary {
	return &summary{
		classes: map[evidence.Classification]int{}, states: map[investigate.State]int{}, waits: map[investigate.WaitReason]int{},
		techniques: map[string]bool{}, indicators: map[string]bool{}, blind: map[string]int{}, groups: map[string]bool{},
	}
}

func (s *summary) add(l *result.Line) {
	if l.Rejection != nil {
		if l.Rejected.Dropped {
			s.dropped++
		} else {
			s.rejected++
		}
		return
	}
	s.alerts++
	s.milliseconds = append(s.milliseconds, l.Timing.Total)
	for _, i := range l.Alert.Indicators {
		if i.Benign == "" {
			s.indicators[string(i.Type)+i.Value] = true
		}
	}
	if l.Investigation.FoldedInto != "" {
		s.folded++
		return
	}
	inv := &l.Investigation
	s.classes[inv.Classification]++
	s.states[inv.State]++
	s.waits[inv.WaitReason]++
	if inv.Classification.Benign() && inv.WaitReason == investigate.WaitVerdict {
		s.groups[inv.Cohort] = true
		s.grouped++
	}
	if inv.Of != nil && cohort.WaitsForApproval(inv.Of) {
		s.approvals = append(s.approvals, inv.Of)
	}
	if inv.Revision > 0 {
		s.revised++
	}
	for _, t := range inv.Techniques {
		s.techniques[t.ID] = true
	}
	for _, u := range inv.Unknowns {
		if what, ok := strings.CutPrefix(u, "blind: "); ok {
			s.blind[what]++
		}
	}
	for _, a := range inv.Actions {
		if a.NeedsApproval {
			s.actions++
		}
	}
}

// humanDecisions is how many decisions people must take: one per deferred verdict, one per plan
// that covers others of its attack, and one per cohort of benign proposals.
func (s *summary) humanDecisions() int {
	n := len(s.groups) - s.grouped + len(cohort.Plans(s.approvals)) - len(s.approvals)
	for w, c := range s.waits {
		if w != investigate.WaitNone {
			n += c
		}
	}
	return n
}

func (s *summary) write(w io.Writer, took time.Duration, rep *audit.Report) error {
	investigations := 0
	for _, n := range s.classes {
		investigations += n
	}
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-24s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(w, "Summary")
	row("alerts", "%d (%d rejected, %d dropped)", s.alerts, s.rejected, s.dropped)
	row("folded repeats", "%d", s.folded)
	row("investigations", "%d", investigations)
	for _, c := range slices.SortedFunc(maps.Keys(s.classes), func(a, b evidence.Classification) int { return cmp.Compare(s.classes[b], s.classes[a]) }) {
		row("", "%5d %s", s.classes[c], strings.ReplaceAll(string(c), "_", " "))
	}
	row("in state", "%s", counted(s.states))
	row("waiting for approval", "%d, of %d plans", s.waits[investigate.WaitApproval], s.waits[investigate.WaitApproval]+len(cohort.Plans(s.approvals))-len(s.approvals))
	row("waiting for a verdict", "%d, of which %d proposed benign in %d groups", s.waits[investigate.WaitVerdict], s.grouped, len(s.groups))
	if s.alerts > 0 {
		row("human decisions", "%d (%.0f per 1,000 alerts)", s.humanDecisions(), 1000*float64(s.humanDecisions())/float64(s.alerts))
		row("time", "%s in all, %.2f ms per alert, median to verdict %.0f ms", took.Round(time.Millisecond),
			float64(took.Microseconds())/1000/float64(s.alerts), median(s.milliseconds))
	}
	row("indicators, techniques", "%d, %d", len(s.indicators), len(s.techniques))
	for _, what := range slices.Sorted(maps.Keys(s.blind)) {
		row("blind", "%s (%d investigations)", what, s.blind[what])
	}
	verified := "chain verified"
	switch {
	case rep.Records == 0:
		verified = "nothing to verify"
	case !rep.OK():
		verified = fmt.Sprintf("CHAIN BROKEN at record %d", rep.FirstBad)
	}
	_, err := fmt.Fprintf(w, "  %-24s %d, %s\n", "audit records", rep.Records, verified)
	return err
}

// counted lists how many there are of each, the most first.
func counted[K ~string](m map[K]int) string {
	var parts []string
	for _, k := range slices.SortedFunc(maps.Keys(m), func(a, b K) int { return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b)) }) {
		parts = append(parts, fmt.Sprintf("%d %s", m[k], strings.ReplaceAll(string(k), "_", " ")))
	}
	return strings.Join(parts, ", ")
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
