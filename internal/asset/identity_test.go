package asset

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/alert"
)

func TestHostNames(t *testing.T) {
	r := example(t).Resolver("default")
	when := at(t, "2026-03-10 00:00:00")
	for value, want := range map[string]string{
		"ws-07.example.com": "host:ws-07.example.com", "WS-07": "host:ws-07.example.com", "ws-07.corp.example.com": "",
		"OLD-WS-07": "host:ws-07.example.com", "old-ws-07.example.com": "host:ws-07.example.com",
		"007": "host:ws-07.example.com", "6F1D2C9E-4a7b-4c55-9d3e-0a1b2c3d4e5f": "host:ws-07.example.com",
		"192.0.2.20": "host:ws-07.example.com", "::ffff:192.0.2.20": "host:ws-07.example.com", "192.0.2.120": "", "192.0.2.21": "",
		"dc-01": "host:dc-01.example.com", "ws-07.example.org": "", "ws-0": "", "": "", "localhost": "", "203.0.113.1": "",
	} {
		id, ok := r.Host(value, when)
		if id.ID != want || ok != (want != "") {
			t.Errorf("%q: %q %v, want %q", value, id.ID, ok, want)
		}
	}
	id, _ := r.Host("hmi-01", when)
	if id.Zone != "plant" || id.Consequence != Equipment || !id.Known || id.Type != alert.Host {
		t.Errorf("got %+v", id)
	}
}

func TestShortNames(t *testing.T) {
	r := load(t, `hosts: [{name: a.one.example}, {name: a.two.example}, {name: engineering-workstation-1.one.example}]`).Resolver("x")
	for value, want := range map[string]bool{"a": false, "a.one.example": true, "ENGINEERING-WOR": true, "engineering-wo": false, "engineering-workstation-1": true} {
		if _, ok := r.Host(value, time.Time{}); ok != want {
			t.Errorf("%q: %v", value, ok)
		}
	}
}

func TestLeases(t *testing.T) {
	r := load(t, `
hosts:
  - name: a
    addresses: [{address: 192.0.2.1, from: 2026-01-01T00:00Z, to: 2026-01-02T00:00Z}, {address: 192.0.2.1, from: 2026-01-05T00:00Z}]
  - {name: b, addresses: [{address: 192.0.2.1, from: 2026-01-02, to: 2026-01-03 12:00}, '2001:db8::1']}
`).Resolver("x")
	for when, want := range map[string]string{
		"2025-12-31 23:59:59": "", "2026-01-01 00:00:00": "a", "2026-01-01 23:59:59": "a", "2026-01-02 00:00:00": "b",
		"2026-01-03 11:59:59": "b", "2026-01-03 12:00:00": "", "2026-01-05 00:00:00": "a", "2030-01-01 00:00:00": "a",
	} {
		if id, _ := r.Host("192.0.2.1", at(t, when)); id.Name != want {
			t.Errorf("%s: %q, want %q", when, id.Name, want)
		}
	}
	if _, ok := r.Host("192.0.2.1", time.Time{}); ok {
		t.Error("without a time, a lease tells nothing")
	}
	if id, _ := r.Host("2001:DB8:0::1", time.Time{}); id.Name != "b" {
		t.Errorf("an address without a lease: %q", id.Name)
	}
}

func TestClass(t *testing.T) {
	r := example(t).Resolver("default")
	for value, want := range map[string]string{
		"SYSTEM": ClassSystem, `NT AUTHORITY\SYSTEM`: ClassSystem, `NT AUTHORITY\\LOCAL SERVICE`: ClassSystem, "NETWORK SERVICE": ClassSystem, "ANONYMOUS LOGON": ClassSystem,
		"root": ClassSystem, "S-1-5-18": ClassSystem, "S-1-5-32-544": ClassSystem, `NT SERVICE\TrustedInstaller`: ClassSystem, `Window Manager\DWM-2`: ClassSystem, `NT-AUTORITÄT\SYSTEM`: ClassSystem,
		"WS-07$": ClassMachine, `EXAMPLE\WS-07$`: ClassMachine, "ws-07$@example.com": ClassMachine,
		"127.0.0.1": ClassLoopback, "::1": ClassLoopback, "127.8.9.1": ClassLoopback, "localhost": ClassLoopback,
		"203.0.113.1": ClassShared, "0.0.0.0": ClassShared, "169.254.1.1": ClassShared, "fe80::1%eth0": ClassShared, "224.0.0.1": ClassShared,
		`EXAMPLE\ada`: "", `EVIL\SYSTEM`: "", "roots": "", "S-1-5-21-1-2-3-500": "", "S-1-5-180": "", "192.0.2.40": "", "ws-07": "", "$": "", "": "",
	} {
		if got, ok := r.Class(value); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v, want %q", value, got, ok, want)
		}
	}
}

func TestAccountsResolve(t *testing.T) {
	r := load(t, `
accounts:
  - {name: 'ONE\ada', aliases: [ada@one.example, S-1-5-21-1-2-3-4]}
  - {name: 'TWO\ada'}
  - {name: 'ONE\eve'}
`).Resolver("x")
	for value, want := range map[string]string{
		`one\ADA`: `account:one\ada`, "ada@one.example": `account:one\ada`, "s-1-5-21-1-2-3-4": `account:one\ada`, `two\ada`: `account:two\ada`,
		"ada": "", "eve": `account:one\eve`, "eve@one.example": "", "ada@two.example": "", "S-1-5-21-1-2-3-40": "", "ev": "", `ONE\WS-07$`: "",
	} {
		if id, ok := r.Account(value); id.ID != want || ok != (want != "") {
			t.Errorf("%q: %q, want %q", value, id.ID, want)
		}
	}
}

func host(v string) alert.Entity { return alert.Entity{Type: alert.Host, Value: v, Confidence: 1} }
func acct(v string) alert.Entity { return alert.Entity{Type: alert.Account, Value: v, Confidence: 1} }

func TestMerge(t *testing.T) {
	known := example(t).Resolver("default")
	for _, c := range []struct {
		name string
		r    *Resolver
		in   []alert.Entity
		want map[string][]int
	}{
		{"short and full host", &Resolver{}, []alert.Entity{host("WS-1"), host("ws-1.example.org"), host("ws-2")}, map[string][]int{"host:ws-1.example.org": {0, 1}, "host:ws-2": {2}}},
		{"two domains", &Resolver{}, []alert.Entity{host("a"), host("a.x.example"), host("a.y.example")}, map[string][]int{"host:a": {0}, "host:a.x.example": {1}, "host:a.y.example": {2}}},
		{"three forms of a user", &Resolver{}, []alert.Entity{acct("eve"), acct(`CORP\Eve`), acct("eve@corp.example")}, map[string][]int{"account:eve@corp.example": {0, 1, 2}}},
		{"two users of one name", &Resolver{}, []alert.Entity{acct(`CORP\eve`), acct("eve@corp.example"), acct("eve@other.example"), acct("eve")},
			map[string][]int{"account:eve@corp.example": {0, 1}, "account:eve@other.example": {2}, "account:eve": {3}}},
		{"local account", &Resolver{}, []alert.Entity{host("WS-1"), acct(`WS-1\eve`), acct("eve@corp.example")}, map[string][]int{"host:ws-1": {0}, `account:ws-1\eve`: {1}, "account:eve@corp.example": {2}}},
		{"a host is no account", &Resolver{}, []alert.Entity{host("eve"), acct("eve")}, map[string][]int{"host:eve": {0}, "account:eve": {1}}},
		{"classes", &Resolver{}, []alert.Entity{acct("SYSTEM"), acct("WS-1$"), host("localhost"), {Type: alert.IP, Value: "192.0.2.1"}}, map[string][]int{}},
		{"org.yaml", known, []alert.Entity{acct("grace.h@example.com"), acct("ADM-GRACE"), host("old-ws-07"), host("ws-07"), {Type: alert.Account, Value: "g-1", Properties: map[string]string{"nt_name": `EXAMPLE\adm-grace`}}},
			map[string][]int{`account:example\adm-grace`: {0, 1, 4}, "host:ws-07.example.com": {2, 3}}},
	} {
		got := map[string][]int{}
		for _, id := range c.r.Merge(c.in) {
			got[id.ID] = id.Members
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestMergeDoesNotDependOnOrder(t *testing.T) {
	names := []string{"a", "A.one.example", "a.two.example", "b", "b.one.example"}
	users := []string{"u", `ONE\u`, "u@one.example", "u@two.example", `A\u`, "v", `ONE\v`}
	rapid.Check(t, func(t *rapid.T) {
		var in []alert.Entity
		for _, n := range rapid.SliceOfN(rapid.SampledFrom(names), 0, 5).Draw(t, "hosts") {
			in = append(in, host(n))
		}
		for _, n := range rapid.SliceOfN(rapid.SampledFrom(users), 0, 6).Draw(t, "users") {
			in = append(in, acct(n))
		}
		want := groups((&Resolver{}).Merge(in), in)
		shuffled := rapid.Permutation(in).Draw(t, "order")
		if d := cmp.Diff(want, groups((&Resolver{}).Merge(shuffled), shuffled)); d != "" {
			t.Fatal(d)
		}
	})
}

func groups(ids []Identity, in []alert.Entity) map[string][]string {
	out := map[string][]string{}
	for _, id := range ids {
		for _, m := range id.Members {
			out[id.ID] = append(out[id.ID], in[m].Value)
		}
		slices.Sort(out[id.ID])
	}
	return out
}

func TestAdjust(t *testing.T) {
	r := example(t).Resolver("default")
	text := func(e alert.Entity) alert.Entity { e.Confidence = 0.8; return e }
	ip := func(v string) alert.Entity { return alert.Entity{Type: alert.IP, Value: v, Confidence: 1} }
	when := at(t, "2026-03-10 00:00:00")
	for _, c := range []struct {
		name     string
		source   alert.Severity
		entities []alert.Entity
		want     alert.Severity
		says     string
	}{
		{"nothing", alert.Medium, nil, alert.Medium, ""},
		{"ordinary host", alert.Medium, []alert.Entity{host("ws-07")}, alert.Medium, ""},
		{"crown jewel", alert.Medium, []alert.Entity{host("DC-01")}, alert.High, "dc-01.example.com is a crown jewel"},
		{"crown jewel by address", alert.Medium, []alert.Entity{ip("192.0.2.10")}, alert.High, "crown jewel"},
		{"account", alert.Low, []alert.Entity{acct(`EXAMPLE\ada`)}, alert.Medium, "crown jewel"},
		{"two jewels, one step", alert.Low, []alert.Entity{host("dc-01"), host("backup-01")}, alert.Medium, "backup-01"},
		{"top", alert.Critical, []alert.Entity{host("dc-01")}, alert.Critical, ""},
		{"zone", alert.Medium, []alert.Entity{host("hmi-01")}, alert.High, "where equipment is at stake"},
		{"test asset", alert.High, []alert.Entity{host("lab-01")}, alert.Medium, "test asset"},
		{"test asset and a remote address", alert.High, []alert.Entity{host("lab-01"), ip("198.51.100.9")}, alert.Medium, "test asset"},
		{"bottom", alert.Informational, []alert.Entity{host("lab-01")}, alert.Informational, ""},
		{"test asset and another host", alert.High, []alert.Entity{host("lab-01"), host("ws-07")}, alert.High, ""},
		{"test asset and an unknown host", alert.High, []alert.Entity{host("lab-01"), host("stranger")}, alert.High, ""},
		{"test asset and a known address", alert.High, []alert.Entity{host("lab-01"), ip("192.0.2.20")}, alert.High, ""},
		{"test asset and an administrator", alert.High, []alert.Entity{host("lab-01"), acct("adm-grace")}, alert.High, ""},
		{"test asset and a crown jewel", alert.High, []alert.Entity{host("lab-01"), host("dc-01")}, alert.Critical, "crown jewel"},
		{"text never lowers", alert.High, []alert.Entity{text(host("lab-01"))}, alert.High, ""},
		{"text may raise", alert.Medium, []alert.Entity{text(host("dc-01"))}, alert.High, "crown jewel"},
	} {
		got, why := r.Adjust(c.source, c.entities, when)
		if got != c.want || (c.says == "") != (why == "") || !strings.Contains(why, c.says) {
			t.Errorf("%s: %v %q", c.name, got, why)
		}
		back := slices.Clone(c.entities)
		slices.Reverse(back)
		if got2, why2 := r.Adjust(c.source, back, when); got2 != got || why2 != why {
			t.Errorf("%s: depends on the order: %q, %q", c.name, why, why2)
		}
	}
}

func TestCommonLink(t *testing.T) {
	r := load(t, `
hosts: [{name: proxy, addresses: [{address: 192.0.2.9, from: 2026-01-01, to: 2026-01-02}]}, {name: ws, addresses: [192.0.2.10]}]
scanners: [192.0.2.64/28]
nat_or_proxy: [proxy, 203.0.113.1]
management_servers: [192.0.2.30]
`).Resolver("x")
	for value, want := range map[string]bool{
		"192.0.2.9": true, "203.0.113.1": true, "192.0.2.70": true, "127.0.0.1": true, "192.0.2.80": false, "192.0.2.10": false, "192.0.2.30": false, "203.0.113.11": false, "proxy": false, "": false,
	} {
		if got := r.CommonLink(alert.LinkSource, value); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
	if r.CommonLink(alert.LinkSession, "192.0.2.9") || r.CommonLink(alert.LinkHash, "203.0.113.1") {
		t.Error("only addresses are common")
	}
	if (&Resolver{}).CommonLink(alert.LinkSource, "192.0.2.9") {
		t.Error("nothing is known")
	}
}

// Whatever shares only a part with a listed value is another value.
func TestHoldsNeverForParts(t *testing.T) {
	o := load(t, `
domains: [{netbios: EXAMPLE, dns: [example.com]}]
hosts: [{name: scn-01.example.com, addresses: [192.0.2.40]}, {name: ws-07.example.com, addresses: [192.0.2.20]}]
administrators: [{accounts: ['EXAMPLE\adm-grace'], hosts: [ws-07.example.com], tools: ['C:\Tools\PsExec64.exe', mmc.exe]}]
scanners: [scn-01.example.com]
maintenance_windows: [{hosts: [ws-07.example.com], from: 2026-03-10, to: 2026-03-11}]
exercises: [{accounts: ['EXAMPLE\red-1'], hosts: [ws-07.example.com], senders: [a@drill.example], sender_domains: [m.drill.example], addresses: [198.51.100.77], from: 2026-03-10, to: 2026-03-11}]
`)
	listed := []string{
		"scn-01.example.com", "scn-01", "192.0.2.40", "ws-07.example.com", "ws-07", "192.0.2.20", `EXAMPLE\adm-grace`, "adm-grace@example.com", "adm-grace",
		`C:\Tools\PsExec64.exe`, `C:\Windows\System32\mmc.exe`, `EXAMPLE\red-1`, "red-1", "red-1@example.com", "a@drill.example", "m.drill.example", "198.51.100.77",
	}
	letters := rapid.StringOfN(rapid.RuneFrom([]rune(`abz019-_xX`)), 1, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SampledFrom(listed).Draw(t, "listed")
		switch rapid.IntRange(0, 3).Draw(t, "change") {
		case 0:
			v = letters.Draw(t, "before") + v
		case 1:
			v += letters.Draw(t, "behind")
		case 2:
			v = v[:rapid.IntRange(1, len(v)-1).Draw(t, "cut")]
		default:
			v = v[rapid.IntRange(1, len(v)-1).Draw(t, "from"):]
		}
		// A cut or grown value may be another whole one, such as the host of a FQDN.
		if slices.ContainsFunc(listed, func(l string) bool { return strings.EqualFold(l, strings.TrimRight(v, `.\@ `)) }) || slices.Contains([]string{`\adm-grace`}, v) {
			return
		}
		a := event(t2(t), "Computer", "x")
		for _, p := range Predicates() {
			if o.Holds(p, v, a) && !wholeAnyway(p, v) {
				t.Fatalf("%s(%q) holds", p, v)
			}
		}
	})
}

// wholeAnyway are values that are whole although they were cut from others: a file in a folder
// below, or the domain of a mail address.
func wholeAnyway(predicate, v string) bool {
	return predicate == "exercise" && (strings.HasSuffix(v, "@m.drill.example") || v == "m.drill.example.")
}

type fataler struct {
	testing.TB
	t *rapid.T
}

func (f fataler) Helper()           {}
func (f fataler) Fatal(args ...any) { f.t.Fatal(args...) }

func t2(t *rapid.T) testing.TB { return fataler{t: t} }
