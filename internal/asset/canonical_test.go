package asset

import (
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
)

// twins is an organisation with two hosts under one short name.
const twins = `
domains:
  - {netbios: EXAMPLE, dns: [example.com, lab.example.com]}
hosts:
  - {name: ws-07.example.com, aliases: [old-ws-07], agents: ["007"], addresses: [192.0.2.20, {address: 192.0.2.120, from: 2026-03-10T00:00Z, to: 2026-03-11T00:00Z}]}
  - {name: ws-08.example.com}
  - {name: ws-08.lab.example.com}
accounts:
  - {name: 'EXAMPLE\ada', aliases: [S-1-5-21-1111-2222-3333-1104, ada.l@example.com]}
  - {name: ws-07}
`

func TestLinkKeysNameHostsByTheirIdentity(t *testing.T) {
	r := load(t, twins).Resolver("default")
	const listed = "Host:ws-07.example.com|3e9"
	for _, tt := range []struct {
		name, value, want string
		fields            []string
	}{
		{"NetBIOS name", "ws-07|3e9", listed, []string{"data.win.system.computer", "WS-07"}},
		{"FQDN", "ws-07|3e9", listed, []string{"data.win.system.computer", "ws-07.example.com"}},
		{"alias", "old-ws-07|3e9", listed, []string{"agent.name", "OLD-WS-07"}},
		{"agent id", "007|3e9", listed, []string{"agent.id", "007"}},
		{"address", "192.0.2.20|3e9", listed, []string{"agent.ip", "192.0.2.20"}},
		{"address leased at the time", "192.0.2.120|3e9", listed, nil},
		{"the name of a host elsewhere", "ws-07|3e9", "ws-07|3e9", []string{"data.win.system.computer", "ws-07.other.test"}},
		{"elsewhere, by the domain beside it", "ws-07|3e9", "ws-07|3e9", []string{"Entities.0.HostName", "ws-07", "Entities.0.DnsDomain", "other.test"}},
		{"one of two of a name", "ws-08|3e9", "Host:ws-08.example.com|3e9", []string{"host.name", "ws-08.example.com"}},
		{"the other", "ws-08|3e9", "Host:ws-08.lab.example.com|3e9", []string{"host.name", "ws-08.lab.example.com", "agent.name", "ws-08"}},
		{"the other, by the domain beside it", "ws-08|3e9", "Host:ws-08.lab.example.com|3e9", []string{"Entities.0.HostName", "ws-08", "Entities.0.DnsDomain", "lab.example.com"}},
		{"which of the two is not said", "ws-08|3e9", "ws-08|3e9", []string{"host.name", "ws-08"}},
		{"both are named", "ws-08|3e9", "ws-08|3e9", []string{"host.name", "ws-08.example.com", "Computer", "ws-08.lab.example.com"}},
		{"not listed", "ws-99|3e9", "ws-99|3e9", []string{"host.name", "ws-99.example.com"}},
		{"an id that needs no host", "4f1c-77aa", "4f1c-77aa", []string{"host.name", "ws-07"}},
	} {
		for _, kind := range []alert.LinkKind{alert.LinkSession, alert.LinkProcess} {
			if got := r.LinkValue(&alert.Link{Kind: kind, Value: tt.value}, event(t, tt.fields...)); got != tt.want {
				t.Errorf("%s, %s: got %q, want %q", tt.name, kind, got, tt.want)
			}
		}
	}
	for _, kind := range []alert.LinkKind{alert.LinkSource, alert.LinkHash, alert.LinkToken} {
		if got := r.LinkValue(&alert.Link{Kind: kind, Value: "ws-07|3e9"}, event(t)); got != "ws-07|3e9" {
			t.Errorf("%s: got %q", kind, got)
		}
	}
	if got := (&Resolver{}).LinkValue(&alert.Link{Kind: alert.LinkSession, Value: "ws-07|3e9"}, event(t)); got != "ws-07|3e9" {
		t.Errorf("without org.yaml: %q", got)
	}
}

func TestCanonicalNamesOfHostsAndAccounts(t *testing.T) {
	r := load(t, twins).Resolver("default")
	const ada, ws07 = `Account:example\ada`, "Host:ws-07.example.com"
	for _, tt := range []struct {
		name, value, want string
		fields            []string
	}{
		{"NT name", `example\ada`, ada, []string{"winlog.event_data.User", `EXAMPLE\Ada`}},
		{"UPN", "ada@example.com", ada, []string{"UserPrincipalName", "ada@example.com"}},
		{"mail", "ada.l@example.com", ada, []string{"UserId", "ada.l@example.com"}},
		{"bare, its domain beside it", "ada", ada, []string{"e.TargetUserName", "ada", "e.TargetDomainName", "EXAMPLE"}},
		{"bare, another domain beside it", "ada", "ada", []string{"e.TargetUserName", "ada", "e.TargetDomainName", "OTHER"}},
		{"SID beside it", "ada", ada, []string{"e.TargetUserName", "ada", "e.TargetUserSid", "S-1-5-21-1111-2222-3333-1104"}},
		{"host", "ws-07.example.com", ws07, []string{"Computer", "WS-07.example.com"}},
		{"host by its alias", "old-ws-07", ws07, []string{"Computer", "old-ws-07"}},
		{"host by its address", "192.0.2.20", ws07, []string{"dest_ip", "192.0.2.20"}},
		{"a name that is a host's and an account's", "ws-07", "ws-07", []string{"Computer", "ws-07", "User", "ws-07"}},
		{"a system account", "system", "system", []string{"User", "SYSTEM"}},
		{"a field that names nobody", "ada", "ada", []string{"process.name", "ada"}},
		{"not in the alert", "ada", "ada", nil},
	} {
		if got := r.Canonical(tt.value, event(t, tt.fields...)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestOwnersOfRisk(t *testing.T) {
	r := load(t, twins).Resolver("default")
	when := at(t, "2026-03-10 12:00:00")
	entity := func(typ alert.EntityType, v string) *alert.Entity { return &alert.Entity{Type: typ, Value: v} }
	for _, tt := range []struct {
		e    *alert.Entity
		want string
	}{
		{entity(alert.Host, "WS-07"), "Host:ws-07.example.com"},
		{entity(alert.Host, "ws-07.example.com"), "Host:ws-07.example.com"},
		{entity(alert.Account, `EXAMPLE\ada`), `Account:example\ada`},
		{entity(alert.Host, "Unlisted"), "host\x00unlisted"},
		{entity(alert.Account, "SYSTEM"), ""},
		{entity(alert.Account, "ws-07$"), ""},
		{entity(alert.Host, "localhost"), ""},
	} {
		got, ok := r.Owner(tt.e, when)
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s %q: got %q, %v", tt.e.Type, tt.e.Value, got, ok)
		}
	}
}
