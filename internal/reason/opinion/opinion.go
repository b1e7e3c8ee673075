// Package opinion is what a language model thinks of an investigation, and how much of that
// counts. A model adds to what was proved and never removes it: its citations become evidence
// towards malicious within fixed bounds, and a benign opinion is a proposal to a person. What a
// model can do is decided here, from typed values, so that it holds whatever a model answers.
package opinion

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/evidence"
)

// Bounds of what a model may add (DESIGN section 6, "Model reasoner").
const (
	MaxBitsPerItem = 2
	MaxBits        = 3
	// MaxCitations bounds how many items one opinion yields.
	MaxCitations = 16
)

// Opinion is a validated answer: every citation resolved when it was given, techniques exist,
// texts are bounded and free of addresses.
type Opinion struct {
	Classification evidence.Classification `json:"classification"`
	Confidence     float64                 `json:"confidence"`
	Citations      []Citation              `json:"citations,omitempty"`
	Unknowns       []string                `json:"unknowns,omitempty"`
	// Alternative is the best competing explanation.
	Alternative string   `json:"alternative,omitempty"`
	Techniques  []string `json:"techniques,omitempty"`
	// Actions are those of the offered ones that the model would take first.
	Actions []Action `json:"actions,omitempty"`

	// Model is the one that answered; Tier is the one that was asked for.
	Model    string `json:"model"`
	Provider string `json:"provider"`
	Tier     string `json:"tier"`
	// Escalated says that a stronger model was asked after a first, uncertain answer.
	Escalated bool      `json:"escalated,omitempty"`
	At        time.Time `json:"at"`
	// Input identifies what was asked about: Digest of the evidence at that time.
	Input string `json:"input"`
}

// Citation is what the opinion rests on: an item of evidence, by its id, or a place in the native
// record, by its JSON pointer. Bits is how much more the model reads into it, towards malicious
// when positive.
type Citation struct {
	Evidence string  `json:"evidence,omitempty"`
	Ref      string  `json:"ref,omitempty"`
	Bits     float64 `json:"bits"`
	Why      string  `json:"why"`
}

func (c *Citation) place() string { return cmp.Or(c.Evidence, c.Ref) }

// Action is one of the actions that were offered.
type Action struct {
	Action string `json:"action"`
	Target string `json:"target"`
}

// idPrefix begins the id of every item that rests on an opinion; Kind is the kind of all.
const (
	idPrefix = "model:"
	Kind     = "model.assessment"
)

// IsModel reports whether an item rests on the opinion of a model.
func IsModel(e *evidence.Evidence) bool { return strings.HasPrefix(e.ID, idPrefix) }

// Evidence is what the opinion adds to the items that it cites. Only what speaks for an attack
// counts, and only when the opinion calls it one: at most MaxBitsPerItem each and MaxBits
// together. Citations that do not resolve add nothing. The result depends on the opinion and on
// which cited items exist, never on their order.
func (o *Opinion) Evidence(items []evidence.Evidence) []evidence.Evidence {
	if o == nil || o.Classification != evidence.TruePositive && o.Classification != evidence.Suspicious {
		return nil
	}
	cited := slices.Clone(o.Citations)
	slices.SortStableFunc(cited, func(a, b Citation) int {
		return cmp.Or(cmp.Compare(b.Bits, a.Bits), cmp.Compare(a.place(), b.place()), cmp.Compare(a.Why, b.Why))
	})
	var out []evidence.Evidence
	left := float64(MaxBits)
	for _, c := range cited {
		bits := min(c.Bits, MaxBitsPerItem, left)
		if !(bits > 0) || len(out) == MaxCitations {
			break
		}
		id := idPrefix + c.place()
		what, ok := c.resolve(items)
		if !ok || slices.ContainsFunc(out, func(e evidence.Evidence) bool { return e.ID == id }) {
			continue
		}
		left -= bits
		out = append(out, evidence.Evidence{
			ID: id, Kind: Kind, Stance: evidence.For, Weight: math.Round(bits*1e6) / 1e6, Group: id,
			Statement: fmt.Sprintf("The model %s reads more into %s: %s", o.Model, what, strings.TrimSuffix(c.Why, ".")),
			Source:    o.Model, Refs: []string{c.place()}, ObservedAt: o.At, Trust: evidence.TrustExternal,
		})
	}
	return out
}

// resolve names what is cited. Places in the record resolved when the answer was given, and the
// record does not change.
func (c *Citation) resolve(items []evidence.Evidence) (string, bool) {
	if c.Evidence == "" {
		return c.Ref, c.Ref != ""
	}
	at := slices.IndexFunc(items, func(e evidence.Evidence) bool { return e.ID == c.Evidence && !IsModel(&e) })
	if at < 0 {
		return "", false
	}
	return strconv.Quote(cut(items[at].Statement, 120)), true
}

func cut(s string, n int) string {
	for i := range s {
		if i >= n {
			return s[:i] + "…"
		}
	}
	return s
}

// Proposal says what the opinion proposes to the person who decides about a deferred verdict,
// empty when it proposes nothing. A benign opinion is no more than that, and not even that where
// evidence about the safety of a physical process speaks for an attack.
func (o *Opinion) Proposal(v *evidence.Verdict, items []evidence.Evidence) string {
	if o == nil || !v.Classification.Deferred() || !o.Classification.Benign() {
		return ""
	}
	for i := range items {
		if items[i].Safety && items[i].Weight > 0 {
			return ""
		}
	}
	return fmt.Sprintf("the model %s proposes %s (%.0f %% sure): %s", o.Model, o.Classification, 100*o.Confidence, o.reason())
}

func (o *Opinion) reason() string {
	best := ""
	bits := 0.0
	for _, c := range o.Citations {
		if c.Why != "" && (best == "" || c.Bits < bits) {
			best, bits = c.Why, c.Bits
		}
	}
	return cmp.Or(best, "it gives no reason")
}
