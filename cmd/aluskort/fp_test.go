package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/fp"
)

const backupPattern = `name: Nightly backup of the database host
justification: The backup team confirmed the job and its account.
analytics: ["rule:61138"]
entities:
  - type: host
    equals: backup-01
  - type: account
    equals: 'EXAMPLE\svc-backup'
`

func patternFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pattern.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFPLifeOnTheCommandLine takes a pattern from proposal to revocation as three people would.
func TestFPLifeOnTheCommandLine(t *testing.T) {
	state := t.TempDir()
	call := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		code, out, errs := aluskort(t, "", append([]string{"--state", state, "fp"}, args...)...)
		if code != want {
			t.Fatalf("fp %s: exit %d, want %d\n%s%s", strings.Join(args, " "), code, want, out, errs)
		}
		return out, errs
	}
	file := patternFile(t, backupPattern)
	if out, _ := call(exitDone, "backtest", file); !strings.Contains(out, "no stored alerts") {
		t.Errorf("backtest says %q", out)
	}
	call(exitDone, "propose", file, "--actor", "ann")
	out, _ := call(exitDone, "list", "--json")
	var p fp.Pattern
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if p.Status != fp.PendingReview || p.Proposer != "ann" || p.Name != "Nightly backup of the database host" || len(p.Entities) != 2 {
		t.Errorf("%+v", p)
	}
	if _, errs := call(exitFailed, "approve", p.ID, "--actor", "ann", "--reason", "mine"); !strings.Contains(errs, "ann proposed") {
		t.Errorf("the proposer is refused with %q", errs)
	}
	call(exitDone, "approve", p.ID, "--actor", "bob", "--reason", "checked", "--version", "1")
	call(exitFailed, "approve", p.ID, "--actor", "cleo", "--reason", "checked", "--version", "1")
	if out, _ := call(exitDone, "approve", p.ID, "--actor", "cleo", "--reason", "checked"); !strings.Contains(out, "active until") {
		t.Errorf("the second approval says %q", out)
	}
	call(exitDone, "kill", "on", "technique", "T1046", "--actor", "bob", "--reason", "incident 7")
	if out, _ := call(exitDone, "list"); !strings.Contains(out, "kill switch on technique t1046") || !strings.Contains(out, "bob, cleo") {
		t.Errorf("list says %q", out)
	}
	call(exitDone, "kill", "off", "technique", "T1046", "--actor", "bob", "--reason", "over")
	call(exitDone, "reaffirm", p.ID, "--actor", "bob", "--reason", "still so")
	if out, _ := call(exitDone, "revoke", p.ID, "--actor", "bob", "--reason", "the account was stolen"); !strings.Contains(out, "revoked") || !strings.Contains(out, "0 investigations") {
		t.Errorf("revoke says %q", out)
	}
	if out, _ := call(exitDone, "show", p.ID); !strings.Contains(out, `"status": "revoked"`) {
		t.Errorf("show says %q", out)
	}

	code, out, errs := aluskort(t, "", "--state", state, "audit", "verify")
	if code != exitDone || !strings.Contains(out, "chain verified") {
		t.Errorf("audit verify: exit %d\n%s%s", code, out, errs)
	}
	_, out, _ = aluskort(t, "", "--state", state, "audit", "export")
	for _, want := range []string{"fp_pattern.created", "fp_pattern.approved", "fp_pattern.activated", "fp_pattern.revoked", "kill_switch.activated", "kill_switch.deactivated"} {
		if !strings.Contains(out, want) {
			t.Errorf("the audit trail lacks %s", want)
		}
	}
}

// TestFPBacktestSeesTheStoredAlerts proposes what would hide most of what was ingested.
func TestFPBacktestSeesTheStoredAlerts(t *testing.T) {
	state := t.TempDir()
	code, out, errs := aluskort(t, "", "--state", state, "investigate", "--json", example)
	if code != exitDone {
		t.Fatal(errs)
	}
	var first struct {
		Alert struct{ Title string } `json:"alert"`
	}
	line, _, _ := strings.Cut(out, "\n")
	if err := json.Unmarshal([]byte(line), &first); err != nil {
		t.Fatal(err)
	}
	title, err := json.Marshal(first.Alert.Title)
	if err != nil {
		t.Fatal(err)
	}
	text := "name: Everything of one title\njustification: nobody looks at these anyway\nscope: {asset_class: server}\nalert_names:\n  - equals: " + string(title) + "\n"
	code, out, errs = aluskort(t, "", "--state", state, "fp", "backtest", "--json", patternFile(t, text))
	var r fp.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %s%s", err, out, errs)
	}
	if r.Alerts < 2 || r.Hidden == 0 || r.Unread != 0 {
		t.Errorf("%+v", r)
	}
	if want := len(r.Refusals) > 0; (code == exitFindings) != want {
		t.Errorf("exit %d with %d refusals", code, len(r.Refusals))
	}
}

func TestFPRefusesBadFiles(t *testing.T) {
	state := t.TempDir()
	for _, c := range []struct {
		name, text string
		code       int
		want       string
	}{
		{"syntax", "name: x\nanalytic: [a]\n", exitUsage, "pattern.yaml:2:"},
		{"invalid", "name: x\nanalytics: [a]\n", exitUsage, "justification"},
		{"attacker-writable", "name: x\njustification: because it is so\nanalytics: [a]\nentities:\n  - {type: url, prefix: 'https://example.com/'}\n", exitFailed, "attacker_writable"},
	} {
		code, _, errs := aluskort(t, "", "--state", state, "fp", "propose", patternFile(t, c.text), "--actor", "ann")
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d, %q", c.name, code, errs)
		}
	}
	if code, _, errs := aluskort(t, "", "--state", state, "fp", "propose", patternFile(t, backupPattern)); code != exitUsage || !strings.Contains(errs, "name who decides") {
		t.Errorf("nobody proposes: exit %d, %q", code, errs)
	}
}

// TestFPThroughTheServer does the same beside a running server, where each person has a token.
func TestFPThroughTheServer(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "state"))
	as := map[string]string{}
	for _, name := range []string{"ann", "bob", "cleo"} {
		secret := strings.TrimSpace(s.want(t, exitDone, "token", "create", "--name", name, "--role", "senior_analyst"))
		as[name] = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(as[name], []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := patternFile(t, backupPattern)
	if out := s.want(t, exitDone, "fp", "backtest", file); !strings.Contains(out, "no stored alerts") {
		t.Errorf("backtest says %q", out)
	}
	s.want(t, exitDone, "fp", "propose", file, "--token-file", as["ann"])
	var p fp.Pattern
	if err := json.Unmarshal([]byte(s.want(t, exitDone, "fp", "list", "--json")), &p); err != nil || p.Proposer != "ann" {
		t.Fatalf("%+v, %v", p, err)
	}
	if out := s.want(t, exitFailed, "fp", "approve", p.ID, "--reason", "mine", "--token-file", as["ann"]); !strings.Contains(out, "ann proposed") {
		t.Errorf("the proposer is refused with %q", out)
	}
	if out := s.want(t, exitUsage, "fp", "approve", p.ID, "--reason", "r", "--token-file", as["ann"], "--actor", "bob"); !strings.Contains(out, "takes the name from the token") {
		t.Errorf("another name: %q", out)
	}
	s.want(t, exitUsage, "fp", "list", "--tenant", "neighbour")
	s.want(t, exitDone, "fp", "approve", p.ID, "--reason", "checked", "--token-file", as["bob"])
	if out := s.want(t, exitDone, "fp", "approve", p.ID, "--reason", "checked", "--token-file", as["cleo"]); !strings.Contains(out, "active until") {
		t.Errorf("the second approval says %q", out)
	}
	if out := s.want(t, exitFailed, "fp", "kill", "on", "technique", "T1046", "--reason", "incident 7", "--token-file", as["cleo"]); !strings.Contains(out, "needs the role admin") {
		t.Errorf("a kill switch by a senior analyst: %q", out)
	}
	s.want(t, exitDone, "fp", "kill", "on", "technique", "T1046", "--reason", "incident 7")
	if out := s.want(t, exitDone, "fp", "list"); !strings.Contains(out, "kill switch on technique t1046") || !strings.Contains(out, "bob, cleo") {
		t.Errorf("list says %q", out)
	}
	if out := s.want(t, exitDone, "fp", "revoke", p.ID, "--reason", "stolen", "--token-file", as["bob"]); !strings.Contains(out, "0 investigations") {
		t.Errorf("revoke says %q", out)
	}
	if code := s.end(t); code != exitDone {
		t.Fatalf("serve ended with %d: %s", code, s.errs)
	}
	if out := s.want(t, exitDone, "fp", "show", p.ID); !strings.Contains(out, `"status": "revoked"`) {
		t.Errorf("show says %q", out)
	}
	s.want(t, exitDone, "audit", "verify")
}
