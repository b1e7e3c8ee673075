package fp

import (
	"errors"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
)

func TestCheck(t *testing.T) {
	entity := func(kind alert.EntityType, op Op, v string) []EntityCondition {
		return []EntityCondition{{Type: kind, Text: Text{op, v}}}
	}
	for _, c := range []struct {
		name   string
		change func(*Definition)
		code   string // refusal; "" is fine; "invalid" is malformed
	}{
		{"good", func(*Definition) {}, ""},
		{"asset class instead of a condition", func(d *Definition) { d.Entities, d.Scope.AssetClass = nil, "test-lab" }, ""},
		{"unscoped", func(d *Definition) { d.Analytics, d.AlertNames = nil, []Text{{Equals, "ET SCAN MSSQL"}} }, RefusedUnscoped},
		{"scoped by family", func(d *Definition) {
			d.Analytics, d.AlertNames, d.Scope.RuleFamily = nil, []Text{{Prefix, "ET SCAN "}}, "suricata"
		}, ""},
		{"detection alone", func(d *Definition) { d.Entities = nil }, RefusedAttackerWritable},
		{"command line", func(d *Definition) {
			d.Entities, d.Payload = nil, []PayloadCondition{{"data.win.eventdata.commandLine", Text{Glob, "*backup*"}}}
		}, RefusedAttackerWritable},
		{"process", func(d *Definition) { d.Entities = entity(alert.Process, Equals, `C:\Windows\System32\svchost.exe`) }, RefusedAttackerWritable},
		{"URL, file, account and user agent together", func(d *Definition) {
			d.Entities = append(entity(alert.URL, Prefix, "https://example.com/"), entity(alert.File, Glob, "*.tmp.bak")...)
			d.Entities = append(d.Entities, entity(alert.Account, Equals, "svc-backup")...)
			d.Payload = []PayloadCondition{{"http.user_agent", Text{Equals, "scanner"}}}
		}, RefusedAttackerWritable},
		{"name of the remote host", func(d *Definition) {
			d.Entities = []EntityCondition{{Type: alert.Host, Role: alert.RoleSource, Text: Text{Equals, "scanner-01"}}}
		}, RefusedAttackerWritable},
		{"host among writable ones", func(d *Definition) {
			d.Entities = append(entity(alert.URL, Prefix, "https://example.com/"), entity(alert.Host, Equals, "web-01")...)
		}, ""},
		{"host that may fail", func(d *Definition) {
			d.Entities = entity(alert.Host, Equals, "web-01")
			for range 4 {
				d.Entities = append(d.Entities, entity(alert.URL, Prefix, "https://example.com/")...)
			}
		}, RefusedAttackerWritable},
		{"signer", func(d *Definition) {
			d.Entities, d.Payload = nil, []PayloadCondition{{"process.code_signature.subject_name", Text{Equals, "Example Software Ltd"}}}
		}, ""},
		{"parent in a system folder", func(d *Definition) {
			d.Entities, d.Payload = nil, []PayloadCondition{{"data.win.eventdata.parentImage", Text{Equals, `C:\Windows\System32\services.exe`}}}
		}, ""},
		{"parent anywhere", func(d *Definition) {
			d.Entities, d.Payload = nil, []PayloadCondition{{"data.win.eventdata.parentImage", Text{Glob, `*\services.exe`}}}
		}, RefusedAttackerWritable},
		{"parent in a shared folder", func(d *Definition) {
			d.Entities, d.Payload = nil, []PayloadCondition{{"data.win.eventdata.parentImage", Text{Glob, `C:\Windows\Temp\*`}}}
		}, RefusedAttackerWritable},
		{"parent in a folder that has a shared one", func(d *Definition) {
			d.Entities, d.Payload = nil, []PayloadCondition{{"data.win.eventdata.parentImage", Text{Prefix, `C:\Windows\`}}}
		}, RefusedAttackerWritable},
		{"parent that climbs out", func(d *Definition) {
			d.Entities, d.Payload = nil, []PayloadCondition{{"data.win.eventdata.parentImage", Text{Prefix, `C:\Windows\..\Users\`}}}
		}, RefusedAttackerWritable},
		{"whole internet", func(d *Definition) { d.Entities = entity(alert.IP, CIDR, "0.0.0.0/0") }, RefusedTooWide},
		{"class A network", func(d *Definition) { d.Entities = entity(alert.IP, CIDR, "10.0.0.0/8") }, RefusedTooWide},
		{"class A network as IPv6", func(d *Definition) { d.Entities = entity(alert.IP, CIDR, "::ffff:10.0.0.0/104") }, RefusedTooWide},
		{"IPv6 provider", func(d *Definition) { d.Entities = entity(alert.IP, CIDR, "2001:db8::/32") }, RefusedTooWide},
		{"any host", func(d *Definition) { d.Entities = entity(alert.Host, Glob, "*") }, RefusedTooWide},
		{"short glob", func(d *Definition) { d.Entities = entity(alert.Host, Glob, "a*b") }, RefusedTooWide},
		{"name that begins with anything", func(d *Definition) {
			d.Analytics, d.AlertNames, d.Scope.RuleFamily = nil, []Text{{Glob, "*scan*"}}, "suricata"
		}, RefusedTooWide},
		{"no name", func(d *Definition) { d.Name = " " }, "invalid"},
		{"no tenant", func(d *Definition) { d.Tenant = "" }, "invalid"},
		{"no justification", func(d *Definition) { d.Justification = "ok" }, "invalid"},
		{"threshold below", func(d *Definition) { d.Threshold = 0.89 }, "invalid"},
		{"threshold above", func(d *Definition) { d.Threshold = 1.01 }, "invalid"},
		{"nothing named", func(d *Definition) { d.Analytics = nil }, "invalid"},
		{"unknown type", func(d *Definition) { d.Entities = entity("spaceship", Equals, "x") }, "invalid"},
		{"network of a host", func(d *Definition) { d.Entities = entity(alert.Host, CIDR, "192.0.2.0/24") }, "invalid"},
		{"not a network", func(d *Definition) { d.Entities = entity(alert.IP, CIDR, "192.0.2.0") }, "invalid"},
		{"empty value", func(d *Definition) { d.Entities = entity(alert.Host, Equals, " ") }, "invalid"},
		{"invisible character", func(d *Definition) { d.Entities = entity(alert.Host, Equals, "web\u200b-01") }, "invalid"},
		{"not UTF-8", func(d *Definition) { d.Name = "a\xff" }, "invalid"},
		{"too long", func(d *Definition) { d.Name = strings.Repeat("a", MaxText+1) }, "invalid"},
		{"too many", func(d *Definition) { d.Analytics = make([]string, MaxAnalytics+1) }, "invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := scan()
			c.change(&d)
			err := d.Check()
			var refused *RefusedError
			switch {
			case c.code == "":
				if err != nil {
					t.Error(err)
				}
			case c.code == "invalid":
				if !errors.Is(err, ErrInvalid) {
					t.Errorf("%v, want invalid", err)
				}
			case !errors.As(err, &refused) || !errors.Is(err, ErrRefused) || !refused.Has(c.code):
				t.Errorf("%v, want %s", err, c.code)
			}
		})
	}
}

func TestDigestTellsDefinitionsApart(t *testing.T) {
	a, b := scan(), scan()
	if a.Digest() != b.Digest() {
		t.Error("equal definitions have different digests")
	}
	b.Entities[0].Value = "198.51.100.0/24"
	if a.Digest() == b.Digest() {
		t.Error("different definitions have one digest")
	}
}
