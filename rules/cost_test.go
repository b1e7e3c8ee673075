package rules

import (
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/sigma"
)

// A rule without a literal is evaluated for every alert of its log source, so the set keeps them
// to the few that read numbers and identities alone.
func TestRulesAreIndexed(t *testing.T) {
	const most = 8
	var always []string
	for _, r := range load(t) {
		if sigma.Compile([]*sigma.Rule{r}, sigma.Options{}).Stats().Always > 0 {
			always = append(always, r.File+": "+r.Title)
		}
	}
	if len(always) > most {
		t.Errorf("%d rules have no literal that the index can hold, want at most %d: %q", len(always), most, always)
	}
}

// BenchmarkShippedRules is the cost of the whole set for a process event that is full of what
// rules ask about.
func BenchmarkShippedRules(b *testing.B) {
	list, _, err := sigma.LoadDir(FS)
	if err != nil {
		b.Fatal(err)
	}
	set := sigma.Compile(list, sigma.Options{})
	ev := &sigma.Event{Logsource: sigma.Logsource{Product: "windows", Category: "process_creation"}, Fields: alert.Fields{
		{Path: "Image", Value: `C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe`},
		{Path: "OriginalFileName", Value: "PowerShell.EXE"},
		{Path: "CommandLine", Value: `powershell.exe -NoProfile -ExecutionPolicy RemoteSigned -File C:\ProgramData\Inventory\collect.ps1 -Server inventory.corp.example.com`},
		{Path: "ParentImage", Value: `C:\Windows\System32\cmd.exe`},
		{Path: "ParentCommandLine", Value: `C:\Windows\System32\cmd.exe /c inventory.cmd`},
		{Path: "User", Value: `EXAMPLE\ada`},
		{Path: "IntegrityLevel", Value: "Medium"},
	}}
	b.ReportAllocs()
	for b.Loop() {
		set.Match(ev, func(*sigma.Rule, sigma.Hits) {})
	}
}
