package eval

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/result"
)

// record is a native record of the tests: who, when and what.
func record(id, user string, at time.Time, text string) []byte {
	return fmt.Appendf(nil, `{"_id":%q,"timestamp":%q,"agent":{"name":"ws-17"},"data":{"user":%q,"commandLine":%q}}`, id, at.Format(time.RFC3339), user, text)
}

var t0 = time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)

// testRecords are four attacks by one user on one day and four harmless alerts two days before:
// every cheap cue that a lab leaves.
func testRecords() (records [][]byte, labels map[string]Truth) {
	labels = map[string]Truth{}
	for i := range 8 {
		id, user, at, text, label := fmt.Sprintf("Ab%dcDEFGHIJKL%d", i, i), "margaret", t0.Add(-48*time.Hour), "update", Negative
		if i%2 == 0 {
			user, at, text, label = "mallory", t0, "atomic dump", Positive
		}
		records = append(records, record(id, user, at.Add(time.Duration(i)*time.Hour), text))
		labels[id] = Truth{Label: label}
	}
	return records, labels
}

// judgeBy is a product that decides by one cue.
func judgeBy(cue func(raw []byte, before int) bool) Judge {
	return func(_ context.Context, records [][]byte, alone bool) ([]Judged, error) {
		out := make([]Judged, len(records))
		for i, raw := range records {
			var doc struct {
				ID   string    `json:"_id"`
				Time time.Time `json:"timestamp"`
			}
			if err := json.Unmarshal(raw, &doc); err != nil {
				return nil, err
			}
			before := i
			if alone {
				before = 0
			}
			c, p := evidence.FalsePositive, 0.05
			if cue(raw, before) {
				c, p = evidence.TruePositive, 0.95
			}
			out[i] = verdict(doc.ID, c, p)
			out[i].Line.Alert.Timestamp = doc.Time
			out[i].Line.Alert.Entities = append(out[i].Line.Alert.Entities, resultHost("ws-17"))
		}
		return out, nil
	}
}

// Each control must expose the product that lives by the cue which the control takes away, and
// leave alone the one that looks at what was done.
func TestControlsExposeCues(t *testing.T) {
	at := func(raw []byte) time.Time {
		var doc struct {
			Time time.Time `json:"timestamp"`
		}
		if json.Unmarshal(raw, &doc) != nil {
			return time.Time{}
		}
		return doc.Time
	}
	for _, c := range []struct {
		name    string
		cue     func(raw []byte, before int) bool
		exposed []string
	}{
		{"behaviour", func(raw []byte, _ int) bool { return bytes.Contains(raw, []byte("dump")) }, nil},
		{"user", func(raw []byte, _ int) bool { return bytes.Contains(raw, []byte("mallory")) }, []string{ControlRenamed}},
		{"id", func(raw []byte, _ int) bool { return bytes.Contains(raw, []byte("Ab0c")) }, []string{ControlRenamed}},
		{"date", func(raw []byte, _ int) bool { return at(raw).After(t0.Add(-time.Hour)) }, []string{ControlRenamed, ControlInterleaved}},
		{"word of the kit", func(raw []byte, _ int) bool { return bytes.Contains(raw, []byte("atomic")) }, []string{ControlNeutral}},
		{"order", func(_ []byte, before int) bool { return before%2 == 0 }, []string{ControlShuffled, ControlAlone}},
	} {
		t.Run(c.name, func(t *testing.T) {
			records, labels := testRecords()
			rep, err := Triage(t.Context(), judgeBy(c.cue), records, labels, Options{Controls: true, Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			if rep.Positives != 4 || rep.Negatives != 4 {
				t.Fatalf("labels were not found: %+v", rep.Figures)
			}
			for name, control := range rep.Controls {
				want := false
				for _, e := range c.exposed {
					want = want || e == name
				}
				if (control.Changed > 0) != want {
					t.Errorf("%s: %d verdicts changed; want any: %v", name, control.Changed, want)
				}
			}
		})
	}
}

func TestInterleaveMovesNegativesNextToPositives(t *testing.T) {
	records, labels := testRecords()
	rep, err := Triage(t.Context(), judgeBy(func(raw []byte, _ int) bool { return bytes.Contains(raw, []byte("dump")) }), records, labels, Options{Controls: true, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := rep.Controls[ControlInterleaved].Records; got != 4 {
		t.Errorf("%d of 4 negatives moved", got)
	}
	samples := make([]Sample, len(records))
	var judged []Judged
	for i := range records {
		samples[i] = Sample{Raw: records[i], Truth: Truth{Label: Negative}}
		j := verdict(fmt.Sprint(i), evidence.Suspicious, 0.5)
		j.Line.Alert.Timestamp = t0.Add(time.Duration(i) * 24 * time.Hour)
		j.Line.Alert.Entities = append(j.Line.Alert.Entities, resultHost(fmt.Sprintf("ws-%d", i/4)))
		samples[i].Raw = record(fmt.Sprint(i), "x", j.Line.Alert.Timestamp, "")
		judged = append(judged, j)
	}
	samples[0].Label = Positive // on ws-0; ws-1 has none
	moved, n, err := Interleave(samples, judged, testSpan, 1)
	if err != nil || n != 3 {
		t.Fatalf("moved %d, %v; want the 3 negatives of the host with a positive", n, err)
	}
	for i := range moved {
		got, err := TimesIn(moved[i], Span{})
		if err != nil {
			t.Fatal(err)
		}
		d := got.From.Sub(t0).Abs()
		switch {
		case i > 0 && i < 4 && d > interleaveWithin+time.Second:
			t.Errorf("record %d is %s away", i, d)
		case (i == 0 || i >= 4) && !bytes.Equal(moved[i], samples[i].Raw):
			t.Errorf("record %d should have stayed", i)
		}
	}
}

func TestTriageReportsErrorsWithEvidence(t *testing.T) {
	records, labels := testRecords()
	labels["nowhere"] = Truth{Label: Positive}
	rep, err := Triage(t.Context(), judgeBy(func([]byte, int) bool { return false }), records, labels, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.MissedAlerts) != 4 || rep.Missed.Count != 4 || len(rep.LabelsUnused) != 1 {
		t.Errorf("%+v", rep)
	}
	var b strings.Builder
	if err := rep.WriteText(&b, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"MISSED: positives called benign (4)", "Ab0cDEFGHIJKL0", "4 of 4", "1 labels for which there is no alert"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, b.String())
		}
	}
}

func TestTriagePassesErrorsOn(t *testing.T) {
	broken := errors.New("disk full")
	_, err := Triage(t.Context(), func(context.Context, [][]byte, bool) ([]Judged, error) { return nil, broken }, nil, nil, Options{})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	_, err = Triage(t.Context(), func(context.Context, [][]byte, bool) ([]Judged, error) { return nil, nil }, [][]byte{[]byte("{}")}, nil, Options{})
	if err == nil {
		t.Error("a verdict was lost without an error")
	}
}

func TestMatchByNativeIDs(t *testing.T) {
	samples := []Sample{{Raw: []byte(`{"_id":"doc","_source":{"id":"17.1"}}`)}, {Raw: []byte(`{"id":"17.2"}`)}, {Raw: []byte(`{"id":5}`)}, {Raw: []byte(`{"SystemAlertId":"x"}`)}}
	judged := []Judged{verdict("other", "suspicious", 0), verdict("other", "suspicious", 0), verdict("other", "suspicious", 0), verdict("x", "suspicious", 0)}
	unused := Match(samples, judged, map[string]Truth{"17.1": {Label: Positive}, "17.2": {Label: Negative}, "5": {Label: Positive}, "x": {Label: Positive}, "": {Label: Negative}})
	for i, want := range []Label{Positive, Negative, Positive, Positive} {
		if samples[i].Label != want {
			t.Errorf("record %d: label %v, want %v", i, samples[i].Label, want)
		}
	}
	if len(unused) != 1 {
		t.Errorf("unused %q", unused)
	}
}

func resultHost(name string) result.Entity {
	return result.Entity{Type: alert.Host, Value: name, Confidence: 1}
}
