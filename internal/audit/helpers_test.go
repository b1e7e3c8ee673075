package audit_test

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/audit"
)

const start = 1_760_000_000_000_000 // µs; any fixed moment

// sampleEvent is an ordinary classification whose record has about 700 bytes.
func sampleEvent(o *audit.Object, n int) (audit.Event, error) {
	o.Reset()
	context, err := o.Str("degradation_level", "full_capability").Int("fp_patterns_checked", 214).
		Strs("stores_queried", []string{"ioc", "asset", "incident"}).Finish()
	if err != nil {
		return audit.Event{}, err
	}
	o.Reset()
	decision, err := o.Str("classification", "true_positive").Int("confidence", audit.Micros(0.93)).
		Str("reasoning_summary", "Encoded PowerShell started by a document, then a connection to a listed address").Finish()
	if err != nil {
		return audit.Event{}, err
	}
	return audit.Event{
		Type: audit.AlertClassified, Timestamp: start + int64(n), Severity: audit.SeverityWarning,
		ActorType: audit.ActorAgent, ActorID: "reasoner", ActorPermissions: []string{"classify"},
		SourceService: "orchestrator", InvestigationID: fmt.Sprintf("5f1c1f0e-0000-5000-8000-%012d", n%97),
		AlertID: fmt.Sprintf("alert-%d", n), EntityIDs: []string{"host:ws-014.example.com", "ip:198.51.100.7"},
		Context: context, Decision: decision,
	}, nil
}

func view(t testing.TB, e audit.Event) audit.View {
	t.Helper()
	wire, err := e.AppendWire(nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := audit.DecodeEvent(string(wire))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// newChain returns a chain with its genesis, and the genesis.
func newChain(t testing.TB, tenant string) (*audit.Chain, audit.Record) {
	t.Helper()
	c, err := audit.NewChain(tenant, audit.NoHead)
	if err != nil {
		t.Fatal(err)
	}
	_, genesis, err := c.SealGenesis(nil, start)
	if err != nil {
		t.Fatal(err)
	}
	return c, genesis
}

// chainOf returns n records, genesis included.
func chainOf(t testing.TB, tenant string, n int) []audit.Record {
	t.Helper()
	c, genesis := newChain(t, tenant)
	out := []audit.Record{genesis}
	var o audit.Object
	for i := 1; i < n; i++ {
		e, err := sampleEvent(&o, i)
		if err != nil {
			t.Fatal(err)
		}
		v := view(t, e)
		_, r, err := c.Seal(nil, &v, start+int64(i))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// canonical is the second implementation: decode with encoding/json, sort, write.
func canonical(t testing.TB, text []byte) string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("decode %q: %v", text, err)
	}
	var b strings.Builder
	writeCanonical(t, &b, v)
	return b.String()
}

func writeCanonical(t testing.TB, b *strings.Builder, v any) {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		b.WriteByte('{')
		for i, k := range keys {
			if i > 0 {
				b.WriteByte(',')
			}
			writeText(b, k)
			b.WriteByte(':')
			writeCanonical(t, b, v[k])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeCanonical(t, b, e)
		}
		b.WriteByte(']')
	case string:
		writeText(b, v)
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			t.Fatalf("number %s: %v", v, err)
		}
		fmt.Fprintf(b, "%d", n)
	case bool:
		fmt.Fprintf(b, "%t", v)
	default:
		t.Fatalf("a record may not hold %T", v)
	}
}

func writeText(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case strings.ContainsRune("\b\t\n\f\r", r):
			b.WriteByte('\\')
			b.WriteByte("btn?fr"[r-8])
		case r < 0x20:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteString(string(utf8.AppendRune(nil, r)))
		}
	}
	b.WriteByte('"')
}
