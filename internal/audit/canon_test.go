package audit_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/audit"
)

func TestTypesAreTheClosedList(t *testing.T) {
	want := map[audit.Category]int{
		audit.CategoryDecision: 15 + 5, audit.CategoryAction: 11 + 3, audit.CategoryApproval: 8 + 1,
		audit.CategorySecurity: 6 + 1, audit.CategorySystem: 8 + 3,
	}
	got, seen := map[audit.Category]int{}, map[audit.Type]bool{}
	for _, typ := range audit.Types() {
		if seen[typ] {
			t.Errorf("%s is listed twice", typ)
		}
		seen[typ] = true
		c, ok := audit.CategoryOf(typ)
		if !ok || !audit.Valid(typ) {
			t.Errorf("%s is listed and not valid", typ)
		}
		got[c]++
	}
	if len(seen) != 48+13 {
		t.Errorf("%d types, want the 48 of the first list and 13 additions", len(seen))
	}
	for c, n := range want {
		if got[c] != n {
			t.Errorf("category %s has %d types, want %d", c, got[c], n)
		}
	}
	for _, typ := range []audit.Type{"", "alert", "alert.classified ", "Alert.Classified", "canary.evaluation_cycle"} {
		if audit.Valid(typ) {
			t.Errorf("%q is valid", typ)
		}
	}
}

func TestObjectWritesCanonicalJSON(t *testing.T) {
	var o audit.Object
	inner, err := o.Int("n", -5).Finish()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		build func(o *audit.Object)
		want  string
	}{
		{"empty", func(*audit.Object) {}, `{}`},
		{"in order", func(o *audit.Object) { o.Bool("a", true).Int("b", 0).Str("c", "x") }, `{"a":true,"b":0,"c":"x"}`},
		{"out of order", func(o *audit.Object) { o.Str("c", "x").Int("aa", 1).Bool("a", false) }, `{"a":false,"aa":1,"c":"x"}`},
		{"nested out of order", func(o *audit.Object) {
			o.Open("z").Int("y", 1).Int("x", 2).Close().OpenArray("l").OpenItem().Str("q", "").Str("p", "").Close().Item("s").ItemInt(7).Close()
		}, `{"l":[{"p":"","q":""},"s",7],"z":{"x":2,"y":1}}`},
		{"escapes", func(o *audit.Object) { o.Str("s", "\"\\/\b\t\n\f\r\x00\x1f\x7f<é\u2028😀") },
			`{"s":"\"\\/\b\t\n\f\r\u0000\u001f` + "\x7f<é\u2028😀" + `"}`},
		{"limits", func(o *audit.Object) { o.Int("hi", audit.MaxInt).Int("lo", -audit.MaxInt) },
			`{"hi":9007199254740991,"lo":-9007199254740991}`},
		{"strings and fragment", func(o *audit.Object) { o.Strs("e", nil).Fragment("f", inner).Fragment("g", audit.Fragment{}) },
			`{"e":[],"f":{"n":-5},"g":{}}`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			o.Reset()
			tc.build(&o)
			f, err := o.Finish()
			if err != nil {
				t.Fatal(err)
			}
			if f.String() != tc.want {
				t.Errorf("got  %s\nwant %s", f, tc.want)
			}
			if again := canonical(t, []byte(f.String())); again != f.String() {
				t.Errorf("second implementation writes %s", again)
			}
			if _, err := audit.ParseFragment(f.String()); err != nil {
				t.Errorf("own output refused: %v", err)
			}
		})
	}
}

func TestObjectRefuses(t *testing.T) {
	tests := []struct {
		name  string
		build func(o *audit.Object)
		want  error
	}{
		{"invalid UTF-8", func(o *audit.Object) { o.Str("a", "x\xff") }, audit.ErrInvalidUTF8},
		{"surrogate", func(o *audit.Object) { o.Str("a", "\xed\xa0\x80") }, audit.ErrInvalidUTF8},
		{"integer too large", func(o *audit.Object) { o.Int("a", audit.MaxInt+1) }, audit.ErrRange},
		{"integer too small", func(o *audit.Object) { o.OpenArray("a").ItemInt(math.MinInt64).Close() }, audit.ErrRange},
		{"key twice in order", func(o *audit.Object) { o.Int("a", 1).Int("a", 2) }, audit.ErrUse},
		{"key twice apart", func(o *audit.Object) { o.Int("a", 1).Int("b", 1).Int("a", 2) }, audit.ErrUse},
		{"key not ASCII", func(o *audit.Object) { o.Int("é", 1) }, audit.ErrUse},
		{"empty key", func(o *audit.Object) { o.Int("", 1) }, audit.ErrUse},
		{"left open", func(o *audit.Object) { o.Open("a") }, audit.ErrUse},
		{"closed too often", func(o *audit.Object) { o.Close() }, audit.ErrUse},
		{"item outside an array", func(o *audit.Object) { o.Item("a") }, audit.ErrUse},
		{"key in an array", func(o *audit.Object) { o.OpenArray("a").Int("b", 1) }, audit.ErrUse},
		{"too deep", func(o *audit.Object) {
			for range 20 {
				o.Open("a")
			}
		}, audit.ErrUse},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var o audit.Object
			tc.build(&o)
			if f, err := o.Int("zz", 1).Finish(); !errors.Is(err, tc.want) {
				t.Errorf("got %s, %v; want %v", f, err, tc.want)
			}
			o.Reset()
			if f, err := o.Int("a", 1).Finish(); err != nil || f.String() != `{"a":1}` {
				t.Errorf("after Reset: %s, %v", f, err)
			}
		})
	}
}

func TestParseFragmentRefusesWhatIsNotCanonical(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `1`, `{"a":1}x`, ` {}`, `{ }`, `{"a": 1}`, `{"b":1,"a":1}`, `{"a":1,"a":1}`, `{"a":1,}`, `{"a"}`,
		`{"a":1.5}`, `{"a":1e3}`, `{"a":01}`, `{"a":-0}`, `{"a":-}`, `{"a":9007199254740992}`, `{"a":99999999999999999999}`, `{"a":null}`,
		`{"a":tru}`, `{"a":"x}`, `{"a":"\/"}`, `{"a":"\u000A"}`, `{"a":"\u000a"}`, `{"a":"\u0041"}`, `{"a":"\u001F"}`, `{"a":"\u+01f"}`, `{"a":"\ud83d\ude00"}`,
		"{\"a\":\"\n\"}", "{\"a\":\"\xff\"}", `{"é":1}`, `{"":1}`, `{"a\n":1}`, `{"a":[1,]}`, `{"a":[`, `{"a":"\`, `{"a":"\u00`,
		strings.Repeat(`{"a":`, 20) + `1` + strings.Repeat(`}`, 20),
	} {
		if _, err := audit.ParseFragment(text); !errors.Is(err, audit.ErrNotCanonical) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestMicros(t *testing.T) {
	for _, tc := range []struct {
		in   float64
		want int64
	}{
		{0.93, 930_000}, {-1.5, -1_500_000}, {0.1 + 0.2, 300_000}, {0.0000005, 1}, {math.NaN(), 0},
		{math.Inf(1), audit.MaxInt}, {math.Inf(-1), -audit.MaxInt}, {1e300, audit.MaxInt},
	} {
		if got := audit.Micros(tc.in); got != tc.want {
			t.Errorf("Micros(%v) = %d, want %d", tc.in, got, tc.want)
		}
	}
}

// FuzzFragment: what is accepted is exactly what the second implementation would have written.
func FuzzFragment(f *testing.F) {
	f.Add(`{"a":[1,"x",{"b":true}],"c":"\u0001\n"}`)
	f.Add(`{"a":-12,"b":""}`)
	f.Fuzz(func(t *testing.T, text string) {
		frag, err := audit.ParseFragment(text)
		if err != nil {
			return
		}
		if again := canonical(t, []byte(text)); again != frag.String() {
			t.Errorf("accepted %q, canonical is %q", text, again)
		}
	})
}

// TestSealEqualsCanonicalisingTheWhole also stands for fault A10: any valid text, number and
// time comes back from the bytes as it went in.
func TestSealEqualsCanonicalisingTheWhole(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.String()
		var o audit.Object
		for _, key := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z_]{1,8}`), 0, 6, rapid.ID).Draw(rt, "keys") {
			switch rapid.IntRange(0, 3).Draw(rt, "kind") {
			case 0:
				o.Str(key, text.Draw(rt, "s"))
			case 1:
				o.Int(key, rapid.Int64Range(-audit.MaxInt, audit.MaxInt).Draw(rt, "i"))
			case 2:
				o.Strs(key, rapid.SliceOf(text).Draw(rt, "l"))
			default:
				o.Open(key).Str("previous_hash", text.Draw(rt, "p")).Str("event_type", "x").Bool("b", true).Close()
			}
		}
		frag, err := o.Finish()
		if err != nil {
			rt.Fatal(err)
		}
		e := audit.Event{
			Type: rapid.SampledFrom(audit.Types()).Draw(rt, "type"), Timestamp: rapid.Int64Range(0, audit.MaxInt).Draw(rt, "time"),
			ActorType: audit.ActorHuman, ActorID: text.Draw(rt, "actor"), ActorPermissions: rapid.SliceOf(text).Draw(rt, "perm"),
			SourceService: rapid.StringN(1, 20, audit.MaxName).Draw(rt, "service"), InvestigationID: text.Draw(rt, "inv"), AlertID: text.Draw(rt, "alert"),
			EntityIDs: rapid.SliceOf(text).Draw(rt, "ent"), Context: frag, Outcome: frag,
		}
		tenant := rapid.StringN(1, 20, audit.MaxName).Draw(rt, "tenant")
		c, genesis := newChain(t, tenant)
		v := view(t, e)
		_, rec, err := c.Seal(nil, &v, start)
		if err != nil {
			rt.Fatal(err)
		}
		if want := canonical(t, rec.Bytes); string(rec.Bytes) != want {
			rt.Fatalf("sealed    %s\ncanonical %s", rec.Bytes, want)
		}
		f, err := audit.ParseRecord(rec.Bytes)
		if err != nil {
			rt.Fatal(err)
		}
		if f.Type != e.Type || f.Timestamp != e.Timestamp || f.ActorID != e.ActorID || f.InvestigationID != e.InvestigationID ||
			f.AlertID != e.AlertID || f.SourceService != e.SourceService || f.Tenant != tenant || f.Sequence != 1 ||
			f.Previous != genesis.Hash || f.Context != frag.String() || f.IngestedAt != start {
			rt.Fatalf("fields differ: %+v", f)
		}
		ver := audit.NewVerifier(audit.VerifyOptions{Tenant: tenant, Heads: []audit.Head{{Sequence: 1, Hash: rec.Hash}}})
		for i, r := range []audit.Record{genesis, rec} {
			ver.Add(int64(i), r.Bytes, r.Hash[:])
		}
		if report := ver.Finish(); len(report.Findings) > 0 {
			rt.Fatalf("false alarm: %v", report.Findings)
		}
	})
}
