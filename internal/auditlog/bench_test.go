package auditlog

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/aluskort/aluskort/internal/audit"
)

const benchEvents = 1500

// benchMessages returns messages with benchEvents events from number from on.
func benchMessages(b *testing.B, from int64) [][]byte {
	b.Helper()
	var out [][]byte
	msg := appendHead(nil, "origin-1", "acme")
	first := from
	for n := from; n < from+benchEvents; n++ {
		e := event(b, "a", n)
		wire, err := e.AppendWire(nil)
		if err != nil {
			b.Fatal(err)
		}
		if len(msg)+len(wire)+8 > maxMessage {
			out = append(out, finish(msg, first, n-1))
			msg, first = appendHead(nil, "origin-1", "acme"), n
		}
		msg = binary.BigEndian.AppendUint32(msg, uint32(len(wire)))
		msg = append(msg, wire...)
	}
	return append(out, finish(msg, first, from+benchEvents-1))
}

// BenchmarkAppend appends batches of 1,500 events of about 800 stored bytes, each durable.
func BenchmarkAppend(b *testing.B) {
	s := newService(b, openAudit(b, ""))
	ctx := context.Background()
	from := int64(1)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		msgs := benchMessages(b, from)
		from += benchEvents
		b.StartTimer()
		if err := s.Append(ctx, msgs); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)*benchEvents/b.Elapsed().Seconds(), "records/s")
	r, err := s.Record(ctx, "acme", 1)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(r.Bytes)), "B/record")
}

// BenchmarkDecodeMessages is the part of an append before its transaction.
func BenchmarkDecodeMessages(b *testing.B) {
	msgs := benchMessages(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		for _, m := range msgs {
			if _, err := DecodeMessage(m); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)*benchEvents/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkEmitBatch encodes and frames a batch, without the transaction.
func BenchmarkEmitBatch(b *testing.B) {
	e, err := NewEmitter("origin-1")
	if err != nil {
		b.Fatal(err)
	}
	ev := event(b, "a", 1)
	b.ReportAllocs()
	for b.Loop() {
		batch := e.NewBatch()
		for range benchEvents {
			if err := batch.Add("acme", &ev); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)*benchEvents/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkVerifyStore(b *testing.B) {
	s := newService(b, openAudit(b, ""))
	ctx := context.Background()
	const batches = 20
	for i := range int64(batches) {
		if err := s.Append(ctx, benchMessages(b, 1+i*benchEvents)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	var report audit.Report
	for b.Loop() {
		var err error
		if report, err = s.Verify(ctx, "acme"); err != nil || !report.OK() {
			b.Fatal(report.Findings, err)
		}
	}
	b.ReportMetric(float64(b.N)*float64(report.Records)/b.Elapsed().Seconds(), "records/s")
}
