package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const piiLines = `{"text":"call +44 20 7946 0958 about 198.51.100.7","spans":[{"type":"PHONE_NUMBER","start":5,"end":21,"value":"+44 20 7946 0958"},{"type":"IP_ADDRESS","start":28,"end":40,"value":"198.51.100.7"}]}
{"text":"nothing to see","spans":[]}
`

func TestEvalPIIFitsItsSchema(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lines.jsonl")
	if err := os.WriteFile(file, []byte(piiLines), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := aluskort(t, "", "eval", "pii", "--json", file)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, errs)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if err := schemaOf(t, "eval-detection.schema.json").Validate(doc); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out, `"kind": "pii"`) || !strings.Contains(out, `"recall": 1`) {
		t.Error(out)
	}
	// The policy of the gateway keeps public addresses, which is not a miss of the detector.
	code, out, errs = aluskort(t, "", "eval", "pii", "--policy", "default", file)
	if code != exitDone || !strings.Contains(out, "recall 50.0 %") {
		t.Errorf("exit %d, %s\n%s", code, errs, out)
	}
	code, _, errs = aluskort(t, "", "eval", "pii", filepath.Join(t.TempDir(), "absent"))
	if code != exitFailed || !strings.Contains(errs, "no such file") {
		t.Errorf("exit %d, %s", code, errs)
	}
}
