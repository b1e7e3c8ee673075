package asset

import (
	"slices"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
)

const classed = `
zones: [{name: Office}]
hosts:
  - {name: ws-1, zone: Office, criticality: test, addresses: [192.0.2.10]}
  - {name: ws-2, zone: Office, criticality: normal}
  - {name: dc-1, criticality: crown_jewel, addresses: [192.0.2.20]}
  - {name: plain-1}
scanners: [scan-1, 198.51.100.16/28]
backup_servers: [ws-1]
`

func entity(kind alert.EntityType, value string, role alert.Role, confidence float64) alert.Entity {
	return alert.Entity{Type: kind, Value: value, Role: role, Confidence: confidence}
}

func TestClasses(t *testing.T) {
	host := func(name string) alert.Entity { return entity(alert.Host, name, alert.RoleDevice, 1) }
	ip := func(addr string) alert.Entity { return entity(alert.IP, addr, alert.RoleSource, 1) }
	for name, c := range map[string]struct {
		entities []alert.Entity
		want     []string // nil is unknown
	}{
		"one host":              {[]alert.Entity{host("WS-1")}, []string{"backup_server", "test", "zone:office"}},
		"by address":            {[]alert.Entity{ip("192.0.2.10")}, []string{"backup_server", "test", "zone:office"}},
		"name and address":      {[]alert.Entity{host("ws-1"), ip("192.0.2.10")}, []string{"backup_server", "test", "zone:office"}},
		"what both are":         {[]alert.Entity{host("ws-1"), host("ws-2")}, []string{"zone:office"}},
		"nothing in common":     {[]alert.Entity{host("ws-1"), host("dc-1")}, []string{}},
		"a role by name":        {[]alert.Entity{host("scan-1")}, []string{"scanner"}},
		"a role by network":     {[]alert.Entity{ip("198.51.100.20")}, []string{"scanner"}},
		"listed without class":  {[]alert.Entity{host("plain-1")}, []string{}},
		"a stranger's address":  {[]alert.Entity{host("ws-1"), ip("203.0.113.9")}, []string{"backup_server", "test", "zone:office"}},
		"target of high worth":  {[]alert.Entity{host("ws-1"), entity(alert.IP, "192.0.2.20", alert.RoleDestination, 1)}, []string{}},
		"an unknown host":       {[]alert.Entity{host("ws-1"), host("new-9")}, nil},
		"no host":               {[]alert.Entity{entity(alert.Account, "ws-1", "", 1)}, nil},
		"only in text":          {[]alert.Entity{entity(alert.Host, "ws-1", alert.RoleDevice, 0.6)}, nil},
		"text changes nothing":  {[]alert.Entity{host("ws-2"), entity(alert.Host, "dc-1", "", 0.6)}, []string{"normal", "zone:office"}},
		"self-given name":       {[]alert.Entity{entity(alert.Host, "ws-1", alert.RoleSource, 1)}, nil},
		"self-given name takes": {[]alert.Entity{host("ws-1"), entity(alert.Host, "dc-1", alert.RoleSource, 1)}, []string{}},
		"only a stranger":       {[]alert.Entity{ip("203.0.113.9")}, nil},
		"nothing":               {nil, nil},
	} {
		got := load(t, classed).Classes("default", c.entities, at(t, "2026-03-10 12:00:00"))
		if !slices.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%s: %#v, want %#v", name, got, c.want)
		}
	}
	for name, o := range map[string]*Org{"no file": nil, "empty file": {}} {
		if got := o.Classes("default", []alert.Entity{host("ws-1")}, at(t, "2026-03-10 12:00:00")); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestClassesOfAnotherTenant(t *testing.T) {
	o := load(t, "tenants:\n  a:\n    hosts: [{name: ws-1, criticality: test}]\n  b:\n    hosts: [{name: ws-1, criticality: crown_jewel}]\n")
	list := []alert.Entity{entity(alert.Host, "ws-1", alert.RoleDevice, 1)}
	for tenant, want := range map[string][]string{"a": {"test"}, "b": {"crown_jewel"}, "c": nil} {
		if got := o.Classes(tenant, list, at(t, "2026-03-10 12:00:00")); !slices.Equal(got, want) {
			t.Errorf("%s: %v", tenant, got)
		}
	}
}

// A lease says whose class an address has at a time.
func TestClassesFollowLeases(t *testing.T) {
	o := load(t, "hosts:\n  - {name: ws-1, criticality: test, addresses: [{address: 192.0.2.9, from: 2026-03-01T00:00Z, to: 2026-03-02T00:00Z}]}\n")
	list := []alert.Entity{entity(alert.IP, "192.0.2.9", alert.RoleSource, 1)}
	if got := o.Classes("default", list, at(t, "2026-03-01 12:00:00")); !slices.Equal(got, []string{"test"}) {
		t.Errorf("during the lease: %v", got)
	}
	if got := o.Classes("default", list, at(t, "2026-03-02 12:00:00")); got != nil {
		t.Errorf("after the lease: %v", got)
	}
}
