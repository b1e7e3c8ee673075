package archtest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestContractSchemas checks that the published schemas are valid JSON Schemas that refuse
// something: output that is promised to fit them is checked against these files.
func TestContractSchemas(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root(t), "contract", "*.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 4 {
		t.Fatalf("found %d schemas in contract, want at least 4", len(files))
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			s, err := compile(filepath.Base(f), b)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate("an unexpected text"); err == nil {
				t.Error("the schema accepts a text; it checks nothing")
			}
			var head struct {
				Schema string `json:"$schema"`
				ID     string `json:"$id"`
			}
			if err := json.Unmarshal(b, &head); err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(head.Schema, "/draft/2020-12/schema") || head.ID == "" {
				t.Errorf("$schema %q and $id %q: want draft 2020-12 and an id", head.Schema, head.ID)
			}
		})
	}
}

// compile checks the document against the meta-schema and compiles it.
func compile(name string, b []byte) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource(name, document); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

func TestCompileRefusesBadSchemas(t *testing.T) {
	for _, bad := range []string{`{"type":"objekt"}`, `{"required":"alert"}`, `{"$ref":"#/$defs/absent"}`, `{`} {
		if _, err := compile("bad.json", []byte(bad)); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

// TestContractIsTheAgreedOne compares the copies with the agreed ones where a checkout has them.
func TestContractIsTheAgreedOne(t *testing.T) {
	dir := root(t)
	agreed := filepath.Join(dir, "..", "shared", "contract")
	files, err := filepath.Glob(filepath.Join(agreed, "*.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("../shared/contract is absent: nothing to compare with")
	}
	for _, f := range files {
		want, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, "contract", filepath.Base(f)))
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("contract/%s differs from the agreed schema; change both or neither", filepath.Base(f))
		}
	}
}
