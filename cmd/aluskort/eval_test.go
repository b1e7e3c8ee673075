package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const evalFixture = "../../internal/eval/testdata/wazuh"

func TestEvalTriageFitsItsSchema(t *testing.T) {
	code, out, errs := aluskort(t, "", "eval", "triage", "--labels", evalFixture+".csv", "--controls", "--json", evalFixture+".jsonl")
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, errs)
	}
	schema := schemaOf(t, "eval-triage.schema.json")
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Error(err)
	}
	var rep struct {
		N        int
		Controls map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(out), &rep, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	if rep.N != 18 || len(rep.Controls) != 5 {
		t.Errorf("%d alerts, %d controls", rep.N, len(rep.Controls))
	}
	for name, c := range rep.Controls {
		if err := schema.Validate(c); err != nil {
			t.Errorf("control %s has another shape: %v", name, err)
		}
		if _, ok := c["changed"].(float64); !ok {
			t.Errorf("control %s does not say how many verdicts changed", name)
		}
	}
}

// An attack that is called benign is a finding: here the label of a harmless alert is turned.
func TestEvalTriageEndsWithFindingsWhenSomethingIsMissed(t *testing.T) {
	b, err := os.ReadFile(evalFixture + ".csv")
	if err != nil {
		t.Fatal(err)
	}
	labels := filepath.Join(t.TempDir(), "labels.csv")
	if err := os.WriteFile(labels, bytes.ReplaceAll(b, []byte(",FP,"), []byte(",TP,")), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := aluskort(t, "", "eval", "triage", "--labels", labels, "--verbose", evalFixture+".jsonl")
	if code != exitFindings || !strings.Contains(out, "MISSED: positives called benign (") {
		t.Errorf("exit %d, %s\n%s", code, errs, out)
	}
}

func TestEvalRefusesWhatItCannotUse(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, says string
		code       int
		args       []string
	}{
		{"no labels", "labels", exitUsage, []string{"eval", "triage", evalFixture + ".jsonl"}},
		{"labels that are none", "line 1: not CSV", exitFailed, []string{"eval", "triage", "--labels", evalFixture + ".jsonl", evalFixture + ".jsonl"}},
		{"a file that is not there", "no such file", exitFailed, []string{"eval", "triage", "--labels", evalFixture + ".csv", "nowhere.jsonl"}},
		{"no alerts", "no alerts", exitFailed, []string{"eval", "triage", "--labels", evalFixture + ".csv", empty}},
		{"a state directory", "leave --state out", exitUsage, []string{"--state", t.TempDir(), "eval", "triage", "--labels", evalFixture + ".csv", evalFixture + ".jsonl"}},
		{"cases without events", "line 1", exitFailed, []string{"eval", "techniques", evalFixture + ".jsonl"}},
	} {
		code, _, errs := aluskort(t, "", c.args...)
		if code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("%s: exit %d, %q; want %d and %q", c.name, code, errs, c.code, c.says)
		}
	}
}

func TestEvalTechniques(t *testing.T) {
	event := `{"Event":{"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Sysmon"}},"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"ws-07","TimeCreated":{"#attributes":{"SystemTime":"2026-03-04T10:00:00Z"}}},` +
		`"EventData":{"Image":"C:\\Windows\\System32\\vssadmin.exe","OriginalFileName":"VSSADMIN.EXE","CommandLine":"vssadmin delete shadows /all /quiet","User":"EXAMPLE\\ada","ParentImage":"C:\\Windows\\System32\\cmd.exe"}}}`
	file := filepath.Join(t.TempDir(), "cases.jsonl")
	line := `{"sigma_id":"a","title":"shadow copies deleted","attack":["attack.impact","attack.t1490"],"events":[` + event + "]}\n"
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := aluskort(t, "", "eval", "techniques", "--verbose", file)
	if code != exitDone || !strings.Contains(out, "recall, exact") || !strings.Contains(out, "1 of 1") || !strings.Contains(out, "ids outside the taxonomy: 0") {
		t.Errorf("exit %d, %s\n%s", code, errs, out)
	}
}
