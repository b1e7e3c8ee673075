package bus_test

import (
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
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

// openKafka connects to a real broker, for as long as the benchmark runs.
func openKafka(b *testing.B) *bus.Bus {
	b.Helper()
	kb := open(b, bus.Config{Brokers: []string{enginetest.Address(b, "kafka")}})
	b.Cleanup(func() {
		if err := kb.Close(); err != nil {
			b.Error(err)
		}
	})
	return kb
}

// BenchmarkThroughput is one producer and one consumer of 500 records at a time.
func BenchmarkThroughput(b *testing.B) { throughput(b, openEmbedded(b), bus.AlertsRaw, 1) }

// BenchmarkKafkaThroughput is the same on a topic of four partitions of a real broker, with one
// producer that waits for each acknowledgement and with four.
func BenchmarkKafkaThroughput(b *testing.B) {
	for _, producers := range []int{1, 4} {
		b.Run(fmt.Sprintf("%d-producers", producers), func(b *testing.B) {
			kb := openKafka(b)
			throughput(b, kb, topicOf(b, kb, 4), producers)
		})
	}
}

func throughput(b *testing.B, eb *bus.Bus, topic string, producers int) {
	recs := load(500)
	for i := range recs {
		recs[i].Topic = topic
	}
	produce(b, eb, recs)
	c := consume(b, eb, bus.ConsumerConfig{Group: "bench." + fresh(), Topics: []string{topic}})
	for got := 0; got < 500; {
		got += len(poll(b, c).Records)
	}
	b.SetBytes(500 * 2048)
	b.ReportAllocs()
	b.ResetTimer()
	var producing errgroup.Group
	var left atomic.Int64
	left.Store(int64(b.N))
	for range producers {
		producing.Go(func() error {
			for left.Add(-1) >= 0 {
				if err := eb.Produce(b.Context(), recs); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for got := 0; got < 500*b.N; {
		got += len(poll(b, c).Records)
	}
	if err := producing.Wait(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(500*b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkLatency is one record from Produce to Poll, without linger.
func BenchmarkLatency(b *testing.B) { latency(b, openEmbedded(b), bus.AlertsRaw) }

// BenchmarkKafkaLatency is the same with a real broker.
func BenchmarkKafkaLatency(b *testing.B) {
	kb := openKafka(b)
	latency(b, kb, topicOf(b, kb, 1))
}

func latency(b *testing.B, eb *bus.Bus, topic string) {
	recs := load(1)
	recs[0].Topic = topic
	c := consume(b, eb, bus.ConsumerConfig{Group: "bench." + fresh(), Topics: []string{topic}, Batch: bus.BatchLimits{Linger: -1}})
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
