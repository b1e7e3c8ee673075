package asset

import (
	"slices"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/reason/rules"
)

var _ rules.Org = (*Org)(nil)

func TestRoles(t *testing.T) {
	o := example(t)
	for _, c := range []struct {
		predicate string
		yes, no   []string
	}{
		{"scanner",
			[]string{"192.0.2.40", "::ffff:192.0.2.40", "192.0.2.40:51122", "192.0.2.64", "192.0.2.79", " 192.0.2.70 "},
			[]string{"192.0.2.41", "192.0.2.4", "192.0.2.63", "192.0.2.80", "2.0.2.40", "192.0.2.400", "192.0.2.40.example.com", "", "-", "scanner", "127.0.0.1", "::"}},
		{"management_server",
			[]string{"192.0.2.30", "mgmt-01.example.com", "MGMT-01", "MGMT-01.EXAMPLE.COM.", `\\mgmt-01`, "mgmt-01.corp.example.com x"[:7]},
			[]string{"192.0.2.3", "mgmt-01.example.org", "mgmt-01.example.com.evil.example", "mgmt-0", "mgmt-011", "xmgmt-01", "example.com", "mgmt-01 .example.com"}},
		{"backup_server", []string{"backup-01", "192.0.2.50"}, []string{"backup-02", "192.0.2.30", "backup"}},
		{"build_server", []string{"build-01.example.com", "192.0.2.60"}, []string{"build-01.local", "192.0.2.6"}},
		{"mail_gateway", []string{"192.0.2.25"}, []string{"192.0.2.250", "192.0.2.2"}},
		{"nat_or_proxy", []string{"203.0.113.1"}, []string{"203.0.113.10", "203.0.113.11"}},
		{"admin_hosts", nil, []string{"192.0.2.20"}},
		{"", nil, []string{"192.0.2.40"}},
	} {
		for _, v := range c.yes {
			if !o.Holds(c.predicate, v, event(t)) {
				t.Errorf("%s(%q) must hold", c.predicate, v)
			}
		}
		for _, v := range c.no {
			if o.Holds(c.predicate, v, event(t)) {
				t.Errorf("%s(%q) must not hold", c.predicate, v)
			}
		}
	}
}

func TestAdminAccount(t *testing.T) {
	o := example(t)
	for _, v := range []string{`EXAMPLE\adm-grace`, `example\ADM-Grace`, `EXAMPLE\\adm-grace`, "adm-grace@example.com", "adm-grace@CORP.example.com",
		`EXAMPLE.COM\adm-grace`, "adm-grace", "S-1-5-21-1111-2222-3333-1104", "grace.h@example.com", "ops-lin", `EXAMPLE\ops-lin`} {
		if !o.Holds("admin_account", v, event(t)) {
			t.Errorf("%q must be an administrator", v)
		}
	}
	for _, v := range []string{`EVIL\adm-grace`, "adm-grace@example.org", "adm-grace@example.com.evil.example", "adm-grac", "adm-gracee", "xadm-grace", "grace", "adm",
		`WS-07\adm-grace`, `.\adm-grace`, "S-1-5-21-1111-2222-3333-110", "S-1-5-21-1111-2222-3333-11040", `EXAMPLE\ada`, "SYSTEM", `NT AUTHORITY\SYSTEM`, "root", "", "-",
		`EXAMPLE\`, "@example.com", `A\EXAMPLE\adm-grace`, "ad\u217F-grace", `ex\adm-grace`} {
		if o.Holds("admin_account", v, event(t)) {
			t.Errorf("%q must not be an administrator", v)
		}
	}
}

// A bare name counts with the domain and the SID that stand beside it.
func TestAdminAccountIsReadWithItsDomain(t *testing.T) {
	o := example(t)
	const user, domain, sid = "data.win.eventdata.targetUserName", "data.win.eventdata.targetDomainName", "data.win.eventdata.targetUserSid"
	for _, c := range []struct {
		name  string
		pairs []string
		want  bool
	}{
		{"own domain", []string{user, "adm-grace", domain, "EXAMPLE"}, true},
		{"own domain by DNS", []string{user, "adm-grace", domain, "EXAMPLE.COM"}, true},
		{"no domain", []string{user, "adm-grace", domain, "-"}, true},
		{"local account of a host", []string{user, "adm-grace", domain, "WS-07"}, false},
		{"its SID", []string{user, "adm-grace", domain, "EXAMPLE", sid, "S-1-5-21-1111-2222-3333-1104"}, true},
		{"another SID", []string{user, "adm-grace", domain, "EXAMPLE", sid, "S-1-5-21-9-9-9-1104"}, false},
		{"a system SID", []string{user, "adm-grace", sid, "S-1-5-7"}, false},
		{"ECS, local", []string{"user.name", "adm-grace", "user.domain", "WS-07"}, false},
		{"ECS, domain", []string{"user.name", "adm-grace", "user.domain", "EXAMPLE", "user.id", "1000"}, true},
		{"two accounts of that name", []string{user, "adm-grace", domain, "EXAMPLE", "data.win.eventdata.subjectUserName", "adm-grace", "data.win.eventdata.subjectDomainName", "WS-07"}, false},
	} {
		if got := o.Holds("admin_account", "adm-grace", event(t, c.pairs...)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

const twoAdmins = `
domains: [{netbios: EXAMPLE, dns: [example.com]}]
hosts: [{name: ws-07.example.com, addresses: [192.0.2.20]}, {name: ws-08.example.com, addresses: [192.0.2.21]}]
administrators:
  - {accounts: ['EXAMPLE\adm-grace', grace], hosts: [ws-07.example.com], tools: ['C:\Tools\PsExec64.exe', mmc.exe]}
  - {accounts: ['EXAMPLE\adm-alan'], hosts: [ws-08.example.com], tools: ['C:\Tools\nmap.exe']}
  - {accounts: [svc-x]}
`

// Account, host and tool hold together only by one entry.
func TestAdministratorsAreWholeEntries(t *testing.T) {
	o := load(t, twoAdmins)
	const grace, alan = `EXAMPLE\adm-grace`, `EXAMPLE\adm-alan`
	for _, c := range []struct {
		name, host, tool   string
		fields             []string
		wantHost, wantTool bool
	}{
		{"her host and tool", "ws-07.example.com", `C:\Tools\PsExec64.exe`, []string{"User", grace}, true, true},
		{"her address", "192.0.2.20", `C:\Tools\PsExec64.exe`, []string{"User", grace}, true, true},
		{"another's host and tool", "ws-08.example.com", `C:\Tools\nmap.exe`, []string{"User", grace}, false, false},
		{"another's tool", "ws-07.example.com", `C:\Tools\nmap.exe`, []string{"User", grace}, true, false},
		{"a stranger", "ws-07.example.com", `C:\Tools\PsExec64.exe`, []string{"User", `EXAMPLE\ada`}, false, false},
		{"local twin", "ws-07.example.com", `C:\Tools\PsExec64.exe`, []string{"User", `WS-07\adm-grace`}, false, false},
		{"entry without hosts and tools", "ws-07.example.com", `C:\Tools\PsExec64.exe`, []string{"User", "svc-x"}, false, false},
		{"no account", "ws-07.example.com", `C:\Tools\PsExec64.exe`, []string{"Image", "x"}, true, true},
		{"the system", "ws-08.example.com", `C:\Tools\nmap.exe`, []string{"User", `NT AUTHORITY\SYSTEM`}, true, true},
		{"two administrators", "ws-07.example.com", `C:\Tools\PsExec64.exe`, []string{"User", grace, "ParentUser", alan}, false, false},
		{"logon as her", "192.0.2.20", `C:\Tools\PsExec64.exe`, []string{"TargetUserName", "adm-grace", "TargetDomainName", "EXAMPLE", "SubjectUserName", "-"}, true, true},
		{"logon as her by a machine", "192.0.2.20", "mmc.exe", []string{"TargetUserName", "adm-grace", "SubjectUserName", "WS-07$"}, true, false},
		{"logon as her by someone", "192.0.2.20", "mmc.exe", []string{"TargetUserName", "adm-grace", "SubjectUserName", "ada"}, false, false},
		{"sudo to root", "ws-07.example.com", "mmc.exe", []string{"data.srcuser", "grace", "data.dstuser", "root"}, true, false},
		{"becoming her", "ws-07.example.com", "mmc.exe", []string{"data.srcuser", "ada", "data.dstuser", "grace"}, false, false},
		{"she works on someone", "ws-07.example.com", "mmc.exe", []string{"SubjectUserName", "adm-grace", "TargetUserName", "ada"}, true, false},
		{"everyone of a record", "ws-07.example.com", "mmc.exe", []string{"user.name", "grace", "related.user", "ada"}, true, false},
	} {
		a := event(t, c.fields...)
		if got := o.Holds("admin_host", c.host, a); got != c.wantHost {
			t.Errorf("%s: admin_host(%s) is %v", c.name, c.host, got)
		}
		if got := o.Holds("admin_tool", c.tool, a); got != c.wantTool {
			t.Errorf("%s: admin_tool(%s) is %v", c.name, c.tool, got)
		}
	}
}

func TestAdminTool(t *testing.T) {
	o := load(t, `
administrators:
  - accounts: [grace]
    tools: [PsExec64.exe, mmc, 'C:\Admin\*\run?.exe', 'C:\Shared Tools\app.exe', /usr/sbin/tcpdump, '/srv/admin/*.sh', ansible]
admin_directories: ['C:\Tools', /srv/admin, 'D:\Tools', 'C:\ProgramData\Corp']
`)
	yes := []string{
		`C:\Tools\PsExec64.exe`, `c:\tools\sub\PSEXEC64.EXE`, `C:\\Tools\\PsExec64.exe`, `"C:\Tools\PsExec64.exe"`, `\\?\C:\Tools\PsExec64.exe`, `D:\Tools\PsExec64.exe`,
		`C:\Windows\System32\mmc.exe`, `C:\Program Files\X\PsExec64.exe`, `C:\Program Files (x86)\X\PsExec64.exe`, `C:\ProgramData\Corp\PsExec64.exe`,
		`C:\Admin\v1\run7.exe`, `C:\Shared Tools\app.exe`, `/usr/sbin/tcpdump`, `/srv/admin/a.sh`, `/usr/bin/ansible`, `/srv/admin/ansible`, `//usr/sbin/tcpdump`,
	}
	no := []string{
		`C:\Users\ada\Downloads\PsExec64.exe`, `C:\Windows\Temp\PsExec64.exe`, `C:\Windows\Tasks\mmc.exe`, `C:\ProgramData\PsExec64.exe`, `C:\Temp\mmc.exe`, `C:\PsExec64.exe`,
		`C:\Windows\System32\spool\drivers\color\mmc.exe`, `D:\Program Files\X\PsExec64.exe`, `E:\Windows\System32\mmc.exe`, `\\srv\share\PsExec64.exe`, `\Device\HarddiskVolume3\Windows\mmc.exe`,
		`C:\Tools\..\Users\ada\PsExec64.exe`, `C:\Tools\PsExec64.exe:evil.exe`, `C:\Tools \PsExec64.exe`, `C:\Tools\xPsExec64.exe`, `C:\Tools\PsExec64.exe.exe`, `C:\ToolsX\PsExec64.exe`,
		`C:\Admin\v1\x\run7.exe`, `C:\Admin\run7.exe`, `C:\Admin\v1\run77.exe`, `C:\Shared Tools\sub\app.exe`, `PsExec64.exe`, `mmc`, ``, `/tmp/tcpdump`, `/usr/sbin/TCPDUMP`, `/home/ada/ansible`, `/srv/admin/../tmp/a.sh`,
		`/usr/local/sbin/tcpdump`, `/srv/admin/x/a.sh`, `C:`, `C:\`, `/`, `/dev/shm/ansible`,
	}
	for _, v := range yes {
		if !o.Holds("admin_tool", v, event(t)) {
			t.Errorf("%s must be a tool", v)
		}
	}
	for _, v := range no {
		if o.Holds("admin_tool", v, event(t)) {
			t.Errorf("%s must not be a tool", v)
		}
	}
}

func TestSentinelEntities(t *testing.T) {
	o := example(t)
	a := record(t, `{"Entities":[
		{"$id":"1","Type":"account","Name":"adm-grace","NTDomain":"EXAMPLE","Sid":"S-1-5-21-1111-2222-3333-1104"},
		{"$id":"2","Type":"file","Name":"ada"},
		{"$id":"3","Type":"process","ImageFile":{"Directory":"C:\\Tools\\Sysinternals","Name":"PsExec64.exe"}},
		{"$id":"4","Type":"host","HostName":"ws-07"}]}`)
	for _, c := range []struct{ predicate, value string }{
		{"admin_account", "adm-grace"}, {"admin_host", "ws-07"}, {"admin_tool", "PsExec64.exe"},
	} {
		if !o.Holds(c.predicate, c.value, a) {
			t.Errorf("%s(%s) must hold", c.predicate, c.value)
		}
	}
	b := record(t, `{"Entities":[{"Type":"account","Name":"adm-grace","UPNSuffix":"example.com"},{"Type":"account","Name":"ada","UPNSuffix":"example.com"},
		{"Type":"process","ImageFile":{"Directory":"C:\\Users\\ada","Name":"PsExec64.exe"}}]}`)
	if o.Holds("admin_host", "ws-07", b) || o.Holds("admin_tool", "PsExec64.exe", b) {
		t.Error("a second account, who is no administrator, may have acted")
	}
	if !o.Holds("admin_account", "adm-grace", b) {
		t.Error("the first account is an administrator")
	}
}

func TestMaintenanceWindow(t *testing.T) {
	o := example(t)
	for _, c := range []struct {
		value, when string
		want        bool
	}{
		{"srv-03.example.com", "2026-03-14 22:00:00", true},
		{"SRV-03", "2026-03-14 21:59:59", false},
		{"srv-03", "2026-03-15 03:59:59", true},
		{"srv-03", "2026-03-15 04:00:00", false},
		{"192.0.2.17", "2026-03-15 03:00:00", true},
		{"ws-07", "2026-03-15 03:00:00", false},
		// Weekly, Saturday 22:00 to Sunday 02:00, for everything.
		{"ws-99", "2026-03-07 21:59:59", false},
		{"ws-99", "2026-03-07 22:00:00", true},
		{"ws-99", "2026-03-08 00:00:00", true},
		{"ws-99", "2026-03-08 01:59:59", true},
		{"ws-99", "2026-03-08 02:00:00", false},
		{"ws-99", "2026-03-08 22:30:00", false},
		{"ws-99", "2026-03-07 01:00:00", false},
		{"", "2026-03-07 22:00:00", false},
		{"localhost", "2026-03-07 22:00:00", false},
	} {
		a := event(t)
		a.EventStart = at(t, c.when)
		if got := o.Holds("maintenance_window", c.value, a); got != c.want {
			t.Errorf("%q at %s: %v", c.value, c.when, got)
		}
		// The same moment told in another zone.
		a.EventStart = a.EventStart.In(time.FixedZone("", 9*3600))
		if got := o.Holds("maintenance_window", c.value, a); got != c.want {
			t.Errorf("%q at %s, told from elsewhere: %v", c.value, c.when, got)
		}
	}
	a := &alert.Alert{TenantID: "default", IngestedAt: at(t, "2026-03-14 23:00:00")}
	if o.Holds("maintenance_window", "srv-03", a) {
		t.Error("the time of ingestion says nothing about the time of the event")
	}
}

func TestWholeDays(t *testing.T) {
	o := load(t, `maintenance_windows: [{what: x, everything: true, from: 2026-03-01, to: 2026-04-01, weekly: {days: [Monday, tue], start: "00:00", end: "24:00"}}]`)
	for when, want := range map[string]bool{
		"2026-03-02 00:00:00": true, "2026-03-03 23:59:59": true, "2026-03-04 00:00:00": false, "2026-03-01 23:59:59": false,
		"2026-02-24 12:00:00": false, "2026-04-06 12:00:00": false,
	} {
		a := event(t)
		a.EventStart = at(t, when)
		if got := o.Holds("maintenance_window", "x", a); got != want {
			t.Errorf("%s: %v", when, got)
		}
	}
}

func TestExercise(t *testing.T) {
	o := example(t)
	const inside = "2026-03-20 08:00:00"
	for _, c := range []struct {
		name, value, when string
		fields            []string
		want              bool
	}{
		{"account on its host", `EXAMPLE\exercise-1`, inside, []string{"User", `EXAMPLE\exercise-1`, "Computer", "lab-01.example.com"}, true},
		{"host of its account", "lab-01.example.com", inside, []string{"User", `EXAMPLE\exercise-1`, "Computer", "lab-01.example.com"}, true},
		{"account on another host", `EXAMPLE\exercise-1`, inside, []string{"User", `EXAMPLE\exercise-1`, "Computer", "dc-01.example.com"}, false},
		{"another account on the host", "lab-01.example.com", inside, []string{"User", `EXAMPLE\ada`, "Computer", "lab-01.example.com"}, false},
		{"another account", `EXAMPLE\ada`, inside, []string{"User", `EXAMPLE\ada`, "Computer", "lab-01.example.com"}, false},
		{"address", "198.51.100.77", inside, nil, true},
		{"address, last second", "198.51.100.77", "2026-03-20 15:59:59", nil, true},
		{"address, before", "198.51.100.77", "2026-03-20 07:59:59", nil, false},
		{"address, after", "198.51.100.77", "2026-03-20 16:00:00", nil, false},
		{"address that begins alike", "198.51.100.7", inside, nil, false},
		{"sender", "Training@phish-drill.example", "2026-03-16 00:00:00", nil, true},
		{"other sender of the domain", "x@phish-drill.example", "2026-03-16 00:00:00", nil, false},
		{"sender of a listed domain", "x@mail.phish-drill.example", "2026-03-16 00:00:00", nil, true},
		{"listed domain", "mail.phish-drill.example", "2026-03-16 00:00:00", nil, true},
		{"domain below", "x@evil.mail.phish-drill.example", "2026-03-16 00:00:00", nil, false},
		{"domain that ends alike", "x@evilmail.phish-drill.example", "2026-03-16 00:00:00", nil, false},
		{"sender, too late", "training@phish-drill.example", "2026-03-21 00:00:00", nil, false},
		{"an account is no sender", "x@mail.phish-drill.example", "2026-03-16 00:00:00", []string{"User", "x@mail.phish-drill.example"}, false},
	} {
		a := event(t, c.fields...)
		a.EventStart = at(t, c.when)
		if got := o.Holds("exercise", c.value, a); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestTenantsDoNotSeeEachOther(t *testing.T) {
	o := load(t, "tenants:\n  one:\n    scanners: [192.0.2.1]\n  two:\n    scanners: [192.0.2.2]\n  three:\n")
	for tenant, want := range map[string][2]bool{"one": {true, false}, "two": {false, true}, "three": {}, "default": {}, "": {}} {
		a := event(t)
		a.TenantID = tenant
		got := [2]bool{o.Holds("scanner", "192.0.2.1", a), o.Holds("scanner", "192.0.2.2", a)}
		if got != want {
			t.Errorf("%q: %v, want %v", tenant, got, want)
		}
	}
	if got := o.Tenants(); !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("tenants: %v", got)
	}
}

func TestNothingKnown(t *testing.T) {
	var none *Org
	for name, o := range map[string]*Org{"nil": none, "zero": {}, "empty file": load(t, ""), "comments": load(t, "# nothing yet\n"), "null": load(t, "---\n~\n")} {
		for _, p := range Predicates() {
			for _, v := range []string{"", "root", "192.0.2.1", "x", `C:\Windows\System32\mmc.exe`} {
				if o.Holds(p, v, event(t)) {
					t.Errorf("%s: %s(%s) holds", name, p, v)
				}
			}
		}
		r := o.Resolver("default")
		if _, ok := r.Host("x", time.Time{}); ok {
			t.Errorf("%s: resolves", name)
		}
		if sev, why := r.Adjust(alert.High, []alert.Entity{{Type: alert.Host, Value: "x", Confidence: 1}}, time.Time{}); sev != alert.High || why != "" {
			t.Errorf("%s: %v %q", name, sev, why)
		}
	}
}

func BenchmarkHolds(b *testing.B) {
	o := load(b, twoAdmins)
	for _, c := range []struct {
		name, user string
		want       bool
	}{{"administrator", `EXAMPLE\\adm-grace`, true}, {"anyone", `EXAMPLE\\ada`, false}} {
		a := event(b, "data.win.system.computer", "ws-07.example.com", "data.win.eventdata.user", c.user, "data.win.eventdata.image", `C:\\Tools\\PsExec64.exe`)
		for range 80 {
			a.Fields = append(a.Fields, alert.Field{Path: "data.win.eventdata.someOtherField", Pointer: "/data/win/eventdata/someOtherField", Value: "x"})
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := o.Holds("admin_account", c.user, a) && o.Holds("admin_host", "ws-07.example.com", a) && o.Holds("admin_tool", `C:\\Tools\\PsExec64.exe`, a); got != c.want {
					b.Fatal(got)
				}
			}
		})
	}
}
