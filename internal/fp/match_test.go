package fp

import (
	"math"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

func matcher(t testing.TB, list ...*Pattern) *Matcher {
	t.Helper()
	m := &Matcher{}
	if err := m.Replace(list, 1); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMatch(t *testing.T) {
	host := func(v string) EntityCondition { return EntityCondition{Type: alert.Host, Text: Text{Equals, v}} }
	for _, c := range []struct {
		name   string
		change func(*Definition)
		alert  func(*alert.Alert, *alert.Entities)
		want   float64 // 0 for no match
	}{
		{name: "all conditions", want: 1},
		{name: "case does not count", change: func(d *Definition) { d.Analytics = []string{"SURICATA:2010935"} }, want: 1},
		{name: "other analytic", alert: func(a *alert.Alert, _ *alert.Entities) { a.Analytic = "suricata:2010936" }},
		{name: "address outside", alert: func(_ *alert.Alert, e *alert.Entities) { e.List[0].Value = "198.51.100.32" }},
		{name: "address as IPv6", alert: func(_ *alert.Alert, e *alert.Entities) { e.List[0].Value = "::ffff:198.51.100.20" }, want: 1},
		{name: "address in the other role", alert: func(_ *alert.Alert, e *alert.Entities) { e.List[0].Role = alert.RoleDestination }},
		{name: "address found in text only", alert: func(_ *alert.Alert, e *alert.Entities) { e.List[0].Confidence = 0.9 }},
		{name: "no entities", alert: func(_ *alert.Alert, e *alert.Entities) { e.List = nil }},
		{name: "name alone", change: func(d *Definition) { d.Entities = nil }, want: 1},
		{name: "names narrow analytics", change: func(d *Definition) { d.AlertNames = []Text{{Equals, "something else"}} }},
		{name: "name equals", change: func(d *Definition) {
			d.Analytics, d.AlertNames = nil, []Text{{Equals, "et scan suspicious inbound to mssql port 1433"}}
		}, want: 1},
		{name: "name prefix", change: func(d *Definition) { d.Analytics, d.AlertNames = nil, []Text{{Prefix, "ET scan "}} }, want: 1},
		{name: "name glob", change: func(d *Definition) {
			d.Analytics, d.AlertNames = nil, []Text{{Glob, "ET SCAN * to ?SSQL port*"}}
		}, want: 1},
		{name: "name glob is whole", change: func(d *Definition) { d.Analytics, d.AlertNames = nil, []Text{{Glob, "ET SCAN * to ?SSQL port"}} }},
		{name: "one of several names", change: func(d *Definition) {
			d.AlertNames = []Text{{Equals, "other"}, {Prefix, "et scan"}}
		}, want: 1},
		{name: "one of two entities is 0.75", change: func(d *Definition) { d.Entities = append(d.Entities, host("db-02")) }},
		{name: "four of five entities are 0.90", change: func(d *Definition) {
			d.Entities = []EntityCondition{host("db-01"), host("DB-01"), host("db-01"), host("db-01"), host("db-02")}
		}, want: 0.9},
		{name: "four of five do not reach 0.91", change: func(d *Definition) {
			d.Threshold = 0.91
			d.Entities = []EntityCondition{host("db-01"), host("DB-01"), host("db-01"), host("db-01"), host("db-02")}
		}},
		{name: "host named by the remote side", change: func(d *Definition) { d.Entities = []EntityCondition{host("db-01")} },
			alert: func(_ *alert.Alert, e *alert.Entities) { e.List[1].Role = alert.RoleSource }},
		{name: "family", change: func(d *Definition) { d.Scope.RuleFamily = "Suricata" }, want: 1},
		{name: "family is no mere prefix", change: func(d *Definition) { d.Scope.RuleFamily = "suri" }},
		{name: "asset class unknown", change: func(d *Definition) { d.Scope.AssetClass = "server" }},
		{name: "payload", change: func(d *Definition) { d.Payload = []PayloadCondition{{"data.proto", Text{Equals, "tcp"}}} },
			alert: func(a *alert.Alert, _ *alert.Entities) {
				a.Fields = alert.Fields{{Path: "data.proto", Value: "UDP"}, {Path: "data.proto", Value: "TCP"}}
			}, want: 1},
		{name: "payload elsewhere", change: func(d *Definition) { d.Payload = []PayloadCondition{{"data.proto", Text{Equals, "tcp"}}} },
			alert: func(a *alert.Alert, _ *alert.Entities) {
				a.Fields = alert.Fields{{Path: "data.proto2", Value: "TCP"}}
			}},
		{name: "payload of a record too large", change: func(d *Definition) { d.Payload = []PayloadCondition{{"data.proto", Text{Equals, "tcp"}}} },
			alert: func(a *alert.Alert, _ *alert.Entities) {
				a.Fields = make(alert.Fields, maxFields+1)
				a.Fields[0] = alert.Field{Path: "data.proto", Value: "TCP"}
			}},
		{name: "title too long", alert: func(a *alert.Alert, _ *alert.Entities) { a.Title = string(make([]byte, maxSubject+1)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := scan()
			if c.change != nil {
				c.change(&d)
			}
			a, e := scanAlert()
			if c.alert != nil {
				c.alert(a, e)
			}
			m, ok := matcher(t, active("p", d)).Match("default", a, e, testTime)
			if ok != (c.want > 0) || math.Abs(m.Confidence-c.want) > 1e-9 {
				t.Errorf("match %v with %v, want %v", ok, m, c.want)
			}
		})
	}
}

func TestMatchScopeAndStanding(t *testing.T) {
	a, e := scanAlert()
	d := scan()
	for _, c := range []struct {
		name   string
		change func(*Pattern)
		at     time.Time
		tenant string
		ok     bool
	}{
		{name: "in force", ok: true},
		{name: "last microsecond", at: testTime.Add(Term - time.Microsecond), ok: true},
		{name: "expired by time alone", at: testTime.Add(Term)},
		{name: "other tenant", tenant: "other"},
		{name: "pending", change: func(p *Pattern) { p.Status = PendingReview }},
		{name: "one approval", change: func(p *Pattern) { p.Status = Approved }},
		{name: "revoked", change: func(p *Pattern) { p.Status = Revoked }},
		{name: "expired", change: func(p *Pattern) { p.Status = Expired }},
		{name: "shadow", change: func(p *Pattern) { p.Status = Shadow }, ok: true},
	} {
		p := active("p", d)
		if c.change != nil {
			c.change(p)
		}
		if c.at.IsZero() {
			c.at = testTime
		}
		if c.tenant == "" {
			c.tenant = "default"
		}
		got, ok := matcher(t, p).Match(c.tenant, a, e, c.at)
		if ok != c.ok || ok && got.Shadow != (p.Status == Shadow) {
			t.Errorf("%s: %v %+v", c.name, ok, got)
		}
	}
	d.Scope.AssetClass = "Server"
	m := matcher(t, active("p", d))
	if _, ok := m.MatchSubject(&Subject{Tenant: "default", Alert: a, Entities: e, AssetClasses: []string{"laptop", "server"}}, testTime); !ok {
		t.Error("a known class of asset does not match")
	}
}

func TestMatchPrefersActiveThenConfidence(t *testing.T) {
	a, e := scanAlert()
	weak := scan()
	weak.Entities = nil
	for range 4 {
		weak.Entities = append(weak.Entities, EntityCondition{Type: alert.Host, Text: Text{Equals, "db-01"}})
	}
	weak.Entities = append(weak.Entities, EntityCondition{Type: alert.Host, Text: Text{Equals, "absent"}})
	shadow := active("a", scan())
	shadow.Status = Shadow
	got, ok := matcher(t, shadow, active("b", weak), active("d", scan()), active("c", scan())).Match("default", a, e, testTime)
	if !ok || got.PatternID != "c" || got.Confidence != 1 {
		t.Errorf("%v %+v, want c", ok, got)
	}
	if got, _ := matcher(t, shadow, active("b", weak)).Match("default", a, e, testTime); got.PatternID != "b" || got.Shadow {
		t.Errorf("%+v: a weaker active pattern goes before one in shadow", got)
	}
}

func TestReplaceKeepsTheNewerSet(t *testing.T) {
	a, e := scanAlert()
	m := matcher(t)
	if err := m.Replace([]*Pattern{active("p", scan())}, 5); err != nil {
		t.Fatal(err)
	}
	if err := m.Replace(nil, 4); err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Match("default", a, e, testTime); !ok || m.Revision() != 5 {
		t.Error("an older set replaced a newer one")
	}
	bad := active("bad", scan())
	bad.Entities = []EntityCondition{{Type: "spaceship", Text: Text{Equals, "x"}}}
	if err := m.Replace([]*Pattern{bad, active("p", scan())}, 6); err == nil {
		t.Error("a damaged pattern went unnoticed")
	}
	if got, ok := m.Match("default", a, e, testTime); !ok || got.PatternID != "p" || m.Len() != 1 {
		t.Error("a damaged pattern took the others with it")
	}
}

func TestAllowedMisses(t *testing.T) {
	for _, c := range []struct{ n, threshold, want int }{
		{0, 900_000, 0}, {1, 900_000, 0}, {4, 900_000, 0}, {5, 900_000, 1}, {9, 900_000, 1}, {10, 900_000, 2},
		{10, 950_000, 1}, {20, 1_000_000, 0}, {3, 1_000_001, -1},
	} {
		if got := allowedMisses(c.n, c.threshold); got != c.want {
			t.Errorf("%d conditions at %d: %d may fail, want %d", c.n, c.threshold, got, c.want)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"*", "", true}, {"?", "", false}, {"a*c", "abbc", true}, {"a*c", "abbd", false}, {"a?c", "abc", true},
		{"a?c", "aéc", true}, {"*ab*ab*", "abab", true}, {"*ab*ab*", "aba", false}, {"**", "x", true}, {"a*", "ba", false},
		{"a*b*c", "a-b-b-c", true}, {"?*?", "x", false}, {"?*?", "xy", true}, {"*?", "é", true},
	} {
		if got := globMatch(c.pattern, []byte(c.text)); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.text, got)
		}
	}
}
