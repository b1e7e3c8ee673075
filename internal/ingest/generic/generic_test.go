package generic

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ingest/ingesttest"
)

func edr(t testing.TB) ingest.Adapter {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "edr.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	a, err := Load(f, "edr.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestGolden(t *testing.T) { ingesttest.Golden(t, edr(t)) }

func TestEachFieldRemoved(t *testing.T) {
	ingesttest.EachFieldRemoved(t, edr(t), ingesttest.Natives(t, "testdata")["edr"], "/detail")
}

func TestMappedSeverity(t *testing.T) {
	for score, want := range map[string]alert.Severity{
		"0": alert.Low, "3": alert.Low, "3.1": alert.Medium, "7": alert.Medium, "7.01": alert.High, "99": alert.High, `"Urgent"`: alert.Critical, `"odd"`: alert.Low,
	} {
		got, err := ingesttest.Normalise(t, edr(t), `{"detail":{"detection":{"id":"1","name":"n","score":`+score+`}}}`)
		if err != nil || got.Severity != want || slices.Contains(got.Missing, "severity") != (score == `"odd"`) {
			t.Errorf("score %s: got %s, missing %v (%v), want %s", score, got.Severity, got.Missing, err, want)
		}
	}
}

func TestMappedHeartbeatAndStranger(t *testing.T) {
	if _, err := ingesttest.Normalise(t, edr(t), `{"detail":{"detection":{"name":"sensor alive"}}}`); !errors.Is(err, ingest.ErrHeartbeat) {
		t.Errorf("got %v, want a heartbeat", err)
	}
	var reject *ingest.RejectError
	if _, err := ingesttest.Normalise(t, edr(t), `{"other":1}`); !errors.As(err, &reject) || reject.Source != "acme-edr" {
		t.Errorf("got %v, want a rejection", err)
	}
	if a := edr(t); a.Detect(alert.Fields{{Path: "vendor", Value: "acme"}}) != 0 {
		t.Error("one condition of two is enough, want both")
	}
}

func TestLoadNamesLineAndFix(t *testing.T) {
	const ok = "name: x\nfields: {title: t}\n"
	for in, want := range map[string]string{
		"":                              "m: the mapping is empty; it needs at least name and fields",
		"name: x\n\tfields":             "m: not valid YAML",
		"- a":                           "m:1: the mapping must be a mapping of key: value",
		ok + "colour: red":              `m:3: the mapping has no key "colour"; known keys are constants, detect,`,
		ok + "name: y":                  `m:3: the mapping has the key "name" twice; remove one`,
		"fields: {title: t}":            "m:1: the mapping needs a name",
		"name: a b\nfields: {id: t}":    `m:1: "a b" cannot name a source`,
		"name: x\nfields: {id: t}":      "m:1: the mapping needs fields.title or constants.title",
		"name: x\nfields:\n  titel: t":  `m:3: fields has no key "titel"; known keys are analytic`,
		ok + "severity: {default: red}": `m:3: "red" is no severity; use critical, high`,
		ok + "severity:\n  bands:\n  - {to: x, severity: low}":               `m:5: "x" is no number`,
		ok + "severity: {bands: [{severity: low}, {to: 3, severity: high}]}": "m:3: bands must rise",
		ok + "entities:\n- {path: a, type: server}":                          `m:4: "server" is no entity type; use one of account, host`,
		ok + "entities:\n- {path: a, type: host, role: x}":                   `m:4: "x" is no role`,
		ok + "entities:\n- {path: a, type: account, domain: d}":              "m:4: domain and join go together",
		ok + "entities: host":                     "m:3: expected a list",
		ok + "detect:\n- {path: a}":               "m:4: a condition of detect needs either equals: VALUE or exists: true",
		ok + "links:\n- {kind: cable, path: a}":   `m:4: "cable" is no kind of link`,
		ok + "links:\n- {kind: session, path: a}": "m:4: a session link needs host",
	} {
		_, err := Load(strings.NewReader(in), "m")
		var mapping *MappingError
		if !errors.As(err, &mapping) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\ngot  %v\nwant %s", in, err, want)
		}
	}
	if _, err := Load(strings.NewReader(ok), "m"); err != nil {
		t.Errorf("the smallest mapping: %v", err)
	}
	_, err := Load(strings.NewReader(ok+"a: 1\nb: 2\n"), "m")
	if err == nil || strings.Count(err.Error(), "no key") != 2 {
		t.Errorf("got %v, want both mistakes at once", err)
	}
}

func TestDefault(t *testing.T) {
	reg := ingest.New(Default())
	got, err := reg.Normalise(ingest.Record{Raw: []byte(`{"alertId":"7","ruleName":"Odd login","Severity":"HIGH","created_at":"2026-03-02T07:00:00Z","src_ip":"203.0.113.4"}`)}, ingest.Auto, "t", ingesttest.Now)
	if err != nil || got.ID != "7" || got.Title != "Odd login" || got.Severity != alert.High || got.Timestamp.IsZero() || len(got.Links) != 1 || got.Source != Name {
		t.Errorf("got %+v (%v)", got, err)
	}
	for raw, want := range map[string]int{
		`{"id":"1","title":"t","severity":"low"}`: faint,
		`{"id":"1","title":"t","time":"2026"}`:    faint,
		`{"id":"1","title":"t"}`:                  0,
		`{"rows":[],"total":3}`:                   0,
	} {
		var flat alert.Flattener
		f, err := flat.Flatten([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		if got := Default().Detect(f); got != want {
			t.Errorf("%s: score %d, want %d", raw, got, want)
		}
	}
	odd, err := ingesttest.Normalise(t, Default(), `{"id":"1","severity":"spicy"}`)
	if err != nil || odd.Severity != alert.Medium || !slices.Equal(odd.Missing, []string{"title", "severity", "timestamp"}) || odd.Title == "" {
		t.Errorf("got %+v (%v)", odd, err)
	}
}

func FuzzNormalise(f *testing.F) { ingesttest.Fuzz(f, edr(f)) }

func FuzzDefault(f *testing.F) { ingesttest.Fuzz(f, Default()) }

func FuzzLoad(f *testing.F) {
	for _, s := range []string{"name: x\nfields: {title: t}\n", "- a", "name: [", "severity: {table: {a: low}}", "a: &a [*a]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := Load(strings.NewReader(in), "m")
		if err == nil {
			_, _ = ingesttest.Normalise(t, a, `{"a":"b"}`)
		}
	})
}
