// Package weight holds weights of evidence rules that were fitted to what people decided, beside
// the ones that experts stated: the fit itself, which is shrunk towards the experts and bounded,
// and the table that a product loads.
//
// The package is pure: labelled evidence goes in, a table comes out.
package weight

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"go.yaml.in/yaml/v3"
)

// The bounds of fitting (DESIGN section 6).
const (
	// MinLabels is how many labelled investigations must have an item before its weight moves.
	MinLabels = 20
	// MaxMove is the most, in bits, by which a fitted weight differs from the shipped one.
	MaxMove = 1.5
	// Least is the smallest magnitude, in bits, that fitting leaves of a weight; a smaller shipped
	// one stays. So no weight vanishes or changes its sign.
	Least = 0.25
)

// Fitted is one weight with where it comes from.
type Fitted struct {
	// Rule is the id of the evidence rule, Title its name for people.
	Rule  string `yaml:"rule" json:"rule"`
	Title string `yaml:"title,omitempty" json:"title,omitempty"`
	// Shipped is the weight that the fit started from, Weight what it came to, in bits with the
	// sign of the stance.
	Shipped float64 `yaml:"shipped" json:"shipped"`
	Weight  float64 `yaml:"weight" json:"weight"`
	// N is how many labelled investigations had the item.
	N int `yaml:"n" json:"n"`
	// Low and High bound the weight with 95 % under the fit's own assumptions.
	Low  float64 `yaml:"low" json:"low"`
	High float64 `yaml:"high" json:"high"`
}

// Moved is by how much the weight differs from the shipped one, in bits.
func (f *Fitted) Moved() float64 { return f.Weight - f.Shipped }

// String says where the weight comes from.
func (f *Fitted) String() string {
	return fmt.Sprintf("fitted, n %d, %+.2f to %+.2f bits", f.N, f.Low, f.High)
}

// ErrInvalid says that a table is outside the bounds of fitting.
var ErrInvalid = errors.New("weight: not a table of fitted weights")

// check returns what is wrong with one weight.
func (f *Fitted) check() error {
	finite := func(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
	const slack = 1e-6
	switch {
	case f.Rule == "":
		return errors.New("it names no rule")
	case !finite(f.Shipped) || !finite(f.Weight) || !finite(f.Low) || !finite(f.High):
		return errors.New("a number is missing or infinite")
	case f.Shipped*f.Weight <= 0:
		return fmt.Errorf("%v bits have another sign than the shipped %v", f.Weight, f.Shipped)
	case math.Abs(f.Moved()) > MaxMove+slack:
		return fmt.Errorf("%v bits are more than %v from the shipped %v", f.Weight, MaxMove, f.Shipped)
	case f.N < MinLabels:
		return fmt.Errorf("%d labels are fewer than %d", f.N, MinLabels)
	case f.Low > f.High:
		return fmt.Errorf("the interval from %v to %v is none", f.Low, f.High)
	}
	return nil
}

// Table is a set of fitted weights. It is immutable and safe for concurrent use; a nil Table
// has none.
type Table struct {
	// Labels is how many labelled investigations the fit saw, Brier the held-out scores.
	Labels  int      `yaml:"labels" json:"labels"`
	Shipped Score    `yaml:"held_out_shipped" json:"held_out_shipped"`
	Fitted  Score    `yaml:"held_out_fitted" json:"held_out_fitted"`
	Weights []Fitted `yaml:"weights" json:"weights"`

	byRule map[string]*Fitted
}

// Score is how well weights did on labels that the fit had not seen.
type Score struct {
	Brier  float64 `yaml:"brier" json:"brier"`
	Missed int     `yaml:"missed" json:"missed"`
}

// Worse reports whether s is worse than what it would replace: in either figure.
func (s Score) Worse(than Score) bool {
	return s.Missed > than.Missed || s.Brier > than.Brier
}

// NewTable checks the weights and sorts them by rule. Errors wrap ErrInvalid.
func NewTable(t Table) (*Table, error) {
	t.Weights = slices.Clone(t.Weights)
	slices.SortFunc(t.Weights, func(a, b Fitted) int { return cmp.Compare(a.Rule, b.Rule) })
	t.byRule = make(map[string]*Fitted, len(t.Weights))
	for i := range t.Weights {
		f := &t.Weights[i]
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("%w: rule %q: %w", ErrInvalid, f.Rule, err)
		}
		if t.byRule[f.Rule] != nil {
			return nil, fmt.Errorf("%w: rule %q stands there twice", ErrInvalid, f.Rule)
		}
		t.byRule[f.Rule] = f
	}
	if t.Fitted.Worse(t.Shipped) {
		return nil, fmt.Errorf("%w: it did worse on held-out labels than the shipped weights", ErrInvalid)
	}
	return &t, nil
}

// maxTable bounds the size of a file.
const maxTable = 4 << 20

// Read reads a table as Write writes it; unknown keys are errors, and so is every weight outside
// the bounds. Errors wrap ErrInvalid, or are those of reading.
func Read(r io.Reader) (*Table, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxTable+1))
	if err != nil {
		return nil, fmt.Errorf("read weights: %w", err)
	}
	if len(b) > maxTable {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrInvalid, maxTable)
	}
	var t Table
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&t); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return NewTable(t)
}

// Write writes the table as YAML.
func (t *Table) Write(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Weights of evidence rules, in bits, fitted to labelled alerts by `aluskort eval fit`.\n"+
		"# Name this file in the configuration as reason.weights. Rules that are not here keep their shipped weight.\n")
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(t), enc.Close()); err != nil {
		return fmt.Errorf("write weights: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Of returns the fitted weight of a rule, nil when it has none or was fitted for another
// shipped weight than the rule has now.
func (t *Table) Of(rule string, shipped float64) *Fitted {
	if t == nil {
		return nil
	}
	f := t.byRule[rule]
	if f == nil || math.Abs(f.Shipped-shipped) > 1e-9 {
		return nil
	}
	return f
}
