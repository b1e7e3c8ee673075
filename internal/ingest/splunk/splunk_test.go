package splunk

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ingest/ingesttest"
)

func TestGolden(t *testing.T) { ingesttest.Golden(t, New()) }

func TestEachFieldRemoved(t *testing.T) {
	for name, raw := range ingesttest.Natives(t, "testdata") {
		t.Run(name, func(t *testing.T) {
			if name == "risk" {
				ingesttest.EachFieldRemoved(t, New(), raw, "/result")
				return
			}
			ingesttest.EachFieldRemoved(t, New(), raw)
		})
	}
}

func TestMissingIsNamed(t *testing.T) {
	raw := ingesttest.Natives(t, "testdata")["notable"]
	got := ingesttest.Missing(t, New(), raw, "/search_name", "/rule_title", "/rule_description", "/urgency", "/severity", "/_time")
	for _, want := range []string{"title", "description", "severity", "timestamp"} {
		if !slices.Contains(got.Missing, want) {
			t.Errorf("missing %v does not name %s", got.Missing, want)
		}
	}
	if got.Severity != alert.Medium || !strings.HasPrefix(got.Title, "Splunk notable") {
		t.Errorf("severity %s, title %q", got.Severity, got.Title)
	}
}

func TestSeverity(t *testing.T) {
	for word, want := range map[string]alert.Severity{
		"critical": alert.Critical, "high": alert.High, "Medium": alert.Medium, "low": alert.Low, "informational": alert.Informational, "info": alert.Informational,
	} {
		if got, ok := Severity(word); got != want || !ok {
			t.Errorf("%q: got %s, want %s", word, got, want)
		}
	}
	for _, word := range []string{"", "unknown", "4"} {
		if got, ok := Severity(word); ok || got != alert.Medium {
			t.Errorf("%q: got %s, known %v", word, got, ok)
		}
	}
}

func TestFormsAgree(t *testing.T) {
	forms := []string{
		`{"event_id":"e1","_time":"1772437200","search_name":"S - Rule","urgency":"high","src":"203.0.113.8","annotations.mitre_attack.mitre_technique_id":["T1110","T1078"]}`,
		`{"event_id":"e1","_time":"2026-03-02T07:40:00.000+00:00","search_name":"S - Rule","urgency":"high","src":"203.0.113.8","annotations":{"mitre_attack":{"mitre_technique_id":["T1110","T1078"]}}}`,
		`{"result":{"event_id":"e1","_time":"2026-03-02T02:40:00-0500","search_name":"S - Rule","urgency":"high","src":"203.0.113.8","annotations":"{\"mitre_attack\":[\"T1110\",\"T1078\"]}"}}`,
		`{"time":1772437200,"host":"idx","event":{"event_id":"e1","_time":"1772437200","search_name":"S - Rule","urgency":"high","src":"203.0.113.8","annotations.mitre_attack":"T1110\nT1078"}}`,
	}
	for i, form := range forms {
		got, err := ingest.New(New()).Normalise(ingest.Record{Raw: []byte(form)}, ingest.Auto, "t", ingesttest.Now)
		if err != nil || got.ID != "e1" || got.Title != "S - Rule" || got.Severity != alert.High || got.Timestamp.Unix() != 1772437200 ||
			!slices.Equal(got.Techniques, []string{"T1110", "T1078"}) || got.Analytic != "s - rule" || len(got.Links) != 1 {
			t.Errorf("form %d: %+v (%v)", i, got, err)
		}
	}
}

func TestIdentityWithoutEventID(t *testing.T) {
	for raw, want := range map[string]string{
		`{"search_name":"S","sid":"s1"}`:                            "s1",
		`{"search_name":"S","orig_sid":"s1","orig_rid":"4"}`:        "s1:4",
		`{"search_name":"S","event_id":"e","sid":"s1","rid":"4"}`:   "e",
		`{"search_name":"S","sid":"s1","result":{"event_id":"in"}}`: "in",
	} {
		if got, err := ingesttest.Normalise(t, New(), raw); err != nil || got.ID != want {
			t.Errorf("%s: got %q (%v), want %q", raw, got.ID, err, want)
		}
	}
}

func TestHealth(t *testing.T) {
	for raw, drop := range map[string]bool{
		`{"search_name":"Health check"}`:                           true,
		`{"search_name":"Health - Indexer queue","urgency":"low"}`: true,
		`{"search_name":"Health records copied","urgency":"high"}`: false,
		`{"search_name":"Healthcare portal abused"}`:               false,
	} {
		_, err := ingesttest.Normalise(t, New(), raw)
		if errors.Is(err, ingest.ErrHeartbeat) != drop {
			t.Errorf("%s: got %v, want dropped %v", raw, err, drop)
		}
	}
	var reject *ingest.RejectError
	if _, err := ingesttest.Normalise(t, New(), `{"a":1}`); !errors.As(err, &reject) || reject.Place == "" {
		t.Errorf("got %v, want a rejection", err)
	}
}

func FuzzNormalise(f *testing.F) { ingesttest.Fuzz(f, New()) }
