// Package injection measures the injection sensor on labelled lines: with the weights that
// ship, and with weights trained on the other folds or on the other sources.
package injection

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/gateway/detect"
	"github.com/aluskort/aluskort/internal/gateway/detect/labelled"
)

// Report is contract/eval-detection.schema.json, with more beside it.
type Report struct {
	Kind string `json:"kind"`
	Figures
	LatencyUS Latency `json:"latency_us"`
	// Folds and Sources are there when they were asked for.
	Folds   *Held `json:"folds,omitzero"`
	Sources *Held `json:"leave_source_out,omitzero"`
}

// Figures are what came out of a set of lines.
type Figures struct {
	N                 int              `json:"n"`
	Positives         int              `json:"positives"`
	Recall            float64          `json:"recall"`
	RecallStrict      float64          `json:"recall_strict"`
	FalsePositiveRate float64          `json:"false_positive_rate"`
	Precision         float64          `json:"precision"`
	ByGroup           map[string]Group `json:"by_group"`
	// Flags tells for every line whether it was flagged.
	Flags []bool `json:"-"`
}

// Group is a family of sources: how many lines, how many of them flagged.
type Group struct {
	N   int `json:"n"`
	Hit int `json:"hit"`
}

// Latency is the time for one line, in microseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Held are figures of lines that were judged by weights trained without them.
type Held struct {
	Parts int `json:"parts"`
	Figures
}

// Evaluate judges every line with the detector. now tells the time.
func Evaluate(d *detect.Detector, lines []labelled.Line, now func() time.Time) *Report {
	flags := make([]bool, len(lines))
	took := make([]float64, len(lines))
	for i := range lines {
		start := now()
		f := d.Field(lines[i].Text)
		took[i] = float64(now().Sub(start).Nanoseconds()) / 1000
		flags[i] = f.Action != detect.Pass
	}
	slices.Sort(took)
	return &Report{
		Kind: "injection", Figures: figures(lines, flags),
		LatencyUS: Latency{P50: quantile(took, 0.5), P99: quantile(took, 0.99)},
	}
}

func quantile(sorted []float64, q float64) float64 {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// figures counts. The group of a line is its family; where a family has both labels, its
// attacks and its harmless lines are two groups.
func figures(lines []labelled.Line, flags []bool) Figures {
	f := Figures{N: len(lines), ByGroup: map[string]Group{}, Flags: flags}
	labels := map[string]map[string]bool{}
	for i := range lines {
		fam := lines[i].Family()
		if labels[fam] == nil {
			labels[fam] = map[string]bool{}
		}
		labels[fam][lines[i].Label] = true
	}
	var hit, strict, strictHit, wrong int
	for i := range lines {
		l := &lines[i]
		name := l.Family()
		if len(labels[name]) > 1 {
			name += "/" + l.Label
		}
		g := f.ByGroup[name]
		g.N++
		if flags[i] {
			g.Hit++
		}
		f.ByGroup[name] = g
		switch {
		case l.Attack():
			f.Positives++
			hit += one(flags[i])
			if l.Strict() {
				strict++
				strictHit += one(flags[i])
			}
		default:
			wrong += one(flags[i])
		}
	}
	f.Recall = share(hit, f.Positives)
	f.RecallStrict = share(strictHit, strict)
	f.FalsePositiveRate = share(wrong, f.N-f.Positives)
	f.Precision = share(hit, hit+wrong)
	return f
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func share(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// Folds trains n times without a fold and judges that fold. Lines of one group are in one fold.
func Folds(lines []labelled.Line, n int, progress func(string)) (*Held, error) {
	samples := labelled.Samples(lines)
	fold := spread(samples, n)
	return hold(lines, samples, n, func(i int) int { return fold[i] }, progress)
}

// Sources trains without each family of sources and judges that family.
func Sources(lines []labelled.Line, progress func(string)) (*Held, error) {
	names := map[string]int{}
	for i := range lines {
		if f := lines[i].Family(); !contains(names, f) {
			names[f] = len(names)
		}
	}
	return hold(lines, labelled.Samples(lines), len(names), func(i int) int { return names[lines[i].Family()] }, progress)
}

func contains(m map[string]int, k string) bool {
	_, ok := m[k]
	return ok
}

// spread puts the groups into n folds of about the same size, the largest first.
func spread(samples []detect.Sample, n int) []int {
	size := map[int]int{}
	for i := range samples {
		size[samples[i].Group]++
	}
	order := make([]int, 0, len(size))
	for g := range size {
		order = append(order, g)
	}
	slices.SortFunc(order, func(a, b int) int {
		// Equal sizes are mixed, so that a fold is not one part of the file.
		return cmp.Or(cmp.Compare(size[b], size[a]), cmp.Compare(mix(a), mix(b)))
	})
	load := make([]int, n)
	of := map[int]int{}
	for _, g := range order {
		best := 0
		for f := range load {
			if load[f] < load[best] {
				best = f
			}
		}
		of[g] = best
		load[best] += size[g]
	}
	out := make([]int, len(samples))
	for i := range samples {
		out[i] = of[samples[i].Group]
	}
	return out
}

func hold(lines []labelled.Line, samples []detect.Sample, parts int, part func(int) int, progress func(string)) (*Held, error) {
	flags := make([]bool, len(lines))
	for p := range parts {
		progress(fmt.Sprintf("training without part %d of %d", p+1, parts))
		var in []detect.Sample
		for i := range samples {
			if part(i) != p {
				in = append(in, samples[i])
			}
		}
		m, err := detect.Train(labelled.WithCorpus(in), detect.DefaultRates())
		if err != nil {
			return nil, err
		}
		d, err := detect.With(m)
		if err != nil {
			return nil, err
		}
		for i := range lines {
			if part(i) == p {
				flags[i] = d.Field(lines[i].Text).Action != detect.Pass
			}
		}
	}
	return &Held{Parts: parts, Figures: figures(lines, flags)}, nil
}

func mix(n int) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, n)
	return h.Sum64()
}
