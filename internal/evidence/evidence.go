// Package evidence is what is known about an alert and what follows from it: items of
// evidence with their weights, the verdict that cites them, and the contract of a source
// of evidence.
package evidence

import (
	"context"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// Stance says which way an item speaks.
type Stance string

// The stances.
const (
	For     Stance = "for"
	Against Stance = "against"
	Context Stance = "context"
)

// Trust says who could have written what an item was read from.
type Trust string

// The levels of trust.
const (
	// TrustSystem was written by the sensor or by an administrator.
	TrustSystem Trust = "system"
	// TrustAttacker may have been written by whoever caused the alert.
	TrustAttacker Trust = "attacker_writable"
	// TrustExternal comes from a third party, such as a feed of indicators.
	TrustExternal Trust = "external"
)

// Evidence is one item. Weight is log-odds in bits: +1 doubles the odds of malicious.
type Evidence struct {
	// ID is unique within the investigation and derived from what the item rests on, so that
	// the same observation gets the same id in any order and at any time.
	ID        string `json:"id"`
	Kind      string `json:"kind"`
	Stance    Stance `json:"stance"`
	Statement string `json:"statement"`
	// Weight is what the item is worth alone; Counted is what was left after grouping and caps.
	Weight  float64 `json:"weight"`
	Counted float64 `json:"counted"`
	// WeightFrom says how the weight was fitted, from how many labels and within which interval;
	// empty for what experts stated.
	WeightFrom string `json:"weight_from,omitempty"`
	// Source names who says so: a rule id, a feed, an enricher.
	Source string `json:"source"`
	// Refs are JSON pointers into the alert, or ids of records.
	Refs []string `json:"refs,omitempty"`
	// Group names what the item was read from; items of a group are not independent.
	Group      string    `json:"group,omitempty"`
	ObservedAt time.Time `json:"observed_at,omitzero"`
	// FreshnessSeconds is the age of what the item rests on when it was used, 0 when it cannot age.
	FreshnessSeconds int64 `json:"freshness_seconds,omitempty"`
	Trust            Trust `json:"trust,omitempty"`
	// Techniques are the ATT&CK or ATLAS ids that the item speaks of.
	Techniques []string `json:"techniques,omitempty"`
	// Expected marks a benign item that proves authorised activity (test, change window, known
	// administrator and tool, approved exception) rather than an error of the detection.
	Expected bool `json:"expected,omitempty"`
	// Cites names what the organisation says about itself that a benign item rests on ("scanner:
	// scan-1.example.com"), in words that are the same for every alert that rests on it; sorted.
	Cites []string `json:"cites,omitempty"`
	// Safety marks evidence about the safety of a physical process: it vetoes every automatic closing.
	Safety bool `json:"safety,omitempty"`
	// Voids lists kinds of evidence that this benign item does not survive.
	Voids []string `json:"voids,omitempty"`
}

// Classification is the outcome of an investigation.
type Classification string

// The classifications. The last two are deferred: a person decides.
const (
	TruePositive          Classification = "true_positive"
	BenignTruePositive    Classification = "benign_true_positive"
	FalsePositive         Classification = "false_positive"
	Suspicious            Classification = "suspicious"
	InvestigationRequired Classification = "investigation_required"
)

// Deferred reports whether c leaves the decision to a person.
func (c Classification) Deferred() bool { return c == Suspicious || c == InvestigationRequired }

// Benign reports whether c calls the alert harmless.
func (c Classification) Benign() bool { return c == FalsePositive || c == BenignTruePositive }

// Verdict is what an investigation concluded, with what it rests on.
type Verdict struct {
	Classification Classification `json:"classification"`
	// Reason qualifies a false positive: "logic" (the detection is wrong) or "data" (its input is).
	Reason string `json:"reason,omitempty"`
	// Confidence is the probability that the classification is right.
	Confidence float64 `json:"confidence"`
	// Probability is P(malicious), from Prior plus the counted weights.
	Probability float64 `json:"malicious_probability"`
	// Prior is the log-odds in bits before any evidence; PriorSource says where it comes from.
	Prior       float64        `json:"prior"`
	PriorSource string         `json:"prior_source"`
	Severity    alert.Severity `json:"severity"`
	// Citations are ids of evidence; each resolves.
	Citations []string `json:"citations,omitempty"`
	// Unknowns say what was not known: blind sources, missing fields.
	Unknowns    []string `json:"unknowns,omitempty"`
	Alternative string   `json:"alternative,omitempty"`
	// Counterfactual is what the verdict would be without what linked investigations lend.
	Counterfactual string `json:"counterfactual,omitempty"`
	// By is "deterministic", the model id as answered, or the person.
	By       string `json:"by"`
	Revision int    `json:"revision"`
}

// Subject is what a source of evidence is asked about.
type Subject struct {
	Alert    *alert.Alert
	Entities *alert.Entities
}

// Tally is a match that counts only when it repeats: Item becomes evidence when AtLeast
// matches, or distinct values, share Key within Window.
type Tally struct {
	Item  Evidence `json:"item"`
	Key   string   `json:"key"`
	Value string   `json:"value,omitempty"`
	// WindowSeconds is the length of the window.
	WindowSeconds int64 `json:"window_seconds"`
	AtLeast       int   `json:"at_least"`
	// Distinct says that different values are counted and not matches.
	Distinct bool `json:"distinct,omitempty"`
}

// Window is the length of the window.
func (t *Tally) Window() time.Duration { return time.Duration(t.WindowSeconds) * time.Second }

// Finding is what a source says about one subject.
type Finding struct {
	Items []Evidence
	// Tallies are matches of rules that ask for repetition.
	Tallies []Tally
	// Blind says that the source could not look, and why; empty when it could. Unused says that
	// there is nothing to look into by the operator's choice, so that nothing failed.
	Blind  string
	Unused bool
}

// Source contributes evidence. It is asked about whole batches, in parallel with the others.
type Source interface {
	// Name is short and stable; it appears in records and in "blind" notes.
	Name() string
	// Gather appends one Finding per subject, in order. A source that cannot answer says so in
	// Finding.Blind; it returns an error only when the context ended. It must not keep or change
	// the subjects, and must give the same answer for the same subject and the same knowledge.
	Gather(ctx context.Context, subjects []Subject) ([]Finding, error)
}
