package detect

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/aluskort/aluskort/internal/gateway/canon"
)

// Sample is one labelled text.
type Sample struct {
	Text   string
	Attack bool
	// Weight is how much the sample counts; 1 is usual.
	Weight float32
	// Group keeps samples together that are near copies of each other.
	Group int
	// Generated samples teach, but the thresholds are set on the others: how often a grammar
	// writes a hard sentence says nothing about how often people do.
	Generated bool
}

// Rates are the shares of harmless training samples that may pass the two thresholds when
// they are judged by weights that never saw them.
type Rates struct{ Summarise, Quarantine float64 }

// DefaultRates are those of the shipped weights.
func DefaultRates() Rates { return Rates{Summarise: 0.0035, Quarantine: 0.001} }

const (
	innerFolds = 3
	epochs     = 8
	gramDecay  = 1e-4
	gramRate   = 0.35
	rounds     = 2
)

// doc is one text of a sample: the canonical text, or a view.
type doc struct {
	blocks []block
	grams  [][]uint32
	field  bitset
}

type example struct {
	docs   []doc
	attack bool
	weight float32
	group  int

	generated bool
}

// Train finds weights. The same samples give the same weights on machines of one architecture;
// others may round differently.
func Train(samples []Sample, rates Rates) (*Model, error) {
	lex, err := newLexicon()
	if err != nil {
		return nil, err
	}
	ex := prepare(lex, samples)
	m := &Model{digest: lex.digest, features: make([]float32, lex.features())}
	outside := make([][]candidate, len(ex))
	for fold := range innerFolds {
		var in, out []int
		for i := range ex {
			if ex[i].group%innerFolds == fold {
				out = append(out, i)
			} else {
				in = append(in, i)
			}
		}
		if len(out) == 0 {
			continue
		}
		w := trainGrams(ex, in)
		q := &Model{}
		q.quantise(w)
		for _, i := range out {
			outside[i] = candidates(&ex[i], q)
		}
	}
	all := make([]int, len(ex))
	for i := range all {
		all[i] = i
	}
	m.fit(lex, ex, outside)
	m.thresholds(ex, outside, rates)
	m.quantise(trainGrams(ex, all))
	return m, nil
}

// prepare reads all samples once.
func prepare(lex *lexicon, samples []Sample) []example {
	c := canon.New()
	s := newScanner(lex, make([]int8, 1<<gramBits))
	out := make([]example, len(samples))
	for i, sample := range samples {
		t := c.Text(sample.Text)
		signs := lex.signs(&t.Signs)
		e := example{attack: sample.Attack, weight: sample.Weight, group: sample.Group, generated: sample.Generated}
		e.docs = append(e.docs, readDoc(s, t.Canonical, signs))
		for _, v := range t.Views {
			e.docs = append(e.docs, readDoc(s, v.Text, lex.viewSigns(signs, v.How)))
		}
		out[i] = e
	}
	return out
}

func readDoc(s *scanner, text string, field bitset) doc {
	var grams [][]uint32
	s.indices = &grams
	s.scan(text)
	for len(grams) < len(s.blocks) {
		grams = append(grams, nil)
	}
	return doc{blocks: slices.Clone(s.blocks), grams: grams, field: field}
}

// instance is a window of n-grams with a label.
type instance struct {
	doc    *doc
	last   int // block in which it ends
	attack bool
	weight float32
}

func (in *instance) each(visit func(uint32)) (n int) {
	for b := max(0, in.last-window+1); b <= in.last; b++ {
		for _, g := range in.doc.grams[b] {
			visit(g)
		}
		n += int(in.doc.blocks[b].n)
	}
	return n
}

func (in *instance) size() int {
	n := 0
	for b := max(0, in.last-window+1); b <= in.last; b++ {
		n += int(in.doc.blocks[b].n)
	}
	return n
}

// trainGrams fits a weight for every n-gram. Of an attack only some stretch is one: after the
// first round only the windows that look most like attacks count for it.
func trainGrams(ex []example, which []int) []float32 {
	w := make([]float32, 1<<gramBits+1)
	for round := range rounds {
		var ins []instance
		for _, i := range which {
			ins = append(ins, instances(&ex[i], w, round == 0)...)
		}
		w = make([]float32, 1<<gramBits+1)
		descend(w, ins)
	}
	return w
}

// instances are the windows of an example.
func instances(e *example, w []float32, all bool) []instance {
	var ins []instance
	for d := range e.docs {
		if d > 0 && !e.attack {
			// What a harmless text encodes is seldom text at all.
			continue
		}
		for b := range e.docs[d].blocks {
			ins = append(ins, instance{doc: &e.docs[d], last: b, attack: e.attack})
		}
	}
	if e.attack && !all && len(ins) > 2 {
		slices.SortStableFunc(ins, func(a, b instance) int {
			x, y := a.score(w), b.score(w)
			switch {
			case x > y:
				return -1
			case x < y:
				return 1
			}
			return 0
		})
		ins = ins[:2+len(ins)/6]
	}
	share := float32(math.Sqrt(float64(len(ins))))
	for i := range ins {
		ins[i].weight = e.weight / share
	}
	return ins
}

func (in *instance) score(w []float32) float32 {
	var sum float32
	n := in.each(func(g uint32) { sum += w[g] })
	return sum/float32(math.Sqrt(float64(3*n+12))) + w[1<<gramBits]
}

// descend is logistic regression by stochastic gradient descent with a rate for each weight.
func descend(w []float32, ins []instance) {
	rng := rand.New(rand.NewPCG(1, 2))
	seen := make([]float32, len(w))
	order := make([]int, len(ins))
	for i := range order {
		order[i] = i
	}
	bias := 1 << gramBits
	for range epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			in := &ins[i]
			x := float32(1 / math.Sqrt(float64(3*in.size()+12)))
			y := float32(0)
			if in.attack {
				y = 1
			}
			delta := (float32(sigmoid(in.score(w))) - y) * in.weight
			if delta > -1e-4 && delta < 1e-4 {
				continue
			}
			g := delta * x
			in.each(func(k uint32) {
				gk := g + gramDecay*w[k]
				seen[k] += gk * gk
				w[k] -= gramRate * gk / float32(math.Sqrt(float64(seen[k])+1e-6))
			})
			seen[bias] += delta * delta
			w[bias] -= gramRate * delta / float32(math.Sqrt(float64(seen[bias])+1e-6))
		}
	}
}

// quantise puts the weights into bytes. The bias goes into the model's own.
func (m *Model) quantise(w []float32) {
	top := float32(0)
	var sizes []float32
	for _, v := range w[:1<<gramBits] {
		if v != 0 {
			sizes = append(sizes, float32(math.Abs(float64(v))))
		}
	}
	slices.Sort(sizes)
	if len(sizes) > 0 {
		top = sizes[len(sizes)*999/1000]
	}
	m.scale = max(top, 1e-6) / 127
	m.grams = make([]int8, 1<<gramBits)
	for i, v := range w[:1<<gramBits] {
		m.grams[i] = int8(max(-127, min(127, math.Round(float64(v/m.scale)))))
	}
	m.offset = w[1<<gramBits]
}

// candidate is a chunk that may stand for its example.
type candidate struct {
	features bitset
	gram     float32
}

func candidates(e *example, m *Model) []candidate {
	var out []candidate
	s := &scanner{}
	for d := range e.docs {
		doc := &e.docs[d]
		s.blocks = s.blocks[:0]
		for b := range doc.blocks {
			blk := doc.blocks[b]
			blk.sum = 0
			for _, g := range doc.grams[b] {
				blk.sum += int32(m.grams[g])
			}
			s.blocks = append(s.blocks, blk)
		}
		s.chunks(m, func(c *chunk) {
			for k := range c.features {
				c.features[k] |= doc.field[k]
			}
			out = append(out, candidate{c.features, c.gram})
		})
	}
	return out
}

const (
	fitSteps = 250
	fitRate  = 0.08
	// fitPrior pulls the weight of a rule to what its strength says.
	fitPrior = 0.0003
)

// fit joins the sensors: gradient descent over the chunk that stands for each example.
func (m *Model) fit(lex *lexicon, ex []example, cand [][]candidate) {
	k := len(m.features)
	prior := make([]float32, k+3)
	for i := range k {
		kind, strength := lex.describe(i)
		prior[i] = [...]float32{0, 0.1, 0.8, 1.6}[strength]
		if kind == "mention" {
			prior[i] = -0.2 * float32(strength)
		}
	}
	// The parameters are those of the features, then up, down and bias.
	prior[k], prior[k+1], prior[k+2] = 0.8, 0.8, -1.5
	p := slices.Clone(prior)
	grad, first, second := make([]float64, len(p)), make([]float64, len(p)), make([]float64, len(p))
	total := float32(0)
	for i := range ex {
		total += ex[i].weight
	}
	for step := 1; step <= fitSteps; step++ {
		m.features, m.up, m.down, m.bias = p[:k:k], p[k], p[k+1], p[k+2]
		clear(grad)
		for i := range ex {
			c, logit := m.best(cand[i])
			if c == nil {
				continue
			}
			y := 0.0
			if ex[i].attack {
				y = 1
			}
			delta := (sigmoid(logit) - y) * float64(ex[i].weight/total)
			grad[k+2] += delta
			if c.gram > 0 {
				grad[k] += delta * float64(c.gram)
			} else {
				grad[k+1] += delta * float64(c.gram)
			}
			for at := range c.features {
				for w := c.features[at]; w != 0; w &= w - 1 {
					grad[at<<6+trailing(w)] += delta
				}
			}
		}
		for i := range p {
			// Adam, with a step that shrinks.
			g := grad[i] + fitPrior*float64(p[i]-prior[i])
			first[i] = 0.9*first[i] + 0.1*g
			second[i] = 0.99*second[i] + 0.01*g*g
			rate := fitRate / (1 + float64(step)/80)
			p[i] -= float32(rate * first[i] / (math.Sqrt(second[i]) + 1e-6))
			if i < k {
				if kind, _ := lex.describe(i); kind == "mention" {
					p[i] = max(-2.5, min(0, p[i]))
				} else {
					p[i] = max(0, p[i])
				}
			}
		}
	}
	m.features, m.up, m.down, m.bias = p[:k:k], max(0, p[k]), max(0, p[k+1]), p[k+2]
}

// best returns the chunk with the highest logit.
func (m *Model) best(cand []candidate) (*candidate, float32) {
	var top *candidate
	best := float32(math.Inf(-1))
	for i := range cand {
		c := chunk{features: cand[i].features, gram: cand[i].gram}
		if l := m.logit(&c, bitset{}); l > best {
			top, best = &cand[i], l
		}
	}
	return top, best
}

// thresholds are the logits that the given shares of harmless examples pass.
func (m *Model) thresholds(ex []example, cand [][]candidate, r Rates) {
	var harmless []float32
	labelled := slices.ContainsFunc(ex, func(e example) bool { return !e.generated })
	for i := range ex {
		if !ex[i].attack && !(labelled && ex[i].generated) {
			_, l := m.best(cand[i])
			harmless = append(harmless, l)
		}
	}
	slices.Sort(harmless)
	at := func(rate float64) float32 {
		if len(harmless) == 0 {
			return 0
		}
		k := int(float64(len(harmless)) * (1 - rate))
		return harmless[min(k, len(harmless)-1)] + 0.01
	}
	m.summarise = at(r.Summarise)
	m.quarantine = max(at(r.Quarantine), m.summarise+1)
}
