// Package detect is the injection sensor of the context gateway. It looks at one field at a
// time and tells whether its text tries to steer the model that will read it.
//
// Three sensors see the canonical text and everything that encodings in it hide: patterns
// (concepts found by an automaton, joined by order and distance), weights of hashed character
// n-grams, and forged structure (roles, templates, answers, tool calls, closed data blocks). A
// trained linear model joins them. It is a sensor and not a boundary: what it misses must be
// held by the structure around it.
package detect

import (
	"math/bits"
	"sync"

	"github.com/aluskort/aluskort/internal/gateway/canon"
)

// Action is what is to become of a field.
type Action uint8

// Actions, from the mildest.
const (
	// Pass hands the field on.
	Pass Action = iota
	// Summary hands on the result of Summarise.
	Summary
	// Quarantine keeps the field from the model.
	Quarantine
)

// String returns pass, summarise or quarantine.
func (a Action) String() string {
	switch a {
	case Summary:
		return "summarise"
	case Quarantine:
		return "quarantine"
	}
	return "pass"
}

// Finding is what the sensor says about one field.
type Finding struct {
	Action Action
	// Score is the probability, between 0 and 1, that the text is an injection.
	Score float64
	// Hits say what was found and where. They are empty when Action is Pass.
	Hits []Hit
	// Canonical is the text in canonical form.
	Canonical string
	// Hidden is set when the text holds characters that a reader does not see as they are.
	Hidden bool
}

// Hit is a stretch of the given text, in bytes.
type Hit struct {
	// Kind is the kind of order or structure, or "language" where only the n-grams spoke.
	Kind       string
	Start, End int
}

// Detector finds injections. It is safe for concurrent use.
type Detector struct {
	lex   *lexicon
	canon *canon.Canoniser
	model *Model
	pool  sync.Pool
}

// New returns a detector with the weights that ship.
func New() (*Detector, error) {
	lex, err := newLexicon()
	if err != nil {
		return nil, err
	}
	m, err := decodeModel(shippedWeights, lex)
	if err != nil {
		return nil, err
	}
	return newDetector(lex, m), nil
}

// With returns a detector with other weights.
func With(m *Model) (*Detector, error) {
	lex, err := newLexicon()
	if err != nil {
		return nil, err
	}
	if m.digest != lex.digest || len(m.features) != lex.features() {
		return nil, ErrWeights
	}
	return newDetector(lex, m), nil
}

func newDetector(lex *lexicon, m *Model) *Detector {
	d := &Detector{lex: lex, canon: canon.New(), model: m}
	d.pool.New = func() any { return newScanner(lex, m.grams) }
	return d
}

func newScanner(lex *lexicon, grams []int8) *scanner {
	return &scanner{lex: lex, grams: grams, stages: make([]progress, len(lex.rules)*maxStages)}
}

// Field judges one field by its text alone.
func (d *Detector) Field(text string) Finding {
	t := d.canon.Text(text)
	f := Finding{Canonical: t.Canonical, Hidden: t.Signs.Hidden()}
	s := d.pool.Get().(*scanner)
	defer d.pool.Put(s)
	signs := d.lex.signs(&t.Signs)
	best := d.read(s, t.Canonical, signs, &f, t.Raw)
	for i := range t.Views {
		v := &t.Views[i]
		best = max(best, d.read(s, v.Text, d.lex.viewSigns(signs, v.How), &f, func(int, int) (int, int) { return v.Start, v.End }))
	}
	f.Score = sigmoid(best)
	f.Action = d.model.action(best)
	if f.Action == Pass {
		f.Hits = nil
	}
	return f
}

func (m *Model) action(logit float32) Action {
	switch {
	case logit >= m.quarantine:
		return Quarantine
	case logit >= m.summarise:
		return Summary
	}
	return Pass
}

// read scans one text and returns its highest logit. Hits are noted for chunks above the lower
// threshold.
func (d *Detector) read(s *scanner, text string, field bitset, f *Finding, raw func(int, int) (int, int)) float32 {
	s.scan(text)
	best := float32(-100)
	s.chunks(d.model, func(c *chunk) {
		logit := d.model.logit(c, field)
		if logit >= d.model.summarise {
			d.hits(s, c, f, raw)
		}
		best = max(best, logit)
	})
	return best
}

// maxHits bounds the hits of one field.
const maxHits = 64

// hits notes what was found in a chunk.
func (d *Detector) hits(s *scanner, c *chunk, f *Finding, raw func(int, int) (int, int)) {
	last := min(c.first+chunkSize, len(s.blocks)) - 1
	from, to := s.blocks[c.first].start, s.blocks[last].end
	for _, fr := range s.fires {
		if fr.end <= from || fr.end > to || d.model.features[fr.feature] <= 0 {
			continue
		}
		kind, strength := d.lex.describe(fr.feature)
		if strength >= 2 {
			start, end := raw(int(fr.start), int(fr.end))
			f.add(Hit{Kind: kind, Start: start, End: end})
		}
	}
	if c.gram > 0 {
		b := &s.blocks[max(c.gramAt-window+1, 0)]
		start, end := raw(int(b.start), int(s.blocks[c.gramAt].end))
		f.add(Hit{Kind: "language", Start: start, End: end})
	}
	if len(f.Hits) == 0 {
		start, end := raw(int(from), int(to))
		f.add(Hit{Kind: "language", Start: start, End: end})
	}
}

// add notes a hit, joined to one of the same kind that it overlaps.
func (f *Finding) add(h Hit) {
	for i := len(f.Hits) - 1; i >= max(0, len(f.Hits)-16); i-- {
		o := &f.Hits[i]
		if o.Kind == h.Kind && h.Start <= o.End && o.Start <= h.End {
			o.Start, o.End = min(o.Start, h.Start), max(o.End, h.End)
			return
		}
	}
	if len(f.Hits) < maxHits {
		f.Hits = append(f.Hits, h)
	} else {
		last := &f.Hits[maxHits-1]
		last.Start, last.End = min(last.Start, h.Start), max(last.End, h.End)
	}
}

// describe returns the kind and strength of a feature.
func (l *lexicon) describe(feature int) (kind string, strength int) {
	if feature < len(l.rules) {
		return l.rules[feature].kind, l.rules[feature].strength
	}
	s := &structures[feature-len(l.rules)]
	return s.kind, s.strength
}

// signs are the features that hold for the whole field.
func (l *lexicon) signs(s *canon.Signs) bitset {
	var b bitset
	set := func(on bool, what int) {
		if on {
			b.set(len(l.rules) + what)
		}
	}
	set(s.ZeroWidth > 1, signZeroWidth)
	set(s.Tags > 0, signTags)
	set(s.Bidi > 0, signBidi)
	set(s.Homoglyphs > 0, signHomoglyphs)
	set(s.Marks > 4, signMarks)
	return b
}

// viewSigns adds how a view was encoded.
func (l *lexicon) viewSigns(b bitset, how string) bitset {
	what := viewEncoded
	switch how {
	case "spaced", "leet":
		what = viewDisguised
	case "tags", "selectors", "reversed":
		what = viewInvisible
	case "percent", "html", "escape":
		// The usual clothes of ordinary text.
		return b
	}
	b.set(len(l.rules) + what)
	return b
}

func trailing(w uint64) int { return bits.TrailingZeros64(w) }
