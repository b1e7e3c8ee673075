package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/aluskort/aluskort/internal/bench"
)

var update = flag.Bool("update", false, "write golden files")

const example = "../../examples/wazuh-alerts.jsonl"

// aluskort runs the program as its user would, with an environment of its own.
func aluskort(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	home := t.TempDir()
	getenv := func(k string) string {
		if k == "HOME" {
			return home
		}
		return ""
	}
	var out, errs bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(stdin), &out, &errs, getenv)
	return code, out.String(), errs.String()
}

func schemaOf(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "contract", name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, line string) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
	if err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("%v\n%s", err, line)
	}
}

func TestInvestigateKeepsItsContract(t *testing.T) {
	schema := schemaOf(t, "investigate.schema.json")
	hostile := strings.Join([]string{
		`{"not":"an alert"}`, `broken`, ``, `[]`, `{"_source":{"rule":{"id":"5","level":3,"description":"x"},"agent":{"name":"h"},"id":"1"}}`,
		`{"a":` + strings.Repeat(`[`, 300) + strings.Repeat(`]`, 300) + `}`, "\xff\xfe", `null`,
	}, "\n")
	for name, in := range map[string]string{"example": read(t, example), "hostile": hostile} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := aluskort(t, in, "investigate", "--json", "-")
			if code != exitDone && code != exitFindings {
				t.Fatalf("exit %d: %s", code, errs)
			}
			lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			for _, l := range lines {
				validate(t, schema, l)
			}
			if name == "hostile" && code != exitFindings {
				t.Errorf("exit %d with rejected records", code)
			}
		})
	}
}

// Prior plus the weights as counted must reproduce the published probability.
func TestPublishedNumbersAddUp(t *testing.T) {
	_, out, _ := aluskort(t, "", "investigate", "--json", example)
	for line := range strings.Lines(out) {
		var l struct {
			Investigation *struct {
				Prior       float64 `json:"prior"`
				Probability float64 `json:"malicious_probability"`
				Evidence    []struct {
					Weight float64  `json:"weight"`
					Refs   []string `json:"refs"`
				} `json:"evidence"`
			} `json:"investigation"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Investigation == nil {
			continue
		}
		bits := l.Investigation.Prior
		for _, e := range l.Investigation.Evidence {
			bits += e.Weight
			if len(e.Refs) == 0 {
				t.Errorf("evidence without a reference: %s", line)
			}
		}
		if p := 1 / (1 + math.Exp2(-bits)); math.Abs(p-l.Investigation.Probability) > 1e-6 {
			t.Errorf("published %v, the parts give %v", l.Investigation.Probability, p)
		}
	}
}

// varying are the parts of the text report that differ from run to run.
var varying = regexp.MustCompile(`(?m)^  time  .*$`)

func TestInvestigateText(t *testing.T) {
	code, out, errs := aluskort(t, "", "investigate", example)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, errs)
	}
	golden(t, "investigate.golden", varying.ReplaceAllString(out, "  time"))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(read(t, path), got); d != "" {
		t.Errorf("%s (run with -update if this is meant):\n%s", path, d)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestBenchKeepsItsContract(t *testing.T) {
	schema := schemaOf(t, "bench.schema.json")
	for _, args := range [][]string{{"--alerts", "600"}, {"--alerts", "60", "--rate", "300"}} {
		code, out, errs := aluskort(t, "", append([]string{"bench", "pipeline", "--json"}, args...)...)
		if code != exitDone {
			t.Fatalf("exit %d: %s", code, errs)
		}
		validate(t, schema, out)
	}
}

// The measurement of a flood times what it says it times: all watched alerts of both phases, beside
// a flood that a rate holds back or that gets in whole.
func TestBenchFlood(t *testing.T) {
	for _, tt := range []struct {
		args           []string
		refused, audit bool
	}{
		{[]string{"--watch", "critical"}, false, true},
		{[]string{"--watch", "tenant", "--tenant-rate", "2"}, true, false},
	} {
		args := append([]string{"bench", "flood", "--json", "--seconds", "1", "--onset", "1", "--flood", "400"}, tt.args...)
		code, out, errs := aluskort(t, "", args...)
		if code != exitDone {
			t.Fatalf("exit %d: %s", code, errs)
		}
		var r bench.FloodReport
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		for _, p := range []bench.FloodPart{r.Alone, r.Flooded} {
			if p.Alerts != 20 || p.Refused > 0 || p.Latency.P50 <= 0 || p.Latency.P99 < p.Latency.P50 || tt.audit && p.Audit.P50 < p.Latency.P50 {
				t.Errorf("%v: a phase of %+v", tt.args, p)
			}
		}
		if r.Accepted == 0 || (r.Refused > 0) != tt.refused {
			t.Errorf("%v: of the flood %d came in and %d were refused", tt.args, r.Accepted, r.Refused)
		}
	}
}

func TestBenchFloodRefusesWhatMakesNoSense(t *testing.T) {
	for _, args := range [][]string{{"--rate", "0"}, {"--flood", "0"}, {"--flood", "-1"}, {"--seconds", "0"}, {"--rounds", "0"}, {"--onset", "-1"}, {"--watch", "all"}} {
		code, _, errs := aluskort(t, "", append([]string{"bench", "flood"}, args...)...)
		if code != exitUsage || !strings.Contains(errs, strings.TrimPrefix(args[0], "--")) {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
	}
}

// A source that no adapter knows is described by a mapping file.
func TestMappedSource(t *testing.T) {
	dir := "../../internal/ingest/generic/testdata/"
	config := filepath.Join(t.TempDir(), "aluskort.yaml")
	abs, err := filepath.Abs(dir + "edr.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte("mappings: ["+abs+"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := aluskort(t, "", "--config", config, "investigate", "--json", dir+"edr.json")
	if code != exitDone || strings.Contains(out, `"source":"generic"`) || !strings.Contains(out, `"classification"`) {
		t.Errorf("exit %d: %s %s", code, out, errs)
	}
}

func TestAuditIsVerifiedAndDamageIsNamed(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	if code, _, errs := aluskort(t, "", "--state", state, "investigate", example); code != exitDone {
		t.Fatal(errs)
	}
	code, out, _ := aluskort(t, "", "--state", state, "audit", "verify")
	if code != exitDone || !strings.Contains(out, "chain verified") {
		t.Fatalf("exit %d: %s", code, out)
	}
	file := filepath.Join(dir, "audit.jsonl")
	if code, _, errs := aluskort(t, "", "--state", state, "audit", "export", "-o", file); code != exitDone {
		t.Fatal(errs)
	}
	if code, _, errs := aluskort(t, "", "--state", state, "audit", "export", "-o", file); code != exitFailed || errs == "" {
		t.Error("an export must not overwrite a file")
	}
	good := read(t, file)
	damaged := strings.Replace(good, `"classification":"true_positive"`, `"classification":"false_positive"`, 1)
	if damaged == good {
		t.Fatal("nothing to damage")
	}
	if err := os.WriteFile(file, []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ = aluskort(t, "", "audit", "verify", file)
	if code != exitFindings || !strings.Contains(out, "DAMAGED") || !strings.Contains(out, "content") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestExitCodes(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		stdin  string
		code   int
		stderr string
	}{
		{"no command", nil, "", exitUsage, "--help"},
		{"unknown flag", []string{"investigate", "--colour", "x"}, "", exitUsage, "--colour"},
		{"absent file", []string{"investigate", "/does/not/exist.json"}, "", exitFailed, "no such file"},
		{"unknown source", []string{"investigate", "--source", "acme", "-"}, `{"a":1}`, exitFindings, ""},
		{"broken configuration", []string{"--config", "testdata/broken.yaml", "config", "check"}, "", exitFailed, "tenannt"},
		{"no state directory", []string{"--state", "/does/not/exist", "audit", "verify"}, "", exitFailed, "no state directory"},
		{"help", []string{"--help"}, "", exitDone, ""},
		{"version", []string{"version"}, "", exitDone, ""},
		{"topics", []string{"topics", "list"}, "", exitDone, ""},
		{"dead letters", []string{"dlq", "list"}, "", exitDone, ""},
		{"wrong dead-letter topic", []string{"dlq", "replay", "alerts.raw"}, "", exitUsage, "alerts.raw.dlq"},
		{"configuration", []string{"config", "print"}, "", exitDone, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, _, stderr := aluskort(t, tt.stdin, tt.args...)
			if code != tt.code || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("exit %d, want %d: %s", code, tt.code, stderr)
			}
		})
	}
}

func TestSecondProcessOnAStateDirectoryIsRefused(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	reader, writer := io.Pipe()
	done := make(chan int, 1)
	ready := &firstWrite{seen: make(chan struct{})}
	go func() {
		done <- run(context.Background(), []string{"--state", state, "investigate", "-"}, io.TeeReader(reader, ready), io.Discard, io.Discard, func(string) string { return "" })
	}()
	if _, err := writer.Write([]byte("\n")); err != nil { // taken only once the state is open
		t.Fatal(err)
	}
	<-ready.seen
	if code, _, stderr := aluskort(t, "", "--state", state, "investigate", example); code != exitFailed || !strings.Contains(stderr, "in use") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != exitDone {
		t.Errorf("the first process ended with %d", code)
	}
}

// firstWrite closes seen when something was written.
type firstWrite struct {
	seen   chan struct{}
	closed bool
}

func (f *firstWrite) Write(b []byte) (int, error) {
	if !f.closed {
		f.closed = true
		close(f.seen)
	}
	return len(b), nil
}

// TestRefusedRecordsOfAFileAreInTheTrail: one record for the file, whatever its length.
func TestRefusedRecordsOfAFileAreInTheTrail(t *testing.T) {
	state := t.TempDir()
	file := filepath.Join(t.TempDir(), "odd.jsonl")
	if err := os.WriteFile(file, []byte(strings.Repeat("{\"odd\":1}\n", 700)), 0o600); err != nil {
		t.Fatal(err)
	}
	aluskort(t, "", "--state", state, "investigate", file)
	_, out, _ := aluskort(t, "", "--state", state, "audit", "export")
	if n := strings.Count(out, `alert.rejected`); n != 1 || !strings.Contains(strings.ReplaceAll(out, `\"`, `"`), `"count":700`) {
		t.Errorf("%d records:\n%.2000s", n, out)
	}
}
