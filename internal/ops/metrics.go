package ops

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Kind is the type of a metric as Prometheus knows it.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// maxSeries bounds the series of one metric, so that a label whose values come from outside
// cannot fill the memory; what comes beyond is counted under "other".
const maxSeries = 1000

// Sample is one value of a metric that is collected at the time of the scrape. Labels are in
// the order of the metric's names.
type Sample struct {
	Labels []string
	Value  float64
}

// Registry holds the metrics of a process. It is safe for concurrent use.
type Registry struct {
	mu   sync.Mutex
	list []*family
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{} }

type family struct {
	name, help string
	kind       Kind
	labels     []string
	buckets    []float64
	collect    func(emit func(Sample))

	mu     sync.Mutex
	series map[string]*series
}

type series struct {
	labels []string
	value  float64
	counts []uint64 // per bucket, not cumulative; the last is above all bounds
	sum    float64
}

func (r *Registry) add(f *family) *family {
	f.series = map[string]*series{}
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.ContainsFunc(r.list, func(x *family) bool { return x.name == f.name }) {
		panic("ops: metric " + f.name + " is registered twice")
	}
	r.list = append(r.list, f)
	return f
}

// Vec is a counter or gauge with one series per combination of label values.
type Vec struct{ f *family }

// NewCounter registers a counter; its name ends in _total. It panics on a name that is taken.
func (r *Registry) NewCounter(name, help string, labels ...string) *Vec {
	return &Vec{r.add(&family{name: name, help: help, kind: Counter, labels: labels})}
}

// NewGauge registers a gauge.
func (r *Registry) NewGauge(name, help string, labels ...string) *Vec {
	return &Vec{r.add(&family{name: name, help: help, kind: Gauge, labels: labels})}
}

// Collect registers a metric whose samples are asked for at each scrape. collect must be fast,
// must not block and may be called concurrently.
func (r *Registry) Collect(name, help string, kind Kind, labels []string, collect func(emit func(Sample))) {
	r.add(&family{name: name, help: help, kind: kind, labels: labels, collect: collect})
}

// Add adds to the series of the label values, which are as many as the metric has names.
func (v *Vec) Add(delta float64, labels ...string) {
	v.f.mu.Lock()
	defer v.f.mu.Unlock()
	v.f.at(labels).value += delta
}

// Set sets the series of the label values.
func (v *Vec) Set(value float64, labels ...string) {
	v.f.mu.Lock()
	defer v.f.mu.Unlock()
	v.f.at(labels).value = value
}

// Distribution is a histogram.
type Distribution struct{ f *family }

// NewHistogram registers a histogram with ascending upper bounds.
func (r *Registry) NewHistogram(name, help string, bounds []float64, labels ...string) *Distribution {
	return &Distribution{r.add(&family{name: name, help: help, kind: Histogram, labels: labels, buckets: bounds})}
}

// Observe counts one value.
func (d *Distribution) Observe(value float64, labels ...string) {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	s := d.f.at(labels)
	if s.counts == nil {
		s.counts = make([]uint64, len(d.f.buckets)+1)
	}
	i, _ := slices.BinarySearch(d.f.buckets, value)
	s.counts[i]++
	s.sum += value
}

// at finds or makes the series; mu is held.
func (f *family) at(labels []string) *series {
	if len(labels) != len(f.labels) {
		panic(fmt.Sprintf("ops: metric %s has labels %v, got %v", f.name, f.labels, labels))
	}
	key := strings.Join(labels, "\xff")
	if s := f.series[key]; s != nil {
		return s
	}
	if len(f.series) >= maxSeries {
		labels = slices.Repeat([]string{"other"}, len(f.labels))
		if s := f.series["other"]; s != nil {
			return s
		}
		key = "other"
	}
	s := &series{labels: slices.Clone(labels)}
	f.series[key] = s
	return s
}

// Write writes all metrics in the text exposition format of Prometheus, version 0.0.4.
func (r *Registry) Write(w io.Writer) error {
	r.mu.Lock()
	list := slices.Clone(r.list)
	r.mu.Unlock()
	slices.SortFunc(list, func(a, b *family) int { return strings.Compare(a.name, b.name) })
	var b bytes.Buffer
	for _, f := range list {
		f.write(&b)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// ContentType is that of Write.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Handler serves the metrics.
func (r *Registry) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", ContentType)
		_ = r.Write(w) // the scraper went away
	})
}

// escapeHelp and escapeLabel are what the format asks for.
var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func (f *family) write(w *bytes.Buffer) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", f.name, escapeHelp.Replace(f.help), f.name, f.kind)
	if f.collect != nil {
		f.collect(func(s Sample) { f.line(w, "", s.Labels, "", s.Value) })
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	keys := make([]string, 0, len(f.series))
	for k := range f.series {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		s := f.series[k]
		if f.kind != Histogram {
			f.line(w, "", s.labels, "", s.value)
			continue
		}
		total := uint64(0)
		for i, n := range s.counts {
			total += n
			bound := math.Inf(1)
			if i < len(f.buckets) {
				bound = f.buckets[i]
			}
			f.line(w, "_bucket", s.labels, number(bound), float64(total))
		}
		f.line(w, "_sum", s.labels, "", s.sum)
		f.line(w, "_count", s.labels, "", float64(total))
	}
	if len(f.labels) == 0 && len(keys) == 0 && f.kind != Histogram {
		f.line(w, "", nil, "", 0) // a counter that never counted is 0, not absent
	}
}

func (f *family) line(w *bytes.Buffer, suffix string, labels []string, le string, value float64) {
	w.WriteString(f.name)
	w.WriteString(suffix)
	if len(labels) > 0 || le != "" {
		w.WriteByte('{')
		for i, l := range labels {
			if i > 0 {
				w.WriteByte(',')
			}
			fmt.Fprintf(w, `%s="%s"`, f.labels[i], escapeLabel.Replace(strings.ToValidUTF8(l, "\uFFFD")))
		}
		if le != "" {
			if len(labels) > 0 {
				w.WriteByte(',')
			}
			fmt.Fprintf(w, `le="%s"`, le)
		}
		w.WriteByte('}')
	}
	w.WriteByte(' ')
	w.WriteString(number(value))
	w.WriteByte('\n')
}

func number(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
