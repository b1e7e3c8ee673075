package weight

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/reason"
)

// Sample is one labelled investigation: what it rests on, and what it was.
type Sample struct {
	Prior     float64
	Items     []evidence.Evidence
	Malicious bool
}

// How strongly the fit holds on to what was there: standard deviations in bits of a prior
// around the shipped weight, and of the shift of the whole set, which takes up how many of its
// alerts are attacks. Sets are never drawn as alerts arrive, so that shift is thrown away.
const (
	weightSpread = 0.5
	shiftSpread  = 3
)

// The fit goes on until no weight moves by more than settled, or for so many rounds.
const (
	rounds  = 40
	sweeps  = 8
	settled = 1e-4
)

// Rule is the id of the evidence rule that an item comes from, whether it found one thing or
// counted several; empty for other evidence.
func Rule(e *evidence.Evidence) string {
	_, rule, ok := strings.Cut(e.ID, "rule:")
	if !ok || e.ID != "rule:"+rule && e.ID != "count:rule:"+rule {
		return ""
	}
	return rule
}

// param is one weight of the fit.
type param struct {
	Fitted
	low, high float64 // bounds of the weight
}

// Fit returns the weights that enough samples speak about, each with its interval, sorted by
// rule. The order of the samples makes no difference. Items that count for less than their
// rule's full weight by the rule's own terms are left as they are.
func Fit(samples []Sample, t reason.Thresholds) []Fitted {
	f := &fitter{thresholds: t, samples: samples, params: params(samples, t)}
	if len(f.params) == 0 {
		return nil
	}
	f.index = map[string]int{}
	for i := range f.params {
		f.index[f.params[i].Rule] = i
	}
	for range rounds {
		f.features()
		moved := 0.0
		for range sweeps {
			moved = max(moved, f.sweep())
		}
		if moved < settled {
			break
		}
	}
	f.features()
	f.intervals()
	out := make([]Fitted, len(f.params))
	for i := range f.params {
		out[i] = f.params[i].Fitted
	}
	return out
}

// params finds the weights that may move: those with enough labels that count.
func params(samples []Sample, t reason.Thresholds) []param {
	shipped := map[string]*param{}
	for i := range samples {
		for k := range samples[i].Items {
			e := &samples[i].Items[k]
			rule := Rule(e)
			if rule == "" || e.Weight == 0 || e.Stance == evidence.Context {
				continue
			}
			p := shipped[rule]
			if p == nil {
				p = &param{Fitted: Fitted{Rule: rule, Title: e.Source}}
				shipped[rule] = p
			}
			if math.Abs(e.Weight) > math.Abs(p.Shipped) {
				p.Shipped = e.Weight
			}
		}
	}
	for i := range samples {
		items := slices.Clone(samples[i].Items)
		reason.Count(items, t)
		seen := map[string]bool{}
		for k := range items {
			rule := Rule(&items[k])
			if p := shipped[rule]; p != nil && items[k].Counted != 0 && items[k].Weight == p.Shipped && !seen[rule] {
				seen[rule] = true
				p.N++
			}
		}
	}
	var out []param
	for _, p := range shipped {
		if p.N < MinLabels {
			continue
		}
		p.Weight = p.Shipped
		p.low, p.high = p.Shipped-MaxMove, p.Shipped+MaxMove
		if least := min(Least, math.Abs(p.Shipped)); p.Shipped > 0 {
			p.low = max(p.low, least)
		} else {
			p.high = min(p.high, -least)
		}
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b param) int { return cmp.Compare(a.Rule, b.Rule) })
	return out
}

// fitter minimises the loss of logistic regression in bits, with the weights as parameters, by
// coordinate steps. What grouping, caps and voiding leave of a weight is looked up again in
// every round, since it depends on the weights themselves.
type fitter struct {
	thresholds reason.Thresholds
	samples    []Sample
	params     []param
	index      map[string]int
	shift      float64
	sums       []float64 // of each sample, with the present weights and shift
	columns    [][]entry // of each weight: where it counts, and what share of it
}

// entry is a share of a weight that counts at some place of a list.
type entry struct {
	at    int
	share float64
}

// features counts every sample with the present weights.
func (f *fitter) features() {
	f.sums = make([]float64, len(f.samples))
	f.columns = make([][]entry, len(f.params))
	for i := range f.samples {
		items := slices.Clone(f.samples[i].Items)
		whole := make(map[string]bool, len(items))
		for k := range items {
			if p := f.param(&items[k]); p >= 0 {
				items[k].Weight = f.params[p].Weight
				whole[items[k].ID] = true
			}
		}
		reason.Count(items, f.thresholds)
		f.sums[i] = f.samples[i].Prior + f.shift
		for k := range items {
			e := &items[k]
			f.sums[i] += e.Counted
			if e.Counted != 0 && whole[e.ID] {
				p := f.index[Rule(e)]
				f.columns[p] = append(f.columns[p], entry{i, e.Counted / e.Weight})
			}
		}
	}
}

// param is the index of the weight that an item has in full, -1 for any other item.
func (f *fitter) param(e *evidence.Evidence) int {
	p, ok := f.index[Rule(e)]
	if !ok || e.Weight != f.params[p].Shipped {
		return -1
	}
	return p
}

// sweep takes one step along each coordinate and returns the longest.
func (f *fitter) sweep() float64 {
	longest := f.stepShift()
	for j := range f.params {
		longest = max(longest, f.step(j))
	}
	return longest
}

// slope adds the first and second derivative of the loss of one sample.
func (f *fitter) slope(sample int, share float64, gradient, curve *float64) {
	p, y := reason.Probability(f.sums[sample]), 0.0
	if f.samples[sample].Malicious {
		y = 1
	}
	*gradient += math.Ln2 * (p - y) * share
	*curve += math.Ln2 * math.Ln2 * p * (1 - p) * share * share
}

// stepShift moves the whole set by a Newton step.
func (f *fitter) stepShift() float64 {
	const hold = 1.0 / (shiftSpread * shiftSpread)
	gradient, curve := hold*f.shift, hold
	for i := range f.sums {
		f.slope(i, 1, &gradient, &curve)
	}
	move := bounded(-gradient / curve)
	f.shift += move
	for i := range f.sums {
		f.sums[i] += move
	}
	return math.Abs(move)
}

// step moves one weight by a Newton step, within its bounds.
func (f *fitter) step(j int) float64 {
	const hold = 1 / (weightSpread * weightSpread)
	p := &f.params[j]
	gradient, curve := hold*p.Moved(), hold
	for _, c := range f.columns[j] {
		f.slope(c.at, c.share, &gradient, &curve)
	}
	to := min(p.high, max(p.low, p.Weight+bounded(-gradient/curve)))
	move := to - p.Weight
	p.Weight = to
	for _, c := range f.columns[j] {
		f.sums[c.at] += move * c.share
	}
	return math.Abs(move)
}

// bounded keeps a step from running away where the loss is flat.
func bounded(x float64) float64 { return max(-0.5, min(0.5, x)) }

// intervals takes the spread of each weight from the curvature of the loss at its minimum, all
// weights and the shift together, and rounds to thousandths of a bit.
func (f *fitter) intervals() {
	n := len(f.params) + 1
	h := make([][]float64, n)
	for i := range h {
		h[i] = make([]float64, n)
		h[i][i] = 1 / (weightSpread * weightSpread)
	}
	h[n-1][n-1] = 1.0 / (shiftSpread * shiftSpread)
	shares := make([][]entry, len(f.samples)) // of each sample: weight, share
	for i := range shares {
		shares[i] = []entry{{n - 1, 1}}
	}
	for j, column := range f.columns {
		for _, c := range column {
			shares[c.at] = append(shares[c.at], entry{j, c.share})
		}
	}
	for i, list := range shares {
		p := reason.Probability(f.sums[i])
		c := math.Ln2 * math.Ln2 * p * (1 - p)
		for _, a := range list {
			for _, b := range list {
				h[a.at][b.at] += c * a.share * b.share
			}
		}
	}
	variance := inverseDiagonal(h)
	for j := range f.params {
		p := &f.params[j]
		half := 1.96 * math.Sqrt(max(0, variance[j]))
		p.Low, p.High = thousandth(p.Weight-half), thousandth(p.Weight+half)
		p.Weight = min(p.high, max(p.low, thousandth(p.Weight)))
	}
}

func thousandth(x float64) float64 { return math.Round(x*1e3) / 1e3 }

// inverseDiagonal is the diagonal of the inverse of a symmetric positive matrix, by Cholesky's
// factors; the matrix is overwritten.
func inverseDiagonal(m [][]float64) []float64 {
	n := len(m)
	for i := range n {
		for j := range i + 1 {
			sum := m[i][j]
			for k := range j {
				sum -= m[i][k] * m[j][k]
			}
			if i == j {
				m[i][i] = math.Sqrt(max(sum, 1e-12))
			} else {
				m[i][j] = sum / m[j][j]
			}
		}
	}
	out := make([]float64, n)
	for c := range n {
		// The column c of the inverse factor; its squares add up to the diagonal of the inverse.
		x := make([]float64, n)
		for i := c; i < n; i++ {
			sum := 0.0
			if i == c {
				sum = 1
			}
			for k := c; k < i; k++ {
				sum -= m[i][k] * x[k]
			}
			x[i] = sum / m[i][i]
			out[c] += x[i] * x[i]
		}
	}
	return out
}
