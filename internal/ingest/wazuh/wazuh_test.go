package wazuh

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ingest/ingesttest"
)

func TestGolden(t *testing.T) { ingesttest.Golden(t, New()) }

func TestEachFieldRemoved(t *testing.T) {
	for name, raw := range ingesttest.Natives(t, "testdata") {
		t.Run(name, func(t *testing.T) {
			if name == "sysmon_hit" {
				ingesttest.EachFieldRemoved(t, New(), raw, "/_source")
				return
			}
			ingesttest.EachFieldRemoved(t, New(), raw)
		})
	}
}

func TestMissingIsNamed(t *testing.T) {
	raw := ingesttest.Natives(t, "testdata")["logon"]
	got := ingesttest.Missing(t, New(), raw, "/rule/description", "/rule/level", "/agent", "/timestamp")
	for _, want := range []string{"title", "severity", "agent", "timestamp"} {
		if !slices.Contains(got.Missing, want) {
			t.Errorf("missing %v does not name %s", got.Missing, want)
		}
	}
	if got.Title != "Wazuh rule 60122" || got.Severity != alert.Medium {
		t.Errorf("title %q, severity %s", got.Title, got.Severity)
	}
	if !got.Timestamp.Equal(got.EventStart) || got.Timestamp.IsZero() {
		t.Errorf("timestamp %v, want the time of the event %v", got.Timestamp, got.EventStart)
	}
	bare := ingesttest.Missing(t, New(), raw, "/rule", "/id")
	if !strings.HasPrefix(bare.ID, "sha256:") || bare.Title == "" {
		t.Errorf("id %q, title %q", bare.ID, bare.Title)
	}
}

func TestSeverity(t *testing.T) {
	for level, want := range map[string]alert.Severity{
		"0": alert.Low, "3": alert.Low, "6": alert.Low, "7": alert.Medium, "11": alert.Medium,
		"12": alert.High, "14": alert.High, "15": alert.Critical, "16": alert.Critical,
	} {
		if got, ok := Severity(level); got != want || !ok {
			t.Errorf("level %s: got %s, want %s", level, got, want)
		}
	}
	for _, level := range []string{"", "-1", "high", "7.5"} {
		if got, ok := Severity(level); ok || got != alert.Medium {
			t.Errorf("level %q: got %s, known %v", level, got, ok)
		}
	}
}

func TestAnalytic(t *testing.T) {
	for name, tt := range map[string]struct{ data, want string }{
		"own rule":       {`"rule":{"id":"5710"}`, "rule:5710"},
		"suricata":       {`"rule":{"id":"86601"},"data":{"alert":{"signature_id":"2001219"}}`, "suricata:2001219"},
		"file integrity": {`"rule":{"id":"554"},"syscheck":{"path":"/etc/cron.d/x","event":"added"}`, "fim:added:cron"},
		"registry":       {`"rule":{"id":"750"},"syscheck":{"path":"HKEY_LOCAL_MACHINE\\Software\\Microsoft\\Windows\\CurrentVersion\\Run","event":"modified"}`, "fim:modified:startup"},
		"virustotal":     {`"rule":{"id":"87105"},"data":{"virustotal":{"found":"1","malicious":"1","positives":"40"}}`, "virustotal:malicious"},
		"virustotal 0":   {`"rule":{"id":"87104"},"data":{"virustotal":{"found":"1","positives":"0"}}`, "virustotal:clean"},
		"guardduty":      {`"rule":{"id":"80302"},"data":{"aws":{"source":"guardduty","type":"Recon:EC2/PortProbe","service":{"serviceName":"guardduty"}}}`, "guardduty:Recon:EC2/PortProbe"},
		"office":         {`"rule":{"id":"91531"},"data":{"office365":{"Operation":"New-InboxRule","Workload":"Exchange"}}`, "office365:Exchange:New-InboxRule"},
		"docker":         {`"rule":{"id":"87903"},"data":{"docker":{"Type":"container","Action":"start"}}`, "docker:container:start"},
		"vulnerability":  {`"rule":{"id":"23505"},"data":{"vulnerability":{"cve":"CVE-2021-0001"}}`, "vulnerability:CVE-2021-0001"},
		"rootcheck":      {`"rule":{"id":"510"},"decoder":{"name":"rootcheck"},"data":{"title":"Trojaned version"}`, "rootcheck:trojaned version"},
		"no rule id":     {`"rule":{"level":3}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ingesttest.Normalise(t, New(), "{"+tt.data+"}")
			if err != nil || got.Analytic != tt.want {
				t.Errorf("got %q (%v), want %q", got.Analytic, err, tt.want)
			}
		})
	}
}

func TestLinksLeaveOutWhatTiesEverythingTogether(t *testing.T) {
	win := func(eventdata string) string {
		return `{"rule":{"id":"1"},"agent":{"name":"ws1","ip":"192.0.2.1"},"data":{"win":{"system":{"computer":"ws1.example.com"},"eventdata":{` + eventdata + `}}}}`
	}
	const guid = `{5c9e1d20-3a4d-69a5-1c07-000000003500}`
	for name, tt := range map[string]struct {
		data string
		want []string
	}{
		"process":             {`"processGuid":"` + guid + `","image":"C:\\\\a.exe"`, []string{"process 5c9e1d20-3a4d-69a5-1c07-000000003500"}},
		"services":            {`"processGuid":"` + guid + `","image":"C:\\\\Windows\\\\System32\\\\services.exe"`, nil},
		"null process":        {`"processGuid":"{00000000-0000-0000-0000-000000000000}"`, nil},
		"session":             {`"targetLogonId":"0x00BEEF1","targetUserName":"ana"`, []string{"session ws1|beef1"}},
		"system session":      {`"logonId":"0x3e7","user":"ana"`, nil},
		"machine session":     {`"targetLogonId":"0xbeef1","targetUserName":"WS1$"`, nil},
		"address":             {`"ipAddress":"::ffff:203.0.113.5"`, []string{"source_address 203.0.113.5"}},
		"own address":         {`"sourceIp":"192.0.2.1"`, nil},
		"loopback":            {`"ipAddress":"::1"`, nil},
		"no address":          {`"ipAddress":"-"`, nil},
		"hash":                {`"hashes":"MD5=00112233445566778899AABBCCDDEEFF","image":"C:\\\\t\\\\a.exe"`, []string{"file_hash 00112233445566778899aabbccddeeff"}},
		"hash of the system":  {`"hashes":"MD5=00112233445566778899AABBCCDDEEFF","image":"C:\\\\Windows\\\\System32\\\\cmd.exe"`, nil},
		"hash of nothing":     {`"hashes":"MD5=D41D8CD98F00B204E9800998ECF8427E","image":"C:\\\\t\\\\a.exe"`, nil},
		"only an import hash": {`"hashes":"IMPHASH=00112233445566778899AABBCCDDEEFF","image":"C:\\\\t\\\\a.exe"`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ingesttest.Normalise(t, New(), win(tt.data))
			if err != nil {
				t.Fatal(err)
			}
			var links []string
			for _, l := range got.Links {
				links = append(links, string(l.Kind)+" "+l.Value)
			}
			if !slices.Equal(links, tt.want) {
				t.Errorf("got %q, want %q", links, tt.want)
			}
		})
	}
}

func TestRepeatsShareTheirDiscriminator(t *testing.T) {
	run := func(cmd string) []string {
		got, err := ingesttest.Normalise(t, New(), `{"rule":{"id":"1"},"data":{"win":{"eventdata":{"commandLine":"`+cmd+`"}}}}`)
		if err != nil {
			t.Fatal(err)
		}
		return got.Discriminator
	}
	a := run(`C:\\\\Temp\\\\a7x91q.exe  /id 123456 {6F9619FF-8B86-D011-B42D-00C04FC964FF}`)
	b := run(`c:\\\\temp\\\\k2p77z.exe /ID 987654 {11111111-8B86-D011-B42D-00C04FC964FF}`)
	c := run(`c:\\\\temp\\\\k2p77z.exe /delete 987654`)
	if !slices.Equal(a, b) || slices.Equal(b, c) || len(a) != 1 {
		t.Errorf("\n%q\n%q\n%q", a, b, c)
	}
}

func TestHeartbeatAndStrangers(t *testing.T) {
	if _, err := ingesttest.Normalise(t, New(), `{"rule":{"id":"1","description":"Heartbeat","level":3}}`); !errors.Is(err, ingest.ErrHeartbeat) {
		t.Errorf("got %v, want a heartbeat", err)
	}
	var reject *ingest.RejectError
	if _, err := ingesttest.Normalise(t, New(), `{"a":1}`); !errors.As(err, &reject) || reject.Place == "" || reject.Source != Name {
		t.Errorf("got %v, want a rejection with its place", err)
	}
}

func FuzzNormalise(f *testing.F) { ingesttest.Fuzz(f, New()) }

func BenchmarkNormalise(b *testing.B) {
	raw := ingesttest.Natives(b, "testdata")["sysmon_hit"]
	reg := ingest.New(New())
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := reg.Normalise(ingest.Record{Raw: raw}, ingest.Auto, "t", ingesttest.Now); err != nil {
			b.Fatal(err)
		}
	}
}
