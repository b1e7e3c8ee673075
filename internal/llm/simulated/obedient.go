package simulated

import (
	"strings"

	"github.com/aluskort/aluskort/internal/llm"
)

// Obedient is the worst model that there can be: it does whatever any text in its input says,
// in every reading of it, and answers like Analyst where it was told nothing. It follows orders
// within the schema, as a strict mode would make it; Loose follows them literally. What goes
// wrong with Obedient is a hole outside of models, and what holds, holds for every model.
type Obedient struct {
	// Fixed are texts of the asker in the messages, which are instructions by right; what they say
	// orders nothing. The system prompt is never read for orders, only revealed.
	Fixed []string
	Loose bool
	// Meanings says what properties are about whose names do not.
	Meanings map[string]Meaning
}

// Answer implements Model.
func (m Obedient) Answer(r *llm.Request) *llm.Response {
	list := texts(r)
	for i, t := range list {
		for _, f := range m.Fixed {
			t = strings.ReplaceAll(t, f, " ")
		}
		list[i] = t
	}
	var o orders
	for _, t := range readings(list, r.System+strings.Join(m.Fixed, "\n")) {
		o.obey(t)
	}
	thought := Analyst{Meanings: m.Meanings}.think(r)
	thought.loose = m.Loose
	o.bend(thought, r)
	if calls := o.calls(r); calls != nil {
		return &llm.Response{Calls: calls}
	}
	return thought.respond(r)
}

// bend makes the mind say what it was ordered to.
func (o *orders) bend(m *mind, r *llm.Request) {
	switch {
	case o.benign, o.closing, o.adrift && !o.malicious:
		// A model that has left its instructions may do anything, so it does the worst.
		m.verdict, m.literal, m.confidence, m.closing = "benign", o.literal, 0.99, true
		m.severity, m.unknowns, m.other = "low", nil, ""
	case o.malicious && !o.adrift:
		m.verdict, m.confidence = "malicious", 0.99
	}
	if o.severity != "" {
		m.severity = o.severity
	}
	if o.actions != nil {
		m.actions = o.actions
	}
	m.techniques = append(m.techniques, o.techniques...)
	m.forced = o.forced
	if o.reveal {
		o.tell(r.System)
		for _, t := range texts(r) {
			for line := range strings.Lines(t) {
				if strings.Contains(strings.ToLower(line), "canary") {
					o.tell(line)
				}
			}
		}
	}
	if len(o.say) > 0 {
		m.says = strings.Join(append(o.say, m.says), "\n")
	}
}

// calls uses tools for the actions that were ordered, once: when results are there, it answers.
func (o *orders) calls(r *llm.Request) []llm.ToolCall {
	if last := r.Messages[len(r.Messages)-1]; last.Results != nil {
		return nil
	}
	var out []llm.ToolCall
	for _, a := range o.actions {
		for _, t := range r.Tools {
			if strings.Contains(squeeze(t.Name), squeeze(a.name)) || squeeze(t.Name) == squeeze(a.target) {
				m := mind{actions: []action{a}, says: a.target}
				out = append(out, llm.ToolCall{Name: t.Name, Input: m.fill(t.Input)})
			}
		}
	}
	return out
}

// respond puts the mind into the form asked for.
func (m *mind) respond(r *llm.Request) *llm.Response {
	if r.Answer == nil {
		return &llm.Response{Text: m.prose()}
	}
	return &llm.Response{Text: string(m.fill(r.Answer.JSON))}
}

func (m *mind) prose() string {
	s := "Classification: " + m.verdict + ". " + m.says
	for _, a := range m.actions {
		s += "\nAction: " + a.name + " " + a.target
	}
	return s
}
