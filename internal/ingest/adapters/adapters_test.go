package adapters

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ingest/ingesttest"
)

// Every adapter's records must be claimed by that adapter, and by no other above the score
// that turns an object from an envelope into an alert.
func TestDetectionMatrix(t *testing.T) {
	reg := ingest.New(All()...)
	var flat alert.Flattener
	for _, own := range []string{"wazuh", "sentinel", "elastic", "splunk"} {
		for name, raw := range ingesttest.Natives(t, filepath.Join("..", own, "testdata")) {
			t.Run(own+"/"+name, func(t *testing.T) {
				f, err := flat.Flatten(raw)
				if err != nil {
					t.Fatal(err)
				}
				a, score := reg.Detect(f)
				if a == nil || a.Descriptor().Name != own || score < 50 {
					t.Fatalf("claimed by %v with %d", a, score)
				}
				for _, other := range All() {
					if n := other.Descriptor().Name; n != own && other.Detect(f) >= 20 {
						t.Errorf("%s claims it as well, with %d", n, other.Detect(f))
					}
				}
			})
		}
	}
}

func TestDescriptorsAreSound(t *testing.T) {
	for _, a := range All() {
		d := a.Descriptor()
		if d.Name == "" || d.Title == "" || a.Descriptor() != d {
			t.Errorf("%q: name, title, or not the same pointer each time", d.Name)
		}
		for _, e := range d.Entities {
			if !e.Type.Valid() || e.Path == "" || (e.Domain == "") != (e.Join == "") {
				t.Errorf("%s: entity %+v", d.Name, e)
			}
		}
		for field, paths := range d.Fields {
			if len(paths) == 0 {
				t.Errorf("%s: Sigma field %s has no path", d.Name, field)
			}
		}
	}
}

// The same record must give the same alert whatever wraps it.
func TestEnvelopes(t *testing.T) {
	reg := ingest.New(All()...)
	for own, wrap := range map[string][2]string{
		"wazuh":    {`{"took":3,"hits":{"total":{"value":1},"hits":[`, `]}}`},
		"sentinel": {`{"value":[`, `],"nextLink":null}`},
		"elastic":  {`{"responses":[{"hits":{"hits":[`, `]}}]}`},
		"splunk":   {`{"preview":false,"init_offset":0,"results":[`, `]}`},
	} {
		for name, raw := range ingesttest.Natives(t, filepath.Join("..", own, "testdata")) {
			n := 0
			text := wrap[0] + string(raw) + wrap[1]
			err := reg.Reader().Read(strings.NewReader(text), name, func(rec ingest.Record) error {
				n++
				if rec.Err != nil || string(rec.Raw) != string(raw) {
					t.Errorf("%s/%s: %v, bytes kept %v", own, name, rec.Err, string(rec.Raw) == string(raw))
				}
				return nil
			})
			if err != nil || n != 1 {
				t.Errorf("%s/%s: %d records (%v)", own, name, n, err)
			}
		}
	}
}

// Whole files of each kind: every record must become an alert or a named rejection.
func TestRealFiles(t *testing.T) {
	root := filepath.Join("..", "..", "..", "..", "shared", "data")
	for _, tt := range []struct {
		glob, source string
		alerts       bool // every record is an alert
	}{
		{"alerts/sentinel/*.json*", "sentinel", true},
		{"alerts/elastic_ecs/*.json*", "elastic", true},
		{"triage/wazuh_labelled/*.jsonl", "wazuh", true},
		{"alerts/*/*.json*", "", false},
		{"triage/ait_ads/*", "", false},
	} {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(tt.glob)))
		if err != nil || len(files) == 0 {
			t.Skip("the development data is not here")
		}
		for _, file := range files {
			checkFile(t, file, tt.source, tt.alerts)
		}
	}
}

func checkFile(t *testing.T, file, source string, alerts bool) {
	t.Helper()
	reg := ingest.New(All()...)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	counts := map[string]int{}
	ids := map[string]int{}
	err = reg.Reader().Read(f, file, func(rec ingest.Record) error {
		a, err := reg.Normalise(rec, ingest.Auto, "t", ingesttest.Now)
		var reject *ingest.RejectError
		switch {
		case errors.As(err, &reject) && len(reject.Reason) >= 8 && !alerts:
			counts["rejected"]++
		case err != nil:
			t.Errorf("%s, record %d: %v", file, rec.Index, err)
		default:
			counts[a.Source]++
			ids[a.ID]++
			if source != "" && a.Source != source {
				t.Errorf("%s, record %d: taken for %s", file, rec.Index, a.Source)
			}
			if alerts && (len(a.Missing) > 1 || a.Timestamp.IsZero() || a.Analytic == "") {
				t.Errorf("%s, record %d: missing %v, analytic %q", file, rec.Index, a.Missing, a.Analytic)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, n := range ids {
		if n > 1 && alerts {
			t.Errorf("%s: %d alerts share the id %s", file, n, id)
		}
	}
	t.Logf("%s: %v", filepath.Base(file), counts)
}
