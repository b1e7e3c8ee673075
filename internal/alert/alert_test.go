package alert

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestIsTechniqueID(t *testing.T) {
	for _, s := range []string{"T1059", "T1059.001", "AML.T0051", "AML.T0051.000"} {
		if !IsTechniqueID(s) {
			t.Errorf("%q refused", s)
		}
	}
	for _, s := range []string{"", "T", "T105", "T10599", "t1059", "T1059.1", "T1059.0011", "T1059-001", "AML.", "AML.T1", "TA0001", "T1059.00x"} {
		if IsTechniqueID(s) {
			t.Errorf("%q accepted", s)
		}
	}
}

func TestSeverityWords(t *testing.T) {
	for _, s := range Severities() {
		got, ok := ParseSeverity(strings.ToUpper(s.String()))
		if !ok || got != s {
			t.Errorf("%v read back as %v, %v", s, got, ok)
		}
	}
	if _, ok := ParseSeverity("purple"); ok {
		t.Error("purple is no severity")
	}
	if Critical.Raise() != Critical || Informational.Lower() != Informational || Low.Raise() != Medium {
		t.Error("raising and lowering must stay in range")
	}
}

func sample() (*Alert, []Entity) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89000, time.UTC)
	a := &Alert{
		ID: "a-1", Source: "wazuh", TenantID: "default", Analytic: "92052", Title: "Shell", Timestamp: at,
		Severity: High, EntitiesRaw: "[]", Discriminator: []string{"cmd /c whoami"}, RawPayload: []byte("{\"x\":\"\xff\\n\"}"),
		Techniques: []string{"T1059.003"}, Links: []Link{{Kind: LinkProcess, Value: "g"}},
	}
	return a, []Entity{
		{Type: Host, Value: "WS-07", Confidence: 1, Principal: true},
		{Type: Account, Value: "EXAMPLE\\ada", Confidence: 1, Principal: true},
		{Type: File, Value: `C:\x`, Confidence: 1},
	}
}

func TestFingerprint(t *testing.T) {
	a, e := sample()
	base := Fingerprint(a, e)
	if !strings.HasPrefix(base, "fp1:") || len(base) != 4+64 {
		t.Fatalf("form: %q", base)
	}
	same := map[string]func(*Alert, []Entity) []Entity{
		"other id and time": func(a *Alert, e []Entity) []Entity {
			a.ID, a.Timestamp, a.EventStart = "a-2", a.Timestamp.Add(time.Hour), a.Timestamp
			return e
		},
		"entities in another order": func(_ *Alert, e []Entity) []Entity { return []Entity{e[2], e[1], e[0], e[0]} },
		"other letter case":         func(_ *Alert, e []Entity) []Entity { e[0].Value = "ws-07"; return e },
		"other minor entity":        func(_ *Alert, e []Entity) []Entity { e[2].Value = `C:\y`; return e },
	}
	for name, change := range same {
		a, e := sample()
		if got := Fingerprint(a, change(a, e)); got != base {
			t.Errorf("%s: must not change the fingerprint", name)
		}
	}
	other := map[string]func(*Alert, []Entity) []Entity{
		"tenant":        func(a *Alert, e []Entity) []Entity { a.TenantID = "b"; return e },
		"analytic":      func(a *Alert, e []Entity) []Entity { a.Analytic = "1"; return e },
		"host":          func(_ *Alert, e []Entity) []Entity { e[0].Value = "ws-08"; return e },
		"command":       func(a *Alert, e []Entity) []Entity { a.Discriminator[0] = "cmd /c net user"; return e },
		"split command": func(a *Alert, e []Entity) []Entity { a.Discriminator = []string{"cmd /c ", "whoami"}; return e },
	}
	for name, change := range other {
		a, e := sample()
		if got := Fingerprint(a, change(a, e)); got == base {
			t.Errorf("%s: must change the fingerprint", name)
		}
	}
}

func TestQualityNamesWhatIsMissing(t *testing.T) {
	a, _ := sample()
	if q, missing := Quality(a, 3); q != 1 || len(missing) != 0 {
		t.Errorf("complete alert: %v %v", q, missing)
	}
	q, missing := Quality(&Alert{}, 0)
	if q != 0 || len(missing) < 6 {
		t.Errorf("empty alert: %v %v", q, missing)
	}
	a.Title = ""
	if q, missing := Quality(a, 3); q > 0.71 || q < 0.69 || !cmp.Equal(missing, []string{"title"}) {
		t.Errorf("no title: %v %v", q, missing)
	}
}

func TestEventTimeFallsBack(t *testing.T) {
	t1, t2, t3 := time.Unix(1, 0), time.Unix(2, 0), time.Unix(3, 0)
	a := Alert{EventStart: t1, Timestamp: t2, IngestedAt: t3}
	for _, want := range []time.Time{t1, t2} {
		if got, ok := a.EventTime(); !ok || !got.Equal(want) {
			t.Errorf("got %v %v, want %v", got, ok, want)
		}
		if a.EventStart.IsZero() {
			a.Timestamp = time.Time{}
		}
		a.EventStart = time.Time{}
	}
	if got, ok := a.EventTime(); ok || !got.Equal(t3) {
		t.Errorf("arrival must be marked as such: %v %v", got, ok)
	}
}

func TestFrameRoundTrip(t *testing.T) {
	a, e := sample()
	m := &Message{Alert: *a, Entities: Entities{List: e}, Fingerprint: Fingerprint(a, e), RawRef: "r"}
	b, err := AppendFrame(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeFrame(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m, got); d != "" {
		t.Error(d)
	}
	for n := range b {
		if _, err := DecodeFrame(b[:n]); !errors.Is(err, ErrFrame) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if _, err := DecodeFrame(append(b, 0)); !errors.Is(err, ErrFrame) {
		t.Error("trailing bytes accepted")
	}
}

func TestFrameKeepsAnyBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOf(rapid.Byte()).Draw(t, "raw")
		m := &Message{Alert: Alert{ID: "x", RawPayload: raw}}
		b, err := AppendFrame(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeFrame(b)
		if err != nil || string(got.Alert.RawPayload) != string(raw) {
			t.Fatalf("%v, %q", err, got.Alert.RawPayload)
		}
	})
}

func FuzzDecodeFrame(f *testing.F) {
	a, e := sample()
	b, err := AppendFrame(nil, &Message{Alert: *a, Entities: Entities{List: e}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("ALF1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = DecodeFrame(b) })
}
