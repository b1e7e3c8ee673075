// Package registry is the dated table of models, prices, tiers and tasks. Tables ship as
// profiles and are overridden by configuration; what a table does not say is unknown, and an
// unknown price or window refuses the call. Money is exact: integers, rounded up.
package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/llm"
)

var (
	// ErrInvalid wraps every fault of a table; the text names the place.
	ErrInvalid = errors.New("registry: invalid table")
	// ErrNoModel says that the table does not know the model.
	ErrNoModel = errors.New("registry: unknown model")
	// ErrNoPrice says that no price of the model is known at that time. It is never zero.
	ErrNoPrice = errors.New("registry: unknown price")
	// ErrUsage says that a usage is impossible: negative, or beyond any model.
	ErrUsage = errors.New("registry: impossible usage")
)

// Tier is a class of models.
type Tier string

// The tiers (REFERENCE section 11.1): fast, reasoning, escalation, batch.
const (
	T0     Tier = "T0"
	T1     Tier = "T1"
	T1Plus Tier = "T1+"
	T2     Tier = "T2"
)

// Tiers returns all tiers in order.
func Tiers() []Tier { return []Tier{T0, T1, T1Plus, T2} }

// Known reports whether t is a tier.
func (t Tier) Known() bool { return slices.Contains(Tiers(), t) }

// Ref names a model of a provider.
type Ref struct {
	Provider string `json:"provider"`
	Model    string `json:"model"`
}

// String returns "provider/model".
func (r Ref) String() string { return r.Provider + "/" + r.Model }

// ParseRef reads "provider/model"; the model's own name may hold further slashes.
func ParseRef(s string) (Ref, error) {
	provider, model, ok := strings.Cut(s, "/")
	r := Ref{provider, model}
	if !ok || !validProvider(provider) || !validModel(model) {
		return Ref{}, fmt.Errorf("%w: %q is not provider/model", ErrInvalid, clip(s))
	}
	return r, nil
}

// Reliability says how well a model keeps to a schema.
type Reliability int8

// The reliabilities, lowest first. Unstated meets no need.
const (
	Unstated Reliability = iota
	LowJSON
	MediumJSON
	HighJSON
)

var reliabilityNames = [...]string{"unstated", "low", "medium", "high"}

// String returns the word of the table.
func (r Reliability) String() string {
	if r < Unstated || r > HighJSON {
		return fmt.Sprintf("reliability(%d)", int8(r))
	}
	return reliabilityNames[r]
}

// MarshalText implements encoding.TextMarshaler.
func (r Reliability) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Reliability) UnmarshalText(b []byte) error {
	i := slices.Index(reliabilityNames[1:], string(b))
	if i < 0 {
		return fmt.Errorf("%q is not a reliability (low, medium, high)", clip(string(b)))
	}
	*r = Reliability(i + 1)
	return nil
}

// Model is what the table says about one model. Zero means not stated.
type Model struct {
	Ref
	Aliases   []string    `json:"aliases,omitempty"`
	Context   int64       `json:"context,omitempty"`    // tokens of the window, prompt and answer
	MaxOutput int         `json:"max_output,omitempty"` // tokens
	JSON      Reliability `json:"json"`
	Tools     bool        `json:"tools"`
	Thinking  bool        `json:"thinking"`
	Batch     bool        `json:"batch"`
	Retires   time.Time   `json:"retires,omitzero"` // end of life at the provider
	Note      string      `json:"note,omitempty"`
	Prices    []Price     `json:"prices,omitempty"` // by From, ascending
}

// Stated reports whether the table says enough about the model to ask it, but for its price.
func (m *Model) Stated() bool { return m.Context > 0 && m.MaxOutput > 0 && m.JSON > Unstated }

// TierSpec is what a call of a tier may use.
type TierSpec struct {
	Models    []Ref         `json:"models"` // in order of preference
	MaxOutput int           `json:"max_output"`
	Thinking  int           `json:"thinking"` // of a call that was lifted to this tier
	Latency   time.Duration `json:"latency"`  // what users are promised
	Timeout   time.Duration `json:"timeout"`  // when one attempt is given up
}

// TaskSpec is what a task needs.
type TaskSpec struct {
	Tier       Tier          `json:"tier"`
	JSON       Reliability   `json:"json"`
	Tools      bool          `json:"tools"`
	MinContext int64         `json:"min_context"`
	Latency    time.Duration `json:"latency"`
	MaxOutput  int           `json:"max_output"`
	Thinking   int           `json:"thinking"`
	Reasoning  bool          `json:"reasoning"`
}

// Table is one profile with its overrides. It does not change and is safe for concurrent use.
type Table struct {
	profile string
	asOf    time.Time
	models  []Model
	index   map[Ref]int
	tiers   map[Tier]TierSpec
	tasks   map[llm.Task]TaskSpec
}

// Profile returns the name of the profile.
func (t *Table) Profile() string { return t.profile }

// AsOf is the day on which the profile was true; zero when it does not say.
func (t *Table) AsOf() time.Time { return t.asOf }

// Models returns all models in the order of the table. The caller must not change them.
func (t *Table) Models() []Model { return t.models }

// Model returns the model of that exact name.
func (t *Table) Model(ref Ref) (*Model, error) {
	i, ok := t.index[ref]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrNoModel, ref)
	}
	return &t.models[i], nil
}

// Answered finds the model behind the name that a provider answers with, which may be an alias
// or a dated snapshot (name-20261001, name-2026-10-01).
func (t *Table) Answered(ref Ref) (*Model, error) {
	if m, err := t.Model(ref); err == nil {
		return m, nil
	}
	for i := range t.models {
		m := &t.models[i]
		if m.Provider == ref.Provider && (slices.Contains(m.Aliases, ref.Model) || snapshot(m.Ref.Model, ref.Model)) {
			return m, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrNoModel, ref)
}

// snapshot reports whether answered is name with a date behind it.
func snapshot(name, answered string) bool {
	rest, ok := strings.CutPrefix(answered, name+"-")
	if !ok {
		return false
	}
	for _, layout := range [...]string{"20060102", time.DateOnly} {
		if _, err := time.Parse(layout, rest); err == nil {
			return true
		}
	}
	return false
}

// Tier returns what a tier may use.
func (t *Table) Tier(tier Tier) TierSpec { return t.tiers[tier] }

// Task returns what a task needs. A task that the table does not know needs what an
// investigation needs; known is false then.
func (t *Table) Task(task llm.Task) (spec TaskSpec, known bool) {
	if spec, known = t.tasks[task]; known {
		return spec, true
	}
	return t.tasks[llm.Investigation], false
}

// Warnings says what an operator should know about the table at that time, in words.
func (t *Table) Warnings(at time.Time) []string {
	var out []string
	for _, tier := range Tiers() {
		usable := 0
		for _, ref := range t.tiers[tier].Models {
			m, err := t.Model(ref)
			if err != nil {
				continue
			}
			switch _, err := m.PriceAt(at); {
			case err != nil:
				out = append(out, fmt.Sprintf("tier %s: %s has no price and is refused until one is stated", tier, ref))
			case !m.Stated():
				out = append(out, fmt.Sprintf("tier %s: %s has no context, max_output or json stated and is refused until they are", tier, ref))
			default:
				usable++
			}
			if !m.Retires.IsZero() && !at.Before(m.Retires) {
				out = append(out, fmt.Sprintf("tier %s: %s is past its end of life of %s", tier, ref, m.Retires.Format(time.DateOnly)))
			}
		}
		if usable == 0 {
			out = append(out, fmt.Sprintf("tier %s has no model that may be asked", tier))
		}
	}
	return out
}
