package fp

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
)

const fullYAML = `# comment
name: Weekly scan of the server network
justification: Authenticated scan by the vulnerability team, every Sunday.
threshold: 0.95
shadow: true
scope:
  rule_family: suricata
  asset_class: server
analytics: ["suricata:2010935"]
alert_names:
  - "ET SCAN one"
  - prefix: "ET SCAN "
  - glob: ET SCAN * port ?
entities:
  - type: ip
    role: source
    cidr: 198.51.100.16/28
  - {type: host, equals: scanner-01}
payload:
  - path: data.proto
    equals: TCP
`

func TestParseDefinition(t *testing.T) {
	got, err := ParseDefinition("p.yaml", []byte(fullYAML), "default")
	if err != nil {
		t.Fatal(err)
	}
	want := Definition{
		Name: "Weekly scan of the server network", Tenant: "default", Threshold: 0.95, Shadow: true,
		Justification: "Authenticated scan by the vulnerability team, every Sunday.",
		Scope:         Scope{RuleFamily: "suricata", AssetClass: "server"}, Analytics: []string{"suricata:2010935"},
		AlertNames: []Text{{Equals, "ET SCAN one"}, {Prefix, "ET SCAN "}, {Glob, "ET SCAN * port ?"}},
		Entities: []EntityCondition{
			{Type: alert.IP, Role: alert.RoleSource, Text: Text{CIDR, "198.51.100.16/28"}}, {Type: alert.Host, Text: Text{Equals, "scanner-01"}},
		},
		Payload: []PayloadCondition{{"data.proto", Text{Equals, "TCP"}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
	got, err = ParseDefinition("p.yaml", []byte("name: x\ntenant: acme\n"), "default")
	if err != nil || got.Tenant != "acme" || got.Threshold != DefaultThreshold {
		t.Errorf("%+v %v", got, err)
	}
}

func TestParseDefinitionErrors(t *testing.T) {
	for _, c := range []struct {
		name, text string
		line       int
		want       string
	}{
		{"empty", "", 0, "empty"},
		{"comment only", "# x\n", 0, "empty"},
		{"no map", "- a\n", 1, "map"},
		{"no YAML", "name: x\nscope: [\n", 0, "not YAML"},
		{"unknown key", "name: x\ntreshold: 0.9\n", 2, `"treshold"`},
		{"unknown key below", "scope:\n  family: x\n", 2, `"family"`},
		{"key twice", "name: x\nname: y\n", 2, "twice"},
		{"two documents", "name: x\n---\nname: y\n", 2, "one pattern a file"},
		{"threshold", "name: x\nthreshold: 0.5\n", 2, "threshold"},
		{"threshold no number", "threshold: high\n", 1, "threshold"},
		{"threshold NaN", "threshold: .nan\n", 1, "threshold"},
		{"shadow", "shadow: perhaps\n", 1, "true or false"},
		{"list", "analytics: x\n", 1, "not a list"},
		{"null", "name:\n", 1, "single value"},
		{"alias", "name: &n x\ntenant: *n\n", 2, "single value"},
		{"merge key", "scope: &s {rule_family: x}\nentities:\n  - <<: *s\n", 3, `"<<"`},
		{"two comparisons", "alert_names:\n  - equals: x\n    glob: y*\n", 3, "two comparisons"},
		{"no comparison", "entities:\n  - type: host\n", 2, "no comparison"},
		{"no type", "entities:\n  - equals: x\n", 2, "no type"},
		{"type", "entities:\n  - equals: x\n    type: ship\n", 3, `"ship"`},
		{"role", "entities:\n  - type: ip\n    role: boss\n    equals: x\n", 3, `"boss"`},
		{"network", "entities:\n  - type: ip\n    cidr: 192.0.2.0/33\n", 3, "network"},
		{"network of a host", "entities:\n  - type: host\n    cidr: 192.0.2.0/24\n", 2, "type ip"},
		{"cidr of a name", "alert_names:\n  - cidr: 192.0.2.0/24\n", 2, `"cidr"`},
		{"no path", "payload:\n  - equals: x\n", 2, "no path"},
		{"no payload comparison", "payload:\n  - path: x\n", 2, "no comparison"},
		{"empty value", "analytics:\n  - ok\n  - \" \"\n", 3, "empty"},
		{"invisible", "analytics: [\"a\\u200b\"]\n", 1, "invisible"},
		{"too many", "analytics: [" + strings.Repeat("a,", MaxAnalytics) + "a]\n", 1, "at most"},
		{"too large", strings.Repeat("#", MaxFile+1), 0, "larger"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseDefinition("p.yaml", []byte(c.text), "default")
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || !errors.Is(err, ErrInvalid) {
				t.Fatalf("%v, want a SyntaxError", err)
			}
			if c.line > 0 && syntax.Line != c.line || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "p.yaml:") {
				t.Errorf("%v, want line %d and %q", err, c.line, c.want)
			}
		})
	}
}

func FuzzPattern(f *testing.F) {
	f.Add(fullYAML)
	f.Add("name: x\nanalytics: [a]\nentities: [{type: ip, cidr: 192.0.2.0/24}]\njustification: because it is so\n")
	f.Add("name: &a [*a]\n")
	f.Add("alert_names:\n  - glob: '*'\n")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDefinition("f", []byte(text), "default")
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		again, err := ParseDefinition("f", []byte(text), "default")
		if err != nil || fmt.Sprint(again) != fmt.Sprint(d) {
			t.Fatal("the same text reads differently")
		}
		if d.Check() != nil {
			return
		}
		// What may be proposed can be matched, and does not match an empty alert.
		m := &Matcher{}
		if err := m.Replace([]*Pattern{active("p", d)}, 1); err != nil {
			t.Fatalf("passes Check and cannot be compiled: %v", err)
		}
		if _, ok := m.Match(d.Tenant, &alert.Alert{TenantID: d.Tenant}, &alert.Entities{}, testTime); ok {
			t.Fatal("matches an empty alert")
		}
	})
}
