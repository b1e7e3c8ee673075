package eval

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// Options say what a triage evaluation does beside the plain run.
type Options struct {
	// Controls re-runs under the controls.
	Controls bool
	// Ablate scores again without each rule in turn; it needs Rescore.
	Ablate  bool
	Rescore *Rescorer
	// Seed decides what is random: names, order, places in time.
	Seed uint64
	// Progress hears which run begins; it may be nil.
	Progress func(step string)
}

// Report is the result of a triage evaluation: contract/eval-triage.schema.json.
type Report struct {
	Figures
	// LabelsUnused are labels for which the file has no alert.
	LabelsUnused []string `json:"labels_unused,omitempty"`
	// MissedAlerts and FalseEscalations are the errors, Deferred the positives that wait.
	MissedAlerts     []Case              `json:"missed_alerts"`
	FalseEscalations []Case              `json:"false_escalations"`
	Deferred         []Case              `json:"deferred_positives"`
	Controls         map[string]*Control `json:"controls,omitempty"`
	Ablation         *Ablation           `json:"ablation,omitempty"`
}

// Case is one alert that a reader wants to see.
type Case struct {
	ID             string  `json:"alert_id"`
	Title          string  `json:"title"`
	Step           string  `json:"step,omitempty"`
	Classification string  `json:"classification"`
	Probability    float64 `json:"malicious_probability"`
	// Evidence is the strongest that speaks for the verdict, or, in a deferred one, at all.
	Evidence string  `json:"evidence,omitempty"`
	Bits     float64 `json:"bits,omitempty"`
}

// Control is a run under one control, beside the plain run.
type Control struct {
	Figures
	// Changed counts the labelled and unlabelled alerts whose classification differs from that of
	// the plain run, in any run of the control; Moved those whose probability does.
	Changed int      `json:"changed"`
	Moved   int      `json:"probability_changed"`
	Changes []Change `json:"changes,omitempty"`
	// Runs is how often the control ran; the figures are those of the run that differs most.
	Runs int `json:"runs"`
	// Records is how many records the control changed.
	Records int `json:"records_changed"`
	// The points by which rates differ from the plain run: control minus plain.
	RecallPoints          float64 `json:"recall_points"`
	FalseEscalationPoints float64 `json:"false_escalation_points"`
	// What it tells, in words.
	Note string `json:"note"`
}

// Change is one alert that a control changed.
type Change struct {
	ID    string `json:"alert_id"`
	Title string `json:"title"`
	Plain string `json:"plain"`
	Under string `json:"under_control"`
}

// The names of the controls.
const (
	ControlRenamed     = "renamed"
	ControlInterleaved = "interleaved"
	ControlShuffled    = "shuffled"
	ControlAlone       = "alone"
	ControlNeutral     = "neutral_words"
)

// controlShift is by how much the renamed set is moved: into the past, since a time in the
// future counts as unknown, and by whole hours, so that the windows of folds hold the same.
const controlShift = -(45*24 + 7) * time.Hour

const shuffles = 3

// Triage judges the records, scores the verdicts against the labels, and repeats that under
// the controls if asked.
func Triage(ctx context.Context, judge Judge, records [][]byte, labels map[string]Truth, o Options) (*Report, error) {
	t := &triage{ctx: ctx, judge: judge, records: records, o: o}
	if t.o.Progress == nil {
		t.o.Progress = func(string) {}
	}
	var err error
	if t.base, err = t.run("plain run", records, false); err != nil {
		return nil, err
	}
	t.samples = make([]Sample, len(records))
	for i := range records {
		t.samples[i].Raw = records[i]
	}
	rep := &Report{LabelsUnused: Match(t.samples, t.base, labels)}
	rep.Figures = Score(t.samples, t.base)
	rep.cases(t.samples, t.base)
	if o.Controls {
		if rep.Controls, err = t.controls(&rep.Figures); err != nil {
			return nil, err
		}
	}
	if o.Ablate {
		t.o.Progress("rules removed in turn")
		rep.Ablation = o.Rescore.Ablate(t.samples, t.base)
	}
	return rep, nil
}

type triage struct {
	ctx     context.Context
	judge   Judge
	records [][]byte
	samples []Sample
	base    []Judged
	o       Options
}

func (t *triage) run(step string, records [][]byte, alone bool) ([]Judged, error) {
	t.o.Progress(step)
	out, err := t.judge(t.ctx, records, alone)
	if err == nil {
		err = checkJudged(records, out)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", step, err)
	}
	return out, nil
}

func (t *triage) controls(plain *Figures) (map[string]*Control, error) {
	var around Span
	var err error
	for _, raw := range t.records {
		if around, err = TimesIn(raw, around); err != nil {
			return nil, err
		}
	}
	out := map[string]*Control{}
	for _, c := range []struct {
		name string
		fn   func(Span) (*Control, error)
	}{
		{ControlRenamed, t.renamed}, {ControlInterleaved, t.interleaved}, {ControlShuffled, t.shuffled},
		{ControlAlone, t.alone}, {ControlNeutral, t.neutral},
	} {
		control, err := c.fn(around)
		if err != nil {
			return nil, fmt.Errorf("control %s: %w", c.name, err)
		}
		control.RecallPoints = points(control.Recall, plain.Recall)
		control.FalseEscalationPoints = points(control.FalseEscalation, plain.FalseEscalation)
		out[c.name] = control
	}
	return out, nil
}

// points is a minus b in percentage points, to two digits.
func points(a, b Rate) float64 { return math.Round((a.value()-b.value())*1e4) / 100 }

func (t *triage) renamed(around Span) (*Control, error) {
	names, err := CollectNames(t.records)
	if err != nil {
		return nil, err
	}
	r := NewRenamer(names, t.o.Seed)
	return t.transformed("users, hosts, addresses, domains and ids renamed, times moved", func(raw []byte) ([]byte, error) {
		moved, err := ShiftTimes(raw, controlShift, around)
		if err != nil {
			return nil, err
		}
		return r.Rename(moved)
	})
}

func (t *triage) neutral(Span) (*Control, error) {
	return t.transformed("words of test kits replaced by neutral ones", Neutralise)
}

// transformed judges the records after each went through fn.
func (t *triage) transformed(note string, fn func([]byte) ([]byte, error)) (*Control, error) {
	records, n := make([][]byte, len(t.records)), 0
	for i, raw := range t.records {
		var err error
		if records[i], err = fn(raw); err != nil {
			return nil, err
		}
		if !slices.Equal(raw, records[i]) {
			n++
		}
	}
	judged, err := t.run(note, records, false)
	if err != nil {
		return nil, err
	}
	c := t.compare(judged)
	c.Note, c.Records = note, n
	return c, nil
}

func (t *triage) interleaved(around Span) (*Control, error) {
	records, moved, err := Interleave(t.samples, t.base, around, t.o.Seed)
	if err != nil {
		return nil, err
	}
	judged, err := t.run("negatives moved next to positives of their host", records, false)
	if err != nil {
		return nil, err
	}
	c := t.compare(judged)
	c.Records, c.Note = moved, "each negative moved to within five minutes of a positive on its host, own sessions and processes kept"
	return c, nil
}

func (t *triage) shuffled(Span) (*Control, error) {
	var worst *Control
	changed := map[string]bool{}
	for n := range shuffles {
		order := shuffled(len(t.records), t.o.Seed+uint64(n))
		records := make([][]byte, len(order))
		for to, from := range order {
			records[to] = t.records[from]
		}
		judged, err := t.run(fmt.Sprintf("shuffle %d of %d", n+1, shuffles), records, false)
		if err != nil {
			return nil, err
		}
		back := make([]Judged, len(order))
		for to, from := range order {
			back[from] = judged[to]
		}
		c := t.compare(back)
		for _, x := range c.Changes {
			changed[x.ID] = true
		}
		if worst == nil || c.Changed > worst.Changed || c.Changed == worst.Changed && c.Moved > worst.Moved {
			worst = c
		}
	}
	worst.Changed, worst.Runs, worst.Note = len(changed), shuffles, "the records in another order"
	return worst, nil
}

func (t *triage) alone(Span) (*Control, error) {
	judged, err := t.run("each alert alone", t.records, true)
	if err != nil {
		return nil, err
	}
	c := t.compare(judged)
	c.Note = "one alert at a time in a fresh state: what differs is what links and folds contribute"
	return c, nil
}

// compare scores a run and holds it against the plain one.
func (t *triage) compare(judged []Judged) *Control {
	c := &Control{Figures: Score(t.samples, judged), Runs: 1}
	for i := range judged {
		was, is := verdictOf(&t.base[i]), verdictOf(&judged[i])
		if math.Abs(probabilityOf(&t.base[i])-probabilityOf(&judged[i])) > 1e-6 {
			c.Moved++
		}
		if was == is {
			continue
		}
		c.Changed++
		x := caseOf(&t.samples[i], &t.base[i])
		c.Changes = append(c.Changes, Change{ID: x.ID, Title: x.Title, Plain: was, Under: is})
	}
	return c
}

// cases lists the errors and the positives that wait, the most certain errors first.
func (r *Report) cases(samples []Sample, judged []Judged) {
	r.MissedAlerts, r.FalseEscalations, r.Deferred = []Case{}, []Case{}, []Case{}
	for i := range samples {
		x := caseOf(&samples[i], &judged[i])
		switch c := callOf(&judged[i]); {
		case samples[i].Label == Positive && c == benign:
			r.MissedAlerts = append(r.MissedAlerts, x)
		case samples[i].Label == Negative && c == malicious:
			r.FalseEscalations = append(r.FalseEscalations, x)
		case samples[i].Label == Positive && c == deferred:
			r.Deferred = append(r.Deferred, x)
		}
	}
	rising := func(a, b Case) int { return cmp.Compare(a.Probability, b.Probability) }
	slices.SortStableFunc(r.MissedAlerts, rising)
	slices.SortStableFunc(r.Deferred, rising)
	slices.SortStableFunc(r.FalseEscalations, func(a, b Case) int { return rising(b, a) })
}

func caseOf(s *Sample, j *Judged) Case {
	x := Case{Step: s.Step, Classification: verdictOf(j)}
	if j.Line.Result == nil {
		if ids := idsOf(s.Raw, j); len(ids) > 0 {
			x.ID = ids[0]
		}
		if j.Line.Rejection != nil {
			x.Evidence = j.Line.Rejected.Reason
		}
		return x
	}
	inv := &j.Line.Investigation
	x.ID, x.Title, x.Probability = j.Line.Alert.ID, j.Line.Alert.Title, inv.Probability
	for i := range inv.Evidence {
		e := &inv.Evidence[i]
		w := e.Weight
		if inv.Classification.Benign() {
			w = -w
		} else if inv.Classification.Deferred() {
			w = math.Abs(w)
		}
		if w > 0 && w > math.Abs(x.Bits) {
			x.Evidence, x.Bits = e.Statement, e.Weight
		}
	}
	return x
}
