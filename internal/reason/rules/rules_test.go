package rules

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/reason/weight"
)

const folder = `
title: Shell from office
id: 11111111-1111-4111-8111-111111111111
logsource: {product: windows, category: process_creation}
detection:
  sel: {Image|endswith: '\cmd.exe', ParentImage|endswith: '\winword.exe'}
  condition: sel
level: high
tags: [attack.t1059.003]
aluskort: {kind: execution.office, statement: "{ParentImage} started {Image}"}
---
title: Known administrator
id: 22222222-2222-4222-8222-222222222222
logsource: {product: windows, category: process_creation}
detection:
  sel: {Image|endswith: '\cmd.exe', User|contains: '\'}
  condition: sel
aluskort: {stance: benign, weight: 4, kind: admin.known, expected: true, voids: ['credential.*'], requires_org: admin_account(User) and admin_host(Computer)}
---
title: Many refusals
id: 33333333-3333-4333-8333-333333333333
logsource: {product: okta}
detection: {sel: {outcome: refused}, condition: sel}
level: high
aluskort: {kind: identity.mfa, count: {key: [User], window: 10m, at_least: 5, distinct: Id}}
---
title: Broken
id: 44444444-4444-4444-8444-444444444444
logsource: {product: windows}
detection: {sel: {A|nosuch: x}, condition: sel}
---
title: Badly asked
id: 55555555-5555-4555-8555-555555555555
logsource: {product: windows}
detection: {sel: {A: x}, condition: sel}
aluskort: {stance: benign, requires_org: "admin_account User"}
`

func source(t *testing.T, org Org) *Source {
	t.Helper()
	list, problems, err := Load(fstest.MapFS{"r.yml": {Data: []byte(folder)}})
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Rules: list, Org: org, Problems: problems})
}

// facts is an organisation that knows exactly these.
type facts map[string]bool

func (f facts) Holds(predicate, value string, _ *alert.Alert) bool { return f[predicate+"="+value] }

func fields(pairs ...string) alert.Fields {
	var out alert.Fields
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, alert.Field{Path: pairs[i], Pointer: "/" + pairs[i], Value: pairs[i+1]})
	}
	return out
}

func gather(t *testing.T, s *Source, f alert.Fields) evidence.Finding {
	t.Helper()
	a := &alert.Alert{Source: "x", Fields: f}
	out, err := s.Gather(context.Background(), []evidence.Subject{{Alert: a}})
	if err != nil || len(out) != 1 {
		t.Fatal(out, err)
	}
	return out[0]
}

var shell = fields("Image", `C:\Windows\System32\cmd.exe`, "ParentImage", `C:\Office\WINWORD.EXE`, "User", `EXAMPLE\ada`, "Computer", "ws-7")

func ids(items []evidence.Evidence) string {
	var out []string
	for _, e := range items {
		out = append(out, e.ID[5:9])
	}
	return strings.Join(out, " ")
}

func TestProblemsAreNamed(t *testing.T) {
	s := source(t, nil)
	var got []string
	for _, p := range s.Problems() {
		got = append(got, p.Rule)
		if p.Reason == "" || !strings.Contains(p.Place, "r.yml") {
			t.Errorf("%+v", p)
		}
	}
	if d := cmp.Diff([]string{"Broken", "Badly asked"}, got); d != "" || s.Len() != 3 {
		t.Errorf("%d rules in use; %s", s.Len(), d)
	}
}

func TestAMatchIsEvidence(t *testing.T) {
	got := gather(t, source(t, nil), shell)
	if ids(got.Items) != "1111" {
		t.Fatalf("got %s", ids(got.Items))
	}
	e := got.Items[0]
	want := evidence.Evidence{
		ID: "rule:11111111-1111-4111-8111-111111111111", Kind: "execution.office", Stance: evidence.For, Weight: 3,
		Statement: `C:\Office\WINWORD.EXE started C:\Windows\System32\cmd.exe`, Source: "Shell from office",
		Refs: []string{"/Image", "/ParentImage"}, Group: "/Image", Trust: evidence.TrustAttacker, Techniques: []string{"T1059.003"},
	}
	if d := cmp.Diff(want, e); d != "" {
		t.Error(d)
	}
}

func TestBenignRulesAskTheOrganisation(t *testing.T) {
	all := facts{`admin_account=EXAMPLE\ada`: true, "admin_host=ws-7": true}
	half := facts{`admin_account=EXAMPLE\ada`: true}
	for name, tt := range map[string]struct {
		org  Org
		want string
	}{"no context": {nil, "1111"}, "half": {half, "1111"}, "known": {all, "1111 2222"}} {
		got := gather(t, source(t, tt.org), shell)
		if ids(got.Items) != tt.want {
			t.Errorf("%s: %s", name, ids(got.Items))
		}
		for _, e := range got.Items {
			if e.Kind == "admin.known" && (e.Weight != -4 || !e.Expected || e.Stance != evidence.Against || e.Voids[0] != "credential.*") {
				t.Errorf("%+v", e)
			}
		}
	}
}

func TestCountedRulesGiveTallies(t *testing.T) {
	s := source(t, nil)
	got := gather(t, s, fields("outcome", "refused", "User", "Ada", "Id", "7"))
	if len(got.Items) != 0 || len(got.Tallies) != 1 {
		t.Fatalf("%+v", got)
	}
	y := got.Tallies[0]
	if y.Key != "ada" || y.Value != "7" || y.AtLeast != 5 || y.WindowSeconds != 600 || !y.Distinct || y.Item.Weight != 3 {
		t.Errorf("%+v", y)
	}
	if got := gather(t, s, fields("outcome", "refused", "Id", "7")); len(got.Tallies) != 0 {
		t.Error("without its key an alert repeats nothing")
	}
}

func TestWithoutRulesTheSourceIsBlind(t *testing.T) {
	if got := gather(t, New(Config{}), shell); got.Blind == "" {
		t.Error("no rules must be a blind note, not silence")
	}
}

// A rule over a family of behaviours gives way, in the techniques and in nothing else, to the rule
// that says which of them it was.
func TestExactRulesNameTheTechnique(t *testing.T) {
	const folder = `
title: A family
id: 66666666-6666-4666-8666-666666666666
logsource: {product: windows, category: process_creation}
detection: {sel: {Image|endswith: ['\whoami.exe', '\hostname.exe']}, condition: sel}
tags: [attack.t1033, attack.t1082]
aluskort: {stance: malicious, weight: 1.5, kind: discovery.command}
---
title: Who am I
id: 77777777-7777-4777-8777-777777777777
logsource: {product: windows, category: process_creation}
detection: {sel: {Image|endswith: '\whoami.exe'}, condition: sel}
tags: [attack.t1033]
aluskort: {stance: malicious, weight: 1, kind: discovery.command, refines: [discovery.command]}
---
title: Another observation
id: 88888888-8888-4888-8888-888888888888
logsource: {product: windows, category: process_creation}
detection: {sel: {Image|contains: 'public'}, condition: sel}
tags: [attack.t1036.005]
aluskort: {stance: malicious, weight: 3, kind: execution.staging}
`
	list, problems, err := Load(fstest.MapFS{"r.yml": {Data: []byte(folder)}})
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	s := New(Config{Rules: list})
	for image, want := range map[string]string{
		`C:\Users\Public\whoami.exe`: "Another observation T1036.005, A family, Who am I T1033",
		`C:\Windows\hostname.exe`:    "A family T1033 T1082",
	} {
		f, err := s.Gather(t.Context(), []evidence.Subject{{Alert: &alert.Alert{Fields: alert.Fields{{Path: "Image", Value: image}}}}})
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]string{}
		sum := 0.0
		for _, it := range f[0].Items {
			named[it.Source] = strings.Join(append([]string{it.Source}, it.Techniques...), " ")
			sum += it.Weight
		}
		for part := range strings.SplitSeq(want, ", ") {
			found := false
			for _, n := range named {
				found = found || n == part
			}
			if !found {
				t.Errorf("%s: want %q among %q", image, part, named)
			}
		}
		if n := strings.Count(want, ", ") + 1; len(named) != n || sum < 1.5*float64(n)-1 {
			t.Errorf("%s: %d items of %g bits, want %d with their weights", image, len(named), sum, n)
		}
	}
}

// A fitted weight replaces the stated one and says so. A benign match that counts little, since
// it rests on what an attacker can write, stays as it is.
func TestFittedWeights(t *testing.T) {
	const calm = `
title: Calm
id: 66666666-6666-4666-8666-666666666666
logsource: {product: windows, category: process_creation}
detection: {sel: {Image|endswith: '\cmd.exe'}, condition: sel}
aluskort: {stance: benign, weight: 3, kind: benign.calm, trusted_fields: [ParentImage]}
`
	list, _, err := Load(fstest.MapFS{"r.yml": {Data: []byte(folder + "---" + calm)}})
	if err != nil {
		t.Fatal(err)
	}
	fitted := func(rule string, shipped, to float64) weight.Fitted {
		return weight.Fitted{Rule: rule, Shipped: shipped, Weight: to, N: 40, Low: min(to, shipped) - 1, High: max(to, shipped) + 1}
	}
	const office, known, quiet = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222", "66666666-6666-4666-8666-666666666666"
	table, err := weight.NewTable(weight.Table{Weights: []weight.Fitted{fitted(office, 3, 2.25), fitted(known, -3, -2), fitted(quiet, -3, -4), fitted("gone", 3, 2)}})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Rules: list, Org: facts{`admin_account=EXAMPLE\ada`: true, "admin_host=ws-7": true}, Weights: table})
	for _, e := range gather(t, s, shell).Items {
		want, says := map[string]float64{office: 2.25, known: -4, quiet: -1}[e.ID[5:]], e.ID[5:] == office
		if e.Weight != want || (e.WeightFrom != "") != says || says && !strings.Contains(e.WeightFrom, "fitted, n 40, +1.25 to +4.00") {
			t.Errorf("%s weighs %v (%q), want %v", e.Source, e.Weight, e.WeightFrom, want)
		}
	}
	stale, gone := 0, 0
	for _, p := range s.Problems() {
		if strings.Contains(p.Reason, "another stated weight") {
			stale++
		}
		if strings.Contains(p.Reason, "no such rule") {
			gone++
		}
	}
	if stale != 1 || gone != 1 {
		t.Errorf("the table fits another weight of one rule, %d named, and a rule that is not there, %d named: %+v", stale, gone, s.Problems())
	}
}

// namedFacts is an organisation that can name what it says.
type namedFacts struct{ facts }

func (f namedFacts) Cite(predicate, value string, _ *alert.Alert) string {
	return predicate + ": " + value
}

func TestBenignItemsCiteTheOrganisation(t *testing.T) {
	known := facts{`admin_account=EXAMPLE\ada`: true, "admin_host=ws-7": true}
	want := map[bool][]string{true: {`admin_account: EXAMPLE\ada`, "admin_host: ws-7"}, false: nil}
	for named, org := range map[bool]Org{true: namedFacts{known}, false: known} {
		for _, e := range gather(t, source(t, org), shell).Items {
			if e.Kind == "admin.known" {
				if d := cmp.Diff(want[named], e.Cites); d != "" {
					t.Errorf("named %v: %s", named, d)
				}
			} else if len(e.Cites) > 0 {
				t.Errorf("%s cites %v", e.Source, e.Cites)
			}
		}
	}
}
