package sigma

import (
	"fmt"
	"strings"
	"testing"
)

// benchRule writes the n-th of rules shaped like those people write: most about Windows
// processes, some about registry, files, network and logons, some keywords, some expressions.
func benchRule(n int) string {
	tools := []string{"powershell", "cmd", "rundll32", "regsvr32", "mshta", "wmic", "certutil", "net", "sc", "schtasks", "bitsadmin", "msbuild"}
	tool := tools[n%len(tools)]
	title := fmt.Sprintf("Rule %d", n)
	if n%20 == 11 {
		// Made of nothing but what is common: a candidate at every start of PowerShell.
		return titled(title, "{product: windows, category: process_creation}", fmt.Sprintf(
			"img:\n  Image|endswith: ['\\powershell.exe', '\\pwsh.exe']\ncli:\n  CommandLine|contains: ['-noprofile', '-nop', '-file', 'remote%d']\nparent:\n  ParentImage|endswith: ['\\svchost.exe', '\\services.exe']\nf_inventory:\n  CommandLine|contains: ['\\Inventory\\', 'update%d']\ncondition: img and cli and parent and not 1 of f_*", n, n))
	}
	switch n % 10 {
	case 0, 1, 2, 3:
		return titled(title, "{product: windows, category: process_creation}", fmt.Sprintf(
			"img:\n  - Image|endswith: '\\%s.exe'\n  - OriginalFileName: '%s.EXE'\ncli:\n  CommandLine|contains:\n    - ' --mode%d '\n    - '/option%d'\n    - 'secret-%d'\nf_main:\n  ParentImage|endswith: '\\agent%d.exe'\ncondition: all of img* and cli and not 1 of f_*",
			tool, tool, n, n, n, n))
	case 4:
		return titled(title, "{product: windows, category: process_creation}", fmt.Sprintf(
			"sel:\n  ParentImage|endswith: ['\\winword.exe', '\\excel.exe']\n  Image|endswith: ['\\%s.exe', '\\tool%d.exe']\ncondition: sel", tool, n))
	case 5:
		return titled(title, "{product: windows, category: registry_set}", fmt.Sprintf(
			"sel:\n  TargetObject|contains: '\\Software\\Vendor%d\\Run'\n  Details|endswith: '.exe'", n))
	case 6:
		return titled(title, "{product: windows, category: file_event}", fmt.Sprintf(
			"sel:\n  TargetFilename|endswith: ['\\drop%d.dll', '\\drop%d.exe']", n, n))
	case 7:
		return titled(title, "{product: windows, service: security}", fmt.Sprintf(
			"sel:\n  EventID: %d\n  SubjectUserName|endswith: '$'\nf:\n  ProcessName|startswith: 'C:\\Program Files\\App%d'\ncondition: sel and not f", 4600+n%200, n))
	case 8:
		return titled(title, "{product: windows, category: process_creation}", fmt.Sprintf(
			"sel:\n  CommandLine|re: '(?i)invoke-thing%d\\s+-target\\s+\\S+'", n))
	default:
		return titled(title, "{product: windows, category: process_creation}", fmt.Sprintf(
			"sel:\n  CommandLine|contains|all: ['%s', '-download%d', 'http']\n  IntegrityLevel: High", tool, n))
	}
}

func benchSet(t testing.TB, n int) *Set {
	t.Helper()
	var rules []*Rule
	for i := range n {
		rules = append(rules, mustLoad(t, benchRule(i))...)
	}
	return Compile(rules, Options{Fields: func(string) map[string][]string {
		return map[string][]string{
			"Image": {"data.win.eventdata.image"}, "CommandLine": {"data.win.eventdata.commandLine"},
			"ParentImage": {"data.win.eventdata.parentImage"}, "ParentCommandLine": {"data.win.eventdata.parentCommandLine"},
			"OriginalFileName": {"data.win.eventdata.originalFileName"}, "User": {"data.win.eventdata.user"},
			"IntegrityLevel": {"data.win.eventdata.integrityLevel"}, "Hashes": {"data.win.eventdata.hashes"},
			"EventID": {"data.win.system.eventID"}, "Channel": {"data.win.system.channel"},
			"Provider_Name": {"data.win.system.providerName"}, "TargetObject": {"data.win.eventdata.targetObject"},
			"TargetFilename": {"data.win.eventdata.targetFilename"}, "Details": {"data.win.eventdata.details"},
		}
	}})
}

// sysmonEvent is a process event as Wazuh writes it, with doubled backslashes and 60 values.
func sysmonEvent(t testing.TB) *Event {
	t.Helper()
	var more strings.Builder
	for i := range 25 {
		_, _ = fmt.Fprintf(&more, `,"field%d":"value number %d of the record"`, i, i)
	}
	return event(t, `{"id":"1751623305.29669431","timestamp":"2026-03-04T10:01:45.245+0000","location":"EventChannel",
"agent":{"id":"003","name":"WS-0042","ip":"192.0.2.14"},"manager":{"name":"manager-1"},"decoder":{"name":"windows_eventchannel"},
"rule":{"id":"92057","level":12,"description":"PowerShell spawned a process","firedtimes":1,"mail":true,
"groups":["sysmon","sysmon_eid1_detections","windows"],"mitre":{"id":["T1059.001"],"tactic":["Execution"],"technique":["PowerShell"]}},
"data":{"win":{"system":{"channel":"Microsoft-Windows-Sysmon/Operational","computer":"WS-0042.corp.example.com","eventID":"1","eventRecordID":"139715",
"keywords":"0x8000000000000000","level":"4","opcode":"0","processID":"3744","providerGuid":"{5770385f-c22a-43e0-bf4c-06f5698ffbd9}",
"providerName":"Microsoft-Windows-Sysmon","severityValue":"INFORMATION","systemTime":"2026-03-04T10:01:43.8849563Z","task":"1","threadID":"4448","version":"5"},
"eventdata":{"commandLine":"\"C:\\\\Windows\\\\System32\\\\WindowsPowerShell\\\\v1.0\\\\powershell.exe\" -NoProfile -ExecutionPolicy RemoteSigned -File C:\\\\ProgramData\\\\Inventory\\\\collect.ps1 -Server inventory.corp.example.com",
"company":"Microsoft Corporation","currentDirectory":"C:\\\\Windows\\\\system32\\\\","description":"Windows PowerShell","fileVersion":"10.0.26100.1",
"hashes":"SHA1=08398B65BEEBE3432181A0D645FC555DA830DD6E,MD5=3CCAF9F54B2ED219C026E1B509E415BE,SHA256=F55015B3D6A76299D38188A13FE4E2ECA7A6655F0189C86C1C050866B4CBE135",
"image":"C:\\\\Windows\\\\System32\\\\WindowsPowerShell\\\\v1.0\\\\powershell.exe","integrityLevel":"System","logonGuid":"{ff3427f9-a687-6867-e703-000000000000}",
"logonId":"0x3e7","originalFileName":"PowerShell.EXE","parentCommandLine":"C:\\\\Windows\\\\system32\\\\svchost.exe -k netsvcs -p -s Schedule",
"parentImage":"C:\\\\Windows\\\\System32\\\\svchost.exe","parentProcessGuid":"{ff3427f9-a65f-6867-2300-000000001200}","parentProcessId":"1404",
"parentUser":"NT AUTHORITY\\\\SYSTEM","processGuid":"{ff3427f9-a687-6867-1b07-000000001200}","processId":"5228","product":"Microsoft Windows Operating System",
"ruleName":"-","terminalSessionId":"0","user":"NT AUTHORITY\\\\SYSTEM","utcTime":"2026-03-04 10:01:43.883"`+more.String()+`}}}}`)
}

func TestBenchEventMatchesNothing(t *testing.T) {
	ev := sysmonEvent(t)
	if n := len(ev.Fields); n < 60 {
		t.Errorf("the event has %d values", n)
	}
	if got := matched(t, benchSet(t, 300), ev); len(got) != 0 {
		t.Errorf("matches %q", got)
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{150, 3000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			s, ev := benchSet(b, n), sysmonEvent(b)
			fn := func(*Rule, Hits) {}
			b.ReportAllocs()
			for b.Loop() {
				s.Match(ev, fn)
			}
		})
	}
}

// BenchmarkMatchOpen is an event whose log source is not known: nothing is pruned.
func BenchmarkMatchOpen(b *testing.B) {
	s := benchSet(b, 3000)
	ev := event(b, `{"Image":"C:\\Windows\\System32\\cmd.exe","CommandLine":"cmd.exe /c dir C:\\Users","User":"CORP\\jo","ParentImage":"C:\\Windows\\explorer.exe"}`)
	fn := func(*Rule, Hits) {}
	b.ReportAllocs()
	for b.Loop() {
		s.Match(ev, fn)
	}
}

func BenchmarkCompile(b *testing.B) {
	var rules []*Rule
	for i := range 3000 {
		rules = append(rules, mustLoad(b, benchRule(i))...)
	}
	b.ReportAllocs()
	for b.Loop() {
		Compile(rules, Options{})
	}
}
