//go:build unix

package embedded

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/engine/vector"
)

// The figures of docs/engines-vector.md come from here.

const (
	benchSize   = 1536
	benchPoints = 100_000
	benchTenant = "acme"
)

var benchCollection = vector.Collection{
	Name: "incident_embeddings", Size: benchSize, Distance: vector.Cosine,
	Fields: map[string]vector.FieldType{"analytic": vector.Keyword, "techniques": vector.Keyword, "at": vector.Integer},
}

// embeddings makes vectors in groups of a hundred, as incidents of one analytic are near each other.
type embeddings struct {
	r      *rand.Rand
	centre [][]float32
}

func newEmbeddings(groups int) *embeddings {
	e := &embeddings{r: rand.New(rand.NewPCG(1, 1))}
	for range groups {
		e.centre = append(e.centre, e.noise(1))
	}
	return e
}

func (e *embeddings) noise(scale float32) []float32 {
	v := make([]float32, benchSize)
	for i := range v {
		v[i] = scale * float32(e.r.NormFloat64())
	}
	return v
}

func (e *embeddings) next() []float32 {
	v := e.noise(0.7)
	for i, x := range e.centre[e.r.IntN(len(e.centre))] {
		v[i] += x
	}
	return v
}

func fillBench(b *testing.B, e *Engine, n, batch int) *embeddings {
	b.Helper()
	if err := e.EnsureCollection(b.Context(), benchCollection); err != nil {
		b.Fatal(err)
	}
	from := newEmbeddings(n/100 + 1)
	for i := 0; i < n; i += batch {
		points := make([]vector.Point, min(batch, n-i))
		for j := range points {
			points[j] = vector.Point{ID: vector.Number(uint64(i + j)), Vector: from.next(), Payload: vector.Payload{
				"analytic": fmt.Sprint("rule-", (i+j)%500), "techniques": []string{"T1059.001", "T1105"}, "at": int64(i + j),
				"summary": "Encoded command line started by an office program on a workstation",
			}}
		}
		if err := e.Upsert(b.Context(), benchTenant, benchCollection.Name, points); err != nil {
			b.Fatal(err)
		}
	}
	return from
}

// cpuTime is what the process used of all processors: the time of a search on a busy machine says
// how busy it is.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkSearch(b *testing.B) {
	dir := b.TempDir()
	e := open(b, dir)
	from := fillBench(b, e, benchPoints, 500)
	for _, c := range []struct {
		name string
		f    vector.Filter
	}{
		{"all", vector.Filter{}},
		{"half by time", vector.Filter{Must: []vector.Condition{vector.AtLeast("at", benchPoints/2)}}},
		{"one analytic", vector.Filter{Must: []vector.Condition{vector.Match("analytic", "rule-7")}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took []time.Duration
			used := cpuTime(b)
			for b.Loop() {
				q := vector.Query{Vector: from.next(), Limit: 10, WithPayload: true, Filter: c.f}
				start := time.Now()
				hits, err := e.Search(b.Context(), benchTenant, benchCollection.Name, q)
				took = append(took, time.Since(start))
				if err != nil || len(hits) != 10 {
					b.Fatal(len(hits), err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-used).Microseconds())/1000/float64(len(took)), "cpu-ms/op")
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
		})
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			e, err := Open(dir, Options{})
			if err != nil {
				b.Fatal(err)
			}
			n, err := e.Count(b.Context(), benchTenant, benchCollection.Name, vector.Filter{})
			if err != nil || n != benchPoints {
				b.Fatal(n, err)
			}
			if err := e.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("memory", func(b *testing.B) {
		var before, after runtime.MemStats
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			e = nil
			runtime.GC()
			runtime.ReadMemStats(&before)
			e = open(b, dir)
			if _, err := e.Count(b.Context(), benchTenant, benchCollection.Name, vector.Filter{}); err != nil {
				b.Fatal(err)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
			if err := e.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkUpsert(b *testing.B) {
	for _, batch := range []int{1, 10, 100} {
		b.Run(fmt.Sprint("batch ", batch), func(b *testing.B) {
			e := open(b, b.TempDir())
			from := fillBench(b, e, 1, 1)
			points := make([]vector.Point, batch)
			for i := range points {
				points[i] = vector.Point{Vector: from.next(), Payload: vector.Payload{"analytic": "rule"}}
			}
			n := uint64(0)
			for b.Loop() {
				for i := range points {
					n++
					points[i].ID = vector.Number(n)
				}
				if err := e.Upsert(b.Context(), benchTenant, benchCollection.Name, points); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "points/s")
		})
	}
}

func BenchmarkDot(b *testing.B) {
	codes, query := make([]int8, padded(benchSize)), make([]int16, padded(benchSize))
	b.Run("used", func(b *testing.B) {
		b.SetBytes(benchSize)
		for b.Loop() {
			dot(codes, query)
		}
	})
	b.Run("plain", func(b *testing.B) {
		b.SetBytes(benchSize)
		for b.Loop() {
			dotPlain(codes, query)
		}
	})
}
