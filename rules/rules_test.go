package rules

import (
	"path"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/sigma"
)

// Counts that the rule set must have, by file (issue: evidence rules).
var atLeast = map[string]int{
	"malicious/windows_process.yml": 32, "malicious/windows_events.yml": 30, "malicious/linux.yml": 16,
	"malicious/identity.yml": 14, "malicious/mail.yml": 8, "malicious/cloud.yml": 16, "malicious/web.yml": 8, "malicious/ids.yml": 6,
	"benign/servicing.yml": 14, "benign/os_services.yml": 6, "benign/updaters.yml": 10, "benign/known_admin.yml": 8,
	"benign/security_agents.yml": 8, "benign/service_logons.yml": 6, "benign/scanners.yml": 5, "benign/backup.yml": 4,
	"benign/build_deploy.yml": 4, "benign/mail_gateways.yml": 3, "benign/exercises.yml": 5, "benign/managed_devices.yml": 3,
}

func load(t *testing.T) []*sigma.Rule {
	t.Helper()
	list, report, err := sigma.LoadDir(FS)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Error(p)
	}
	return list
}

func TestEveryRuleHoldsItsExamples(t *testing.T) {
	for _, r := range load(t) {
		if len(r.Tests.Match) == 0 || len(r.Tests.NoMatch) == 0 {
			t.Errorf("%s:%d %q: needs a matching and a non-matching example", r.File, r.Line, r.Title)
		}
		for _, f := range sigma.RunTests(r) {
			t.Error(f)
		}
	}
}

func TestEveryRuleIsWorthReading(t *testing.T) {
	for _, r := range load(t) {
		at := func(what string) { t.Errorf("%s:%d %q: %s", r.File, r.Line, r.Title, what) }
		if r.Kind == "" {
			at("has no kind")
		}
		if r.Statement == "" {
			at("has no statement")
		}
		if r.Description == "" || len(r.FalsePositives) == 0 && r.Stance == sigma.Malicious {
			at("says neither what it is nor what looks like it")
		}
		if dir := path.Dir(r.File); dir != string(r.Stance) {
			at("stands in " + dir + " with stance " + string(r.Stance))
		}
		if r.Stance == sigma.Malicious && len(r.Techniques) == 0 {
			at("names no technique")
		}
		if r.Stance == sigma.Benign && r.Weight > 1 && len(r.TrustedFields) == 0 && r.RequiresOrg == "" {
			at("rests on nothing that an attacker cannot write")
		}
		if r.Expected && r.RequiresOrg == "" && !strings.Contains(r.File, "exercises") {
			at("claims expected activity without asking the organisation's context")
		}
		if c := r.Count; c != nil && (c.AtLeast < 2 || c.Window == 0 || len(c.Key) == 0) {
			at("counts without key, window or number")
		}
	}
}

func TestTheSetIsAsLargeAsItShouldBe(t *testing.T) {
	have := map[string]int{}
	stances := map[sigma.Stance]int{}
	for _, r := range load(t) {
		have[r.File]++
		stances[r.Stance]++
	}
	for file, n := range atLeast {
		if have[file] < n {
			t.Errorf("%s: %d rules, want at least %d", file, have[file], n)
		}
	}
	if stances[sigma.Malicious] < 130 || stances[sigma.Benign] < 70 {
		t.Errorf("%d malicious and %d benign rules", stances[sigma.Malicious], stances[sigma.Benign])
	}
	t.Logf("%d malicious, %d benign", stances[sigma.Malicious], stances[sigma.Benign])
}
