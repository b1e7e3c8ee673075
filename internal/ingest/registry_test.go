package ingest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// stub is an adapter of records that have its mark.
type stub struct {
	descriptor ingest.Descriptor
	mark       string
	score      int
	alert      alert.Alert
	err        error
}

func (s *stub) Descriptor() *ingest.Descriptor { return &s.descriptor }

func (s *stub) Detect(f alert.Fields) int {
	if f.Has(s.mark) {
		return s.score
	}
	return 0
}

func (s *stub) Normalise([]byte, alert.Fields) (alert.Alert, error) { return s.alert, s.err }

func named(name, mark string, score int) *stub {
	return &stub{descriptor: ingest.Descriptor{Name: name}, mark: mark, score: score, alert: alert.Alert{Title: name}}
}

func TestNormaliseCompletesTheAlert(t *testing.T) {
	local := time.FixedZone("CET", 3600)
	s := named("a", "x", 50)
	s.alert.Techniques = []string{"T1059", "nonsense", "T1059.001"}
	s.alert.EventStart = time.Date(2026, 3, 2, 9, 0, 0, 1234567, local)
	s.alert.EventEnd = s.alert.EventStart.Add(-time.Hour)
	raw := []byte(`{"x":1,"y":[2]}`)
	now := time.Date(2026, 3, 2, 10, 0, 0, 999, local)
	got, err := ingest.New(s).Normalise(ingest.Record{Raw: raw}, ingest.Auto, "acme", now)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 3, 2, 8, 0, 0, 1234000, time.UTC)
	switch {
	case got.Source != "a" || got.TenantID != "acme" || string(got.RawPayload) != string(raw) || got.EntitiesRaw != "[]" || got.Fields.Get("y") != "2":
		t.Errorf("got %+v", got)
	case len(got.Techniques) != 2:
		t.Errorf("techniques %v", got.Techniques)
	case got.EventStart != start || got.Timestamp != start || !got.EventEnd.IsZero():
		t.Errorf("times %v %v %v, want UTC microseconds, and no end before the start", got.Timestamp, got.EventStart, got.EventEnd)
	case got.IngestedAt != time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC):
		t.Errorf("ingested at %v", got.IngestedAt)
	}
}

func TestLongTextsAreBounded(t *testing.T) {
	long := func(end string) alert.Alert {
		s := named("a", "x", 50)
		s.alert.Title = strings.Repeat("ü", 5000)
		s.alert.Analytic = strings.Repeat("r", 5000) + end
		a, err := ingest.New(s).Normalise(ingest.Record{Raw: []byte(`{"x":1}`)}, ingest.Auto, "t", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a, b := long("1"), long("2")
	if len(a.Title) > 2060 || !strings.HasSuffix(a.Title, "ü…") || len(a.Analytic) > 512 || a.Analytic == b.Analytic {
		t.Errorf("title %d bytes, analytic %d bytes, equal %v", len(a.Title), len(a.Analytic), a.Analytic == b.Analytic)
	}
}

func TestIdentityOfThePayload(t *testing.T) {
	reg := ingest.New(named("a", "x", 50))
	id := func(raw string) string {
		a, err := reg.Normalise(ingest.Record{Raw: []byte(raw)}, "a", "t", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return a.ID
	}
	base := id(`{"x":1,"y":"é"}`)
	if !strings.HasPrefix(base, "sha256:") || len(base) != 71 {
		t.Errorf("id %q", base)
	}
	if id("{ \"y\":\"\\u00e9\",\n \"x\":1 }") != base {
		t.Error("order of keys and white space change the identity")
	}
	if id(`{"x":2,"y":"é"}`) == base {
		t.Error("another payload has the same identity")
	}
	if id(`{"x":9007199254740993}`) == id(`{"x":9007199254740992}`) {
		t.Error("long integers lose their digits")
	}
	if id(`{"x":1,"x":2}`) == id(`{"x":1,"x":3}`) {
		t.Error("payloads with doubled keys lose their identity")
	}
}

func TestChoiceOfAdapter(t *testing.T) {
	reg := ingest.New(named("a", "x", 50), named("b", "y", 60), named("c", "y", 60))
	for raw, want := range map[string]string{`{"x":1}`: "a", `{"x":1,"y":1}`: "b"} {
		if a, err := reg.Normalise(ingest.Record{Raw: []byte(raw)}, ingest.Auto, "t", time.Time{}); err != nil || a.Source != want {
			t.Errorf("%s: got %q (%v), want %q", raw, a.Source, err, want)
		}
	}
	if a, err := reg.Normalise(ingest.Record{Raw: []byte(`{"x":1}`)}, "c", "t", time.Time{}); err != nil || a.Source != "c" {
		t.Errorf("named: got %q (%v), want c", a.Source, err)
	}
	if got := reg.Names(); strings.Join(got, " ") != "a b c" {
		t.Errorf("names %v", got)
	}
	other := ingest.New(named("a", "x", 50), named("a", "z", 70))
	if _, score := other.Detect(alert.Fields{{Path: "z"}}); score != 70 || len(other.Names()) != 1 {
		t.Error("the later adapter of a name must replace the earlier")
	}
}

func TestErrorsAreTyped(t *testing.T) {
	heart, bad, plain := named("heart", "h", 50), named("bad", "b", 50), named("plain", "p", 50)
	heart.err = ingest.ErrHeartbeat
	bad.err = &ingest.RejectError{Source: "bad", Place: "/b", Reason: "b must be a list"}
	plain.err = errors.New("something is odd")
	reg := ingest.New(heart, bad, plain)
	if _, err := reg.Normalise(ingest.Record{Raw: []byte(`{"h":1}`)}, ingest.Auto, "t", time.Time{}); !errors.Is(err, ingest.ErrHeartbeat) {
		t.Errorf("got %v, want a heartbeat", err)
	}
	broken := &ingest.RejectError{Place: "line 3", Reason: "cut off in the middle"}
	for name, tt := range map[string]struct {
		rec            ingest.Record
		source, reason string
	}{
		"adapter":  {ingest.Record{Raw: []byte(`{"b":1}`)}, ingest.Auto, "/b: b must be a list"},
		"untyped":  {ingest.Record{Raw: []byte(`{"p":1}`)}, ingest.Auto, "something is odd"},
		"record":   {ingest.Record{Err: broken}, ingest.Auto, "line 3: cut off in the middle"},
		"no JSON":  {ingest.Record{Raw: []byte(`{"b":`)}, ingest.Auto, "byte 0: not valid JSON"},
		"array":    {ingest.Record{Raw: []byte(`[1]`)}, ingest.Auto, "byte 0: not a JSON object; each record must be an object in braces"},
		"nobody's": {ingest.Record{Raw: []byte(`{"q":1,"r":{"s":2}}`)}, ingest.Auto, "/: no known product's alert (keys: q, r); name the source"},
		"source":   {ingest.Record{Raw: []byte(`{"b":1}`)}, "nosuch", `there is no source "nosuch"; use one of bad, heart, plain, or auto`},
		"deep":     {ingest.Record{Raw: []byte(`{"b":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`)}, ingest.Auto, "byte 0: record is nested deeper than 64 levels"},
	} {
		_, err := reg.Normalise(tt.rec, tt.source, "t", time.Time{})
		var reject *ingest.RejectError
		if !errors.As(err, &reject) || !strings.HasPrefix(err.Error(), tt.reason) {
			t.Errorf("%s: got %v, want %s", name, err, tt.reason)
		}
	}
}
