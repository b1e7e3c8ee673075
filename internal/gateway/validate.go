package gateway

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/reason/opinion"
)

// Bounds of an answer.
const (
	maxAnswerBytes = 64 << 10
	maxTextRunes   = 600
	maxAnswerItems = 32
)

// invalid is why an answer is not let through. Its text is ours: it quotes nothing of the answer
// but codes, so that it may be put before the model again.
type invalid struct{ reason string }

func (e *invalid) Error() string { return e.reason }

func refuse(format string, args ...any) error { return &invalid{fmt.Sprintf(format, args...)} }

// investigationAnswer is the strict form of an answer about an investigation.
type investigationAnswer struct {
	Request        string        `json:"request"`
	Classification string        `json:"classification"`
	Confidence     *float64      `json:"confidence"`
	Citations      []citedAnswer `json:"citations"`
	Unknowns       []string      `json:"unknowns"`
	Alternative    string        `json:"alternative"`
	Techniques     []string      `json:"techniques"`
	Actions        []string      `json:"actions"`
}

type citedAnswer struct {
	Code string   `json:"code"`
	Bits *float64 `json:"bits"`
	Why  string   `json:"why"`
}

type extractionAnswer struct {
	Request    string            `json:"request"`
	Indicators []indicatorAnswer `json:"indicators"`
}

type indicatorAnswer struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type summaryAnswer struct {
	Request string `json:"request"`
	Summary string `json:"summary"`
}

// complete refuses a response that is not a whole answer, before anything in it is looked at.
func (p *prompt) complete(r *llm.Response) error {
	switch {
	case r.Stop == llm.StopRefusal:
		return refuse("the model refused to answer")
	case r.Stop == llm.StopLength || r.Stop == llm.StopContext:
		return refuse("the answer was cut before its end (%s)", r.Stop)
	case r.Stop != llm.StopEnd:
		return refuse("the answer did not come to an end (%s)", r.Stop)
	case len(r.Text) > maxAnswerBytes:
		return refuse("the answer is longer than %d bytes", maxAnswerBytes)
	case strings.TrimSpace(r.Text) == "":
		return refuse("the answer is empty")
	}
	if leaked := p.leak(r.Text); leaked != "" {
		return refuse("the answer repeats the %s of the request", leaked)
	}
	return nil
}

// leak names a secret of the request that the answer repeats.
func (p *prompt) leak(answer string) string {
	switch {
	case strings.Contains(answer, p.canary):
		return "reference"
	case strings.Contains(answer, p.marker):
		return "marker"
	}
	return ""
}

// strictly decodes an answer: one JSON value, no member twice, nothing around it.
func strictly(answer string, into any) error {
	if err := json.Unmarshal([]byte(answer), into, json.RejectUnknownMembers(true)); err != nil {
		if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			return refuse("the answer is not one JSON object (at byte %d)", syntax.ByteOffset)
		}
		if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
			return refuse("a member of the answer has the wrong type or is not in the schema (at byte %d)", semantic.ByteOffset)
		}
		return refuse("the answer is not one JSON object")
	}
	return nil
}

func (p *prompt) sameRequest(id string) error {
	if id != p.id {
		return refuse("the answer is for another request")
	}
	return nil
}

// addresses are what makes text something that can be clicked, fetched or rendered.
var addresses = []string{"://", "](", "www.", "data:", "javascript:", "mailto:", "<img", "<a ", "<script"}

// prose checks free text of an answer and gives back the names behind its stand-ins.
func (p *prompt) prose(what, s string) (string, error) {
	low := strings.ToLower(s)
	for _, a := range addresses {
		if strings.Contains(low, a) {
			return "", refuse("%s holds an address or markup", what)
		}
	}
	if utf8.RuneCountInString(s) > maxTextRunes {
		return "", refuse("%s is longer than %d characters", what, maxTextRunes)
	}
	s = strings.ReplaceAll(s, p.mark, " ")
	s, unknown := p.session.Restore(s)
	if len(unknown) > 0 {
		return "", refuse("%s uses a stand-in that was not given", what)
	}
	return strings.TrimSpace(s), nil
}

// opinion checks an answer about an investigation. Techniques that do not exist are set aside and
// returned; everything else that is not as asked refuses the whole answer.
func (p *prompt) opinion(answer string, q *Question, exists func(string) bool) (*opinion.Opinion, []string, error) {
	var a investigationAnswer
	if err := strictly(answer, &a); err != nil {
		return nil, nil, err
	}
	if err := p.sameRequest(a.Request); err != nil {
		return nil, nil, err
	}
	o := &opinion.Opinion{Classification: evidence.Classification(a.Classification)}
	switch o.Classification {
	case evidence.TruePositive, evidence.BenignTruePositive, evidence.FalsePositive, evidence.Suspicious, evidence.InvestigationRequired:
	default:
		return nil, nil, refuse(`"classification" is none of the five`)
	}
	if a.Confidence == nil || !(*a.Confidence >= 0 && *a.Confidence <= 1) {
		return nil, nil, refuse(`"confidence" is not a number from 0 to 1`)
	}
	o.Confidence = *a.Confidence
	if a.Citations == nil || a.Unknowns == nil || a.Techniques == nil || a.Actions == nil {
		return nil, nil, refuse("a required list is missing")
	}
	if max(len(a.Citations), len(a.Unknowns), len(a.Techniques), len(a.Actions)) > maxAnswerItems {
		return nil, nil, refuse("a list has more than %d items", maxAnswerItems)
	}
	if err := p.cite(o, a.Citations); err != nil {
		return nil, nil, err
	}
	if o.Classification != evidence.InvestigationRequired && len(o.Citations) == 0 {
		return nil, nil, refuse("a classification that decides cites nothing")
	}
	for _, u := range a.Unknowns {
		u, err := p.prose(`an item of "unknowns"`, u)
		if err != nil {
			return nil, nil, err
		}
		o.Unknowns = append(o.Unknowns, u)
	}
	var err error
	if o.Alternative, err = p.prose(`"alternative"`, a.Alternative); err != nil {
		return nil, nil, err
	}
	for _, code := range a.Actions {
		at, ok := p.choices[code]
		if !ok {
			return nil, nil, refuse("an action was not offered")
		}
		if c := q.Choices[at]; !slices.Contains(o.Actions, c) {
			o.Actions = append(o.Actions, c)
		}
	}
	var quarantined []string
	for _, id := range a.Techniques {
		switch {
		case !alert.IsTechniqueID(id) || !exists(id):
			quarantined = append(quarantined, identifier(cutText(id, 40)))
		case !slices.Contains(o.Techniques, id):
			o.Techniques = append(o.Techniques, id)
		}
	}
	return o, quarantined, nil
}

func (p *prompt) cite(o *opinion.Opinion, cited []citedAnswer) error {
	for i := range cited {
		c := &cited[i]
		if c.Bits == nil || math.IsNaN(*c.Bits) || math.Abs(*c.Bits) > opinion.MaxBitsPerItem {
			return refuse(`"bits" is not a number from -%d to %d`, opinion.MaxBitsPerItem, opinion.MaxBitsPerItem)
		}
		why, err := p.prose(`"why"`, c.Why)
		if err != nil {
			return err
		}
		out := opinion.Citation{Bits: *c.Bits, Why: why}
		id, isEvidence := p.evidence[c.Code]
		ref, isField := p.fields[c.Code]
		switch {
		case isEvidence:
			out.Evidence = id
		case isField:
			out.Ref = ref
		default:
			return refuse("a citation does not resolve")
		}
		o.Citations = append(o.Citations, out)
	}
	return nil
}

// indicators checks what a model read out of text: only what really stands there is kept. held
// reports whether the text of the question holds a value in any of its written forms.
func (p *prompt) indicators(answer string, held func(alert.IndicatorType, string) (alert.Indicator, bool)) ([]alert.Indicator, error) {
	var a extractionAnswer
	if err := strictly(answer, &a); err != nil {
		return nil, err
	}
	if err := p.sameRequest(a.Request); err != nil {
		return nil, err
	}
	if a.Indicators == nil || len(a.Indicators) > 4*maxAnswerItems {
		return nil, refuse(`"indicators" is missing or too long`)
	}
	var out []alert.Indicator
	for _, i := range a.Indicators {
		value, unknown := p.session.Restore(strings.ReplaceAll(i.Value, p.mark, " "))
		if len(unknown) > 0 {
			return nil, refuse("an indicator uses a stand-in that was not given")
		}
		if found, ok := held(alert.IndicatorType(i.Type), value); ok {
			out = append(out, found)
		}
	}
	return out, nil
}

func (p *prompt) summary(answer string) (string, error) {
	var a summaryAnswer
	if err := strictly(answer, &a); err != nil {
		return "", err
	}
	if err := p.sameRequest(a.Request); err != nil {
		return "", err
	}
	if strings.TrimSpace(a.Summary) == "" {
		return "", refuse("the summary is empty")
	}
	return p.prose(`"summary"`, a.Summary)
}
