package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/asset"
)

func TestAssetsCheck(t *testing.T) {
	code, out, errs := aluskort(t, "", "assets", "check", "../../examples/org.yaml")
	if code != exitDone || !strings.Contains(out, "org.yaml is usable") || errs != "" {
		t.Errorf("exit %d\n%s\n%s", code, out, errs)
	}
	bad := filepath.Join(t.TempDir(), "org.yaml")
	if err := os.WriteFile(bad, []byte("hosts: []\nscaners: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs = aluskort(t, "", "assets", "check", bad)
	if code != exitFailed || out != "" || !strings.Contains(errs, "org.yaml:2: file: unknown key") {
		t.Errorf("exit %d\n%s\n%s", code, out, errs)
	}
	code, out, _ = aluskort(t, "", "assets", "check", "--json", bad)
	var got struct {
		Usable   bool
		Problems []asset.Problem
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitFailed || got.Usable || len(got.Problems) != 1 || got.Problems[0].Line != 2 {
		t.Errorf("exit %d, %v\n%s", code, err, out)
	}
	if code, _, errs := aluskort(t, "", "assets", "check", bad+".absent"); code != exitFailed || !strings.Contains(errs, "absent") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestAssetsImport(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	code, out, errs := aluskort(t, "", "assets", "import", "../../examples/org.yaml", "--state", state)
	if code != exitDone || !strings.Contains(out, "the files are usable") || !strings.Contains(out, "hosts                 8") {
		t.Fatalf("exit %d\n%s\n%s", code, out, errs)
	}
	want, err := os.ReadFile("../../examples/org.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kept := func() string {
		b, err := os.ReadFile(filepath.Join(state, "org.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if kept() != string(want) {
		t.Error("another file is in use")
	}
	code, _, errs = aluskort(t, "scaners: []\n", "assets", "import", "-", "--state", state)
	if code != exitFailed || !strings.Contains(errs, "unknown key") || kept() != string(want) {
		t.Errorf("a file with a mistake: exit %d, %s", code, errs)
	}
	if left, err := filepath.Glob(filepath.Join(state, ".org-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
