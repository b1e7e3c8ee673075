package fp

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// library makes n patterns in five shapes: by analytic and host, many on one carrier told apart
// by address, by title, by beginning of the title, and with five conditions of which one may fail.
func library(n int) []*Pattern {
	out := make([]*Pattern, n)
	for i := range out {
		d := scan()
		d.Name = fmt.Sprint("pattern ", i)
		switch i % 5 {
		case 0:
			d.Analytics = []string{fmt.Sprint("rule:", i)}
			d.Entities = []EntityCondition{{Type: alert.Host, Text: Text{Equals, fmt.Sprint("host-", i)}}}
		case 1:
			d.Analytics = []string{"rule:carrier"}
			d.Entities = []EntityCondition{
				{Type: alert.Host, Text: Text{Equals, "db-01"}},
				{Type: alert.IP, Text: Text{CIDR, fmt.Sprintf("10.%d.%d.%d/30", i>>14&255, i>>6&255, i<<2&255)}},
			}
		case 2:
			d.Analytics, d.AlertNames = nil, []Text{{Equals, fmt.Sprint("Alert number ", i)}}
		case 3:
			d.Analytics, d.AlertNames = nil, []Text{{Glob, fmt.Sprintf("Noise %05d: * by ?", i)}}
		default:
			d.Analytics = []string{"rule:carrier"}
			d.Entities = nil
			for k := range 5 {
				d.Entities = append(d.Entities, EntityCondition{Type: alert.Account, Text: Text{Equals, fmt.Sprintf("svc-%d-%d", i, k)}})
			}
		}
		out[i] = active(fmt.Sprintf("p%06d", i), d)
	}
	return out
}

// traffic makes alerts for the library: half fit a pattern, half come close.
func traffic(n int) (alerts []*alert.Alert, entities []*alert.Entities) {
	for i := range 64 {
		k := i * n / 64 / 5 * 5
		a, e := scanAlert()
		e.List = append(e.List, alert.Entity{Type: alert.Account, Value: "CORP\\Alice", Confidence: 1}, alert.Entity{Type: alert.Process, Value: `C:\Windows\System32\cmd.exe`, Confidence: 1})
		a.Fields = make(alert.Fields, 60)
		switch i % 8 {
		case 0:
			a.Analytic, e.List[1].Value = fmt.Sprint("rule:", k), fmt.Sprint("HOST-", k)
		case 1:
			a.Analytic, e.List[1].Value = fmt.Sprint("rule:", k), "host-x"
		case 2:
			k++
			a.Analytic, e.List[0].Value = "rule:carrier", fmt.Sprintf("10.%d.%d.%d", k>>14&255, k>>6&255, k<<2&255)
		case 3:
			a.Analytic, e.List[0].Value = "rule:carrier", "203.0.113.7"
		case 4:
			a.Analytic, a.Title = "rule:7", fmt.Sprint("ALERT number ", k+2)
		case 5:
			a.Analytic, a.Title = "rule:7", fmt.Sprintf("noise %05d: something by X", k+3)
		case 6:
			a.Analytic, a.Title = "rule:7", fmt.Sprintf("noise %05d: something by nobody", k+3)
		default:
			a.Analytic = "rule:carrier"
			for c := range 4 {
				e.List = append(e.List, alert.Entity{Type: alert.Account, Value: fmt.Sprintf("SVC-%d-%d", k+4, c), Confidence: 1})
			}
		}
		alerts, entities = append(alerts, a), append(entities, e)
	}
	return alerts, entities
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		m := matcher(b, library(n)...)
		alerts, entities := traffic(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			took := make([]time.Duration, 0, 1<<16)
			hits, i := 0, 0
			for b.Loop() {
				begin := time.Now()
				_, ok := m.Match("default", alerts[i%64], entities[i%64], testTime)
				if d := time.Since(begin); len(took) < cap(took) {
					took = append(took, d)
				}
				if ok {
					hits++
				}
				i++
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
			b.ReportMetric(float64(hits)/float64(i), "hit-share")
		})
	}
}

func BenchmarkReplaceOne(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		list := library(n)
		m := matcher(b, list...)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			rev := int64(1)
			for b.Loop() {
				rev++
				p := *list[0]
				p.Version++
				list[0] = &p
				if err := m.Replace(list, rev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	g := openGate(b, library(10_000)...)
	in := goodInput()
	b.ReportAllocs()
	for b.Loop() {
		g.Decide(in)
	}
}

func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		list := library(100_000)
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := matcher(b, list...)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB/100k")
		runtime.KeepAlive(m)
		runtime.KeepAlive(list)
	}
}

// TestIndexLooksAtFewPatterns is the reason for the figures: an alert meets few candidates.
func TestIndexLooksAtFewPatterns(t *testing.T) {
	m := matcher(t, library(10_000)...)
	alerts, entities := traffic(10_000)
	hits := 0
	for i, a := range alerts {
		s := Subject{Tenant: "default", Alert: a, Entities: entities[i]}
		var p probe
		p.prepare(&s, testTime.UnixMicro())
		m.current.Load().tenants["default"].candidates(&p)
		if len(p.cand) > 3*smallBucket {
			t.Errorf("alert %d meets %d of 10,000 patterns", i, len(p.cand))
		}
		if _, ok := m.MatchSubject(&s, testTime); ok {
			hits++
		}
	}
	if hits < len(alerts)/2 {
		t.Errorf("%d of %d alerts match: the measure is empty", hits, len(alerts))
	}
}
