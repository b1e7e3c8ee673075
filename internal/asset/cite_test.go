package asset

import (
	"testing"

	"github.com/aluskort/aluskort/internal/reason/rules"
)

var _ rules.Citer = (*Org)(nil)

const cited = `
domains:
  - {netbios: EXAMPLE, dns: [example.com]}
hosts:
  - {name: scan-1.example.com, addresses: [192.0.2.40]}
  - {name: app-3.example.com, addresses: [192.0.2.33]}
  - {name: mgmt-1.example.com, addresses: [192.0.2.20]}
scanners: [scan-1.example.com, 198.51.100.0/28]
administrators:
  - {name: helpdesk, accounts: ['EXAMPLE\adm-grace'], hosts: [mgmt-1.example.com], tools: ['PsExec64.exe']}
maintenance_windows:
  - {what: password of a service is changed, hosts: [app-3.example.com], from: 2026-03-10T10:00Z, to: 2026-03-10T14:00Z}
exercises:
  - {what: phishing simulation, senders: [facility@drill.example], sender_domains: [drill.example], from: 2026-03-10T10:00Z, to: 2026-03-10T14:00Z}
`

// A fact has one name, whatever the alert calls the host; what does not hold has none.
func TestCiteNamesTheFact(t *testing.T) {
	o := load(t, cited)
	a := event(t, "User", `EXAMPLE\adm-grace`)
	for _, c := range []struct{ predicate, value, want string }{
		{"scanner", "192.0.2.40", "scanner: scan-1.example.com"},
		{"scanner", "SCAN-1", "scanner: scan-1.example.com"},
		{"scanner", "scan-1.example.com.", "scanner: scan-1.example.com"},
		{"scanner", "198.51.100.7", "scanner: 198.51.100.7"},
		{"scanner", "192.0.2.33", ""},
		{"admin_account", `EXAMPLE\adm-grace`, `admin account: EXAMPLE\adm-grace`},
		{"admin_account", "adm-grace@example.com", `admin account: EXAMPLE\adm-grace`},
		{"admin_account", `EXAMPLE\ada`, ""},
		{"admin_host", "192.0.2.20", "admin host: mgmt-1.example.com"},
		{"admin_host", "192.0.2.33", ""},
		{"maintenance_window", "APP-3", "maintenance window: password of a service is changed"},
		{"maintenance_window", "mgmt-1", ""},
		{"exercise", "facility@drill.example", "exercise: phishing simulation"},
		{"exercise", "drill.example", "exercise: phishing simulation"},
		{"exercise", "drill.test", ""},
		{"nonsense", "192.0.2.40", ""},
	} {
		if got := o.Cite(c.predicate, c.value, a); got != c.want {
			t.Errorf("%s(%s) is %q, want %q", c.predicate, c.value, got, c.want)
		}
		if held := o.Holds(c.predicate, c.value, a); held != (c.want != "") {
			t.Errorf("%s(%s) holds: %v", c.predicate, c.value, held)
		}
	}
	if got := (*Org)(nil).Cite("scanner", "192.0.2.40", a); got != "" {
		t.Errorf("no organisation says %q", got)
	}
}
