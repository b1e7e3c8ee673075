package bus_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/bus"
)

// load is n records of 2 KB with key and headers, as the intake sends them.
func load(n int) []bus.Record {
	recs := make([]bus.Record, n)
	for i := range recs {
		value := make([]byte, 2048)
		_, _ = rand.Read(value)
		recs[i] = bus.Record{Topic: bus.AlertsRaw, Key: value[:16], Value: value, Headers: []bus.Header{{Key: bus.HeaderTenant, Value: []byte("default")}, {Key: bus.HeaderSchema, Value: []byte("1")}}}
	}
	return recs
}

func BenchmarkProduce(b *testing.B) {
	for _, bc := range []struct {
		name string
		n    int
	}{{"1", 1}, {"500", 500}} {
		b.Run(bc.name+"x2KB", func(b *testing.B) {
			eb := openEmbedded(b)
			recs := load(bc.n)
			b.SetBytes(int64(bc.n * 2048))
			b.ReportAllocs()
			for b.Loop() {
				produce(b, eb, recs)
			}
		})
	}
}

// BenchmarkThroughput is one producer and one consumer of 500 records at a time.
func BenchmarkThroughput(b *testing.B) {
	eb := openEmbedded(b)
	recs := load(500)
	produce(b, eb, recs)
	c := consume(b, eb, bus.ConsumerConfig{Group: "bench", Topics: []string{bus.AlertsRaw}})
	for got := 0; got < 500; {
		got += len(poll(b, c).Records)
	}
	b.SetBytes(500 * 2048)
	b.ReportAllocs()
	b.ResetTimer()
	done := make(chan error, 1)
	go func() {
		for range b.N {
			if err := eb.Produce(b.Context(), recs); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for got := 0; got < 500*b.N; {
		got += len(poll(b, c).Records)
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLatency is one record from Produce to Poll, without linger.
func BenchmarkLatency(b *testing.B) {
	eb := openEmbedded(b)
	recs := load(1)
	c := consume(b, eb, bus.ConsumerConfig{Group: "bench", Topics: []string{bus.AlertsRaw}, Batch: bus.BatchLimits{Linger: -1}})
	produce(b, eb, recs)
	poll(b, c)
	b.ReportAllocs()
	for b.Loop() {
		produce(b, eb, recs)
		poll(b, c)
	}
}

// BenchmarkStart is a fresh and an existing directory, from Open to the first batch.
func BenchmarkStart(b *testing.B) {
	start := func(b *testing.B, dir string) {
		eb, err := bus.Open(b.Context(), bus.Config{Dir: dir, Clock: clock.System{}})
		if err != nil {
			b.Fatal(err)
		}
		opened := time.Now()
		c := consume(b, eb, bus.ConsumerConfig{Group: "bench", Topics: []string{bus.AlertsRaw}, Batch: bus.BatchLimits{Linger: -1}})
		produce(b, eb, load(1))
		poll(b, c)
		b.ReportMetric(float64(time.Since(opened).Microseconds())/1000, "ms-consume-to-poll")
		b.StopTimer()
		if err := eb.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.Run("fresh", func(b *testing.B) {
		for range b.N {
			start(b, b.TempDir())
		}
	})
	b.Run("existing", func(b *testing.B) {
		dir := b.TempDir()
		start(b, dir)
		b.ResetTimer()
		for range b.N {
			start(b, dir)
		}
	})
}
