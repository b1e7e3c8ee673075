package audit_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/audit"
)

func TestRecordHasEveryMemberAndItsHashIsOfItsBytes(t *testing.T) {
	records := chainOf(t, "acme", 3)
	for i, r := range records {
		if r.Hash != sha256.Sum256(r.Bytes) {
			t.Errorf("record %d: hash is not the SHA-256 of the bytes", i)
		}
		var m map[string]any
		if err := json.Unmarshal(r.Bytes, &m); err != nil {
			t.Fatal(err)
		}
		for _, key := range strings.Fields(`audit_id tenant_id sequence_number previous_hash timestamp ingested_at event_type
			event_category severity actor_type actor_id actor_permissions investigation_id alert_id entity_ids context
			decision outcome record_version source_service`) {
			if _, ok := m[key]; !ok {
				t.Errorf("record %d has no %s", i, key)
			}
			delete(m, key)
		}
		if len(m) > 0 {
			t.Errorf("record %d also has %v", i, m)
		}
	}
	genesis, err := audit.ParseRecord(records[0].Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if genesis.Type != audit.Genesis || genesis.Sequence != 0 || genesis.Previous != (audit.Hash{}) || genesis.RecordVersion != "1.0" {
		t.Errorf("genesis: %+v", genesis)
	}
	if !strings.Contains(string(records[0].Bytes), `"previous_hash":"`+strings.Repeat("0", 64)+`"`) {
		t.Error("genesis does not name 64 zeros")
	}
	if n := len(records[1].Bytes); n < 600 || n > 1100 {
		t.Errorf("the sample record has %d bytes; benchmarks assume about 900", n)
	}
}

func TestAuditIDsAreUniqueOrderedAndCarryTheSequence(t *testing.T) {
	last := ""
	ids := map[string]bool{}
	for _, r := range chainOf(t, "acme", 300) {
		f, err := audit.ParseRecord(r.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if f.AuditID <= last {
			t.Errorf("id %s of record %d does not sort after %s", f.AuditID, r.Sequence, last)
		}
		last = f.AuditID
		ids[last] = true
		if n, ok := audit.SequenceOf(f.AuditID); !ok || n != r.Sequence {
			t.Errorf("SequenceOf(%s) = %d, %t; want %d", f.AuditID, n, ok, r.Sequence)
		}
	}
	for _, r := range chainOf(t, "globex", 300) {
		f, err := audit.ParseRecord(r.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if ids[f.AuditID] {
			t.Errorf("two tenants share the id %s", f.AuditID)
		}
	}
	for _, id := range []string{"", "5f1c1f0e-0000-5000-8000-000000000001", strings.Repeat("x", 36)} {
		if _, ok := audit.SequenceOf(id); ok {
			t.Errorf("%q has a sequence", id)
		}
	}
}

func TestSequenceOfHoldsForLargeNumbers(t *testing.T) {
	for _, seq := range []int64{0, 1 << 27, 1<<28 - 1, 1 << 28, 1 << 39, audit.MaxSequence - 1} {
		c, err := audit.NewChain("acme", audit.Head{Sequence: seq, Hash: audit.Hash{0xff, 0xee}})
		if err != nil {
			t.Fatal(err)
		}
		var o audit.Object
		e, err := sampleEvent(&o, 1)
		if err != nil {
			t.Fatal(err)
		}
		v := view(t, e)
		_, r, err := c.Seal(nil, &v, start)
		if err != nil {
			t.Fatal(err)
		}
		f, err := audit.ParseRecord(r.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := audit.SequenceOf(f.AuditID); !ok || n != seq+1 {
			t.Errorf("SequenceOf(%s) = %d, %t; want %d", f.AuditID, n, ok, seq+1)
		}
	}
}

func TestChainRefuses(t *testing.T) {
	for _, tenant := range []string{"", "a\xff", strings.Repeat("x", audit.MaxName+1)} {
		if _, err := audit.NewChain(tenant, audit.NoHead); !errors.Is(err, audit.ErrTenant) {
			t.Errorf("tenant %q: %v", tenant, err)
		}
	}
	var o audit.Object
	e, err := sampleEvent(&o, 1)
	if err != nil {
		t.Fatal(err)
	}
	v := view(t, e)
	full, err := audit.NewChain("acme", audit.Head{Sequence: audit.MaxSequence})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := full.Seal(nil, &v, start); !errors.Is(err, audit.ErrFull) {
		t.Errorf("full chain: %v", err)
	}
	empty, err := audit.NewChain("acme", audit.NoHead)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := empty.Seal(nil, &v, start); err == nil {
		t.Error("sealed before genesis")
	}
	if _, _, err := empty.SealGenesis(nil, start); err != nil {
		t.Fatal(err)
	}
	if _, _, err := empty.SealGenesis(nil, start); err == nil {
		t.Error("second genesis")
	}
}

func TestEventRefuses(t *testing.T) {
	var o audit.Object
	good, err := sampleEvent(&o, 1)
	if err != nil {
		t.Fatal(err)
	}
	huge, err := new(audit.Object).Str("a", strings.Repeat("x", audit.MaxEvent)).Finish()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(e *audit.Event){
		"unknown type":          func(e *audit.Event) { e.Type = "alert.classifed" },
		"no actor type":         func(e *audit.Event) { e.ActorType = 0 },
		"severity":              func(e *audit.Event) { e.Severity = 9 },
		"negative time":         func(e *audit.Event) { e.Timestamp = -1 },
		"time too large":        func(e *audit.Event) { e.Timestamp = audit.MaxInt + 1 },
		"no service":            func(e *audit.Event) { e.SourceService = "" },
		"actor not UTF-8":       func(e *audit.Event) { e.ActorID = "\xff" },
		"entity not UTF-8":      func(e *audit.Event) { e.EntityIDs = []string{"ok", "\xc3"} },
		"larger than the limit": func(e *audit.Event) { e.Context = huge },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			e := good
			spoil(&e)
			dst := []byte("before")
			got, err := e.AppendWire(dst)
			if !errors.Is(err, audit.ErrEvent) {
				t.Errorf("error %v", err)
			}
			if string(got) != "before" {
				t.Errorf("dst is now %q", got)
			}
		})
	}
}

func TestUnknownTypeOfANewerProducerIsSealed(t *testing.T) {
	var o audit.Object
	e, err := sampleEvent(&o, 1)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := e.AppendWire(nil)
	if err != nil {
		t.Fatal(err)
	}
	newer := strings.Replace(string(wire), "alert.classified", "alert.predicted_", 1)
	v, err := audit.DecodeEvent(newer)
	if err != nil {
		t.Fatal(err)
	}
	c, genesis := newChain(t, "acme")
	_, r, err := c.Seal(nil, &v, start)
	if err != nil {
		t.Fatal(err)
	}
	ver := audit.NewVerifier(audit.VerifyOptions{})
	ver.Add(0, genesis.Bytes, genesis.Hash[:])
	ver.Add(1, r.Bytes, r.Hash[:])
	report := ver.Finish()
	if !report.OK() || report.Counts[audit.KindUnknownType] != 1 || report.Tenant != "acme" {
		t.Errorf("report %+v; want one warning", report)
	}
}

func TestParseRecordRefusesEveryCut(t *testing.T) {
	r := chainOf(t, "acme", 2)[1]
	if _, err := audit.ParseRecord(r.Bytes); err != nil {
		t.Fatal(err)
	}
	for i := range r.Bytes {
		if _, err := audit.ParseRecord(r.Bytes[:i]); !errors.Is(err, audit.ErrRecord) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

// FuzzDecodeEvent: nothing panics, and whatever is accepted gives canonical bytes.
func FuzzDecodeEvent(f *testing.F) {
	var o audit.Object
	e, err := sampleEvent(&o, 1)
	if err != nil {
		f.Fatal(err)
	}
	wire, err := e.AppendWire(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(wire))
	f.Add("")
	f.Add("\x10alert.classified\x01\x00\x01")
	f.Fuzz(func(t *testing.T, wire string) {
		v, err := audit.DecodeEvent(wire)
		if err != nil {
			if !errors.Is(err, audit.ErrEvent) {
				t.Errorf("error %v", err)
			}
			return
		}
		c, _ := newChain(t, "acme")
		_, r, err := c.Seal(nil, &v, start)
		if err != nil {
			t.Fatal(err)
		}
		if want := canonical(t, r.Bytes); want != string(r.Bytes) {
			t.Errorf("sealed %s\nwant   %s", r.Bytes, want)
		}
		if _, err := audit.ParseRecord(r.Bytes); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkEncodeAndSeal(b *testing.B) {
	c, _ := newChain(b, "acme")
	var o audit.Object
	var wire, out []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e, err := sampleEvent(&o, 1)
		if err != nil {
			b.Fatal(err)
		}
		if wire, err = e.AppendWire(wire[:0]); err != nil {
			b.Fatal(err)
		}
		v, err := audit.DecodeEvent(string(wire))
		if err != nil {
			b.Fatal(err)
		}
		if out, _, err = c.Seal(out[:0], &v, start); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(out)))
}

func BenchmarkSeal(b *testing.B) {
	c, _ := newChain(b, "acme")
	var o audit.Object
	e, err := sampleEvent(&o, 1)
	if err != nil {
		b.Fatal(err)
	}
	v := view(b, e)
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		if out, _, err = c.Seal(out[:0], &v, start); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(out)))
}
