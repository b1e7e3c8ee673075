package sigma

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const fullRule = `title: Service installed from a share
id: 4d1c1f5e-2f0a-4c56-9d0f-0d6e6c9a1b11
name: service_from_share
status: test
description: A service whose binary lies on an administrative share.
references: [https://example.com/a]
author: [A. Example, B. Example]
date: 2026-01-02
tags: [attack.lateral-movement, attack.t1021.002, attack.T1543, atlas.aml.t0051, car.2013-05-005]
logsource: {product: Windows, service: system, definition: needs service auditing}
detection:
  sel: {EventID: 7045, ServiceFileName|contains: 'ADMIN$'}
  condition: sel
fields: [ServiceName]
falsepositives: [Remote support tools]
level: high
related:
  - {id: 08fbc97d-0a2f-491c-ae21-8ffcfd3174e9, type: similar}
custom: {owner: soc, depth: [1, 2.5, true, null]}
aluskort:
  stance: malicious
  weight: 2.5
  kind: service_share
  group: service
  requires_org: not admin_host
  trusted_fields: [ServiceFileName]
  count: {key: [Computer], window: 10m, at_least: 3, distinct: ServiceName}
  statement: "service {ServiceName} runs {ServiceFileName} on {Computer}"
  tests:
    match:
      - event: {EventID: 7045, ServiceName: x, ServiceFileName: '\\127.0.0.1\ADMIN$\x.exe'}
    no_match:
      - event: {EventID: 7045, ServiceName: x, ServiceFileName: 'C:\Windows\x.exe'}
        why: installed locally
`

func TestLoadReadsEveryKey(t *testing.T) {
	r := mustLoad(t, fullRule)[0]
	got := []any{
		r.Title, r.ID, r.Name, r.Status, r.Author, r.Date, r.Level, r.Logsource, r.Techniques, r.Tactics,
		r.Fields, r.FalsePositives, r.Related, r.Extra,
		r.Stance, r.Weight, r.Kind, r.Group, r.RequiresOrg, r.TrustedFields, r.Count, r.File, r.Line,
	}
	want := []any{
		"Service installed from a share", "4d1c1f5e-2f0a-4c56-9d0f-0d6e6c9a1b11", "service_from_share", "test",
		"A. Example, B. Example", "2026-01-02", "high",
		Logsource{Product: "windows", Service: "system", Definition: "needs service auditing"},
		[]string{"T1021.002", "T1543", "AML.T0051"}, []string{"lateral-movement"},
		[]string{"ServiceName"}, []string{"Remote support tools"},
		[]Related{{"08fbc97d-0a2f-491c-ae21-8ffcfd3174e9", "similar"}},
		map[string]any{"custom": map[string]any{"owner": "soc", "depth": []any{int64(1), 2.5, true, nil}}},
		Malicious, 2.5, "service_share", "service", "not admin_host", []string{"ServiceFileName"},
		&Count{Key: []string{"Computer"}, Window: 10 * time.Minute, AtLeast: 3, Distinct: "ServiceName"}, "test.yml", 1,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if f := RunTests(r); len(f) > 0 {
		t.Error(f)
	}
}

func TestWeightByLevel(t *testing.T) {
	for level, want := range map[string]float64{"informational": 0.5, "low": 1, "medium": 1.5, "high": 3, "critical": 5, "": 1} {
		r := mustLoad(t, ruleText("sel: {A: 1}")+"level: "+level+"\n")[0]
		if r.Weight != want || r.Stance != Malicious {
			t.Errorf("level %q: weight %g, stance %s", level, r.Weight, r.Stance)
		}
	}
	r := mustLoad(t, ruleText("sel: {A: 1}")+"level: high\naluskort: {weight: 0}\n")[0]
	if r.Weight != 0 {
		t.Errorf("a stated weight of 0 became %g", r.Weight)
	}
}

func TestLoadNamesWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		kind       error
		line       int
		contains   string
	}{
		{"not YAML", "title: [", ErrInvalid, 0, "not valid YAML"},
		{"a list", "- title: x", ErrInvalid, 1, "not a map"},
		{"no title", "logsource: {product: linux}\ndetection: {a: {b: 1}, condition: a}", ErrInvalid, 1, "no title"},
		{"no logsource", "title: x\ndetection: {a: {b: 1}, condition: a}", ErrInvalid, 1, "no logsource"},
		{"empty logsource", "title: x\nlogsource: {definition: y}\ndetection: {a: {b: 1}, condition: a}", ErrInvalid, 2, "logsource is empty"},
		{"no detection", "title: x\nlogsource: {product: linux}", ErrInvalid, 1, "no detection"},
		{"bad level", ruleText("sel: {A: 1}") + "level: hgih\n", ErrInvalid, 6, `level "hgih"`},
		{"bad status", ruleText("sel: {A: 1}") + "status: new\n", ErrInvalid, 6, `status "new"`},
		{"deprecated", ruleText("sel: {A: 1}") + "status: deprecated\n", ErrRetired, 6, "deprecated"},
		{"unsupported", ruleText("sel: {A: 1}") + "status: unsupported\n", ErrUnsupported, 6, "unsupported"},
		{"twice", ruleText("sel: {A: 1, A: 2}"), ErrInvalid, 4, `key "A" twice`},
		{"no condition", "title: x\nlogsource: {product: linux}\ndetection: {a: {b: 1}}", ErrInvalid, 3, "no condition"},
		{"unknown selection", ruleText("sel: {A: 1}\ncondition: sel and flter"), ErrInvalid, 5, `"flter"`},
		{"no selection fits", ruleText("sel: {A: 1}\ncondition: 1 of f*"), ErrInvalid, 5, `"f*"`},
		{"too many of", ruleText("sel: {A: 1}\ncondition: 2 of sel*"), ErrInvalid, 5, "2 of 1"},
		{"bad quantity", ruleText("sel: {A: 1}\ncondition: some of sel*"), ErrInvalid, 5, `"some"`},
		{"zero of", ruleText("sel: {A: 1}\ncondition: 0 of sel*"), ErrInvalid, 5, `"0"`},
		{"open", ruleText("sel: {A: 1}\ncondition: (sel"), ErrInvalid, 5, "never closed"},
		{"closed", ruleText("sel: {A: 1}\ncondition: sel)"), ErrInvalid, 5, "goes on"},
		{"no operator", ruleText("sel: {A: 1}\ncondition: sel sel"), ErrInvalid, 5, "goes on"},
		{"ends", ruleText("sel: {A: 1}\ncondition: sel and"), ErrInvalid, 5, "ends"},
		{"operator first", ruleText("sel: {A: 1}\ncondition: and sel"), ErrInvalid, 5, `"and"`},
		{"of nothing", ruleText("sel: {A: 1}\ncondition: 1 of"), ErrInvalid, 5, "lacks"},
		{"empty condition", ruleText("sel: {A: 1}\ncondition: ''"), ErrInvalid, 5, "empty"},
		{"aggregation", ruleText("sel: {A: 1}\ncondition: sel | count() by B > 5"), ErrUnsupported, 5, "pipe"},
		{"timeframe", ruleText("sel: {A: 1}\ntimeframe: 5m\ncondition: sel"), ErrUnsupported, 5, "timeframe"},
		{"unknown modifier", ruleText("sel: {A|almost: 1}"), ErrUnsupported, 4, `"almost"`},
		{"empty modifier", ruleText("sel: {A|: 1}"), ErrUnsupported, 4, `modifier ""`},
		{"look-ahead", ruleText("sel: {A|re: '(?=x)y'}"), ErrUnsupported, 4, "RE2"},
		{"back-reference", ruleText(`sel: {A|re: '(x)\1'}`), ErrUnsupported, 4, "RE2"},
		{"flag alone", ruleText("sel: {A|i: x}"), ErrInvalid, 4, "without re"},
		{"two kinds", ruleText("sel: {A|re|cidr: x}"), ErrInvalid, 4, "exclude"},
		{"contains and re", ruleText("sel: {A|re|contains: x}"), ErrUnsupported, 4, "combined"},
		{"base64 of wildcard", ruleText("sel: {A|base64: 'x*'}"), ErrInvalid, 4, "wildcards"},
		{"contains before base64", ruleText("sel: {A|contains|base64: 'x'}"), ErrInvalid, 4, "wildcards"},
		{"bad network", ruleText("sel: {A|cidr: 192.0.2.0/40}"), ErrInvalid, 4, "network"},
		{"bad number", ruleText("sel: {A|gt: many}"), ErrInvalid, 4, "number"},
		{"bad boolean", ruleText("sel: {A|exists: perhaps}"), ErrInvalid, 4, "true or false"},
		{"null keyword", ruleText("sel: [null]"), ErrInvalid, 4, "empty value"},
		{"null contains", ruleText("sel: {A|contains: null}"), ErrInvalid, 4, "empty value"},
		{"empty keyword", ruleText("sel: ['']"), ErrInvalid, 4, "keyword is empty"},
		{"number keyword", ruleText("sel: {'|gt': 1}"), ErrUnsupported, 4, `"gt"`},
		{"empty list", ruleText("sel: {A: []}"), ErrInvalid, 4, "empty list"},
		{"empty map", ruleText("sel: {}"), ErrInvalid, 4, "empty map"},
		{"empty selection", ruleText("sel:\ncondition: sel"), ErrInvalid, 4, "empty"},
		{"nested map", ruleText("sel: {A: {B: 1}}"), ErrInvalid, 4, "map as the value"},
		{"nested list", ruleText("sel: [[a]]"), ErrInvalid, 4, "list inside"},
		{"correlation", "title: x\ncorrelation: {type: event_count}", ErrUnsupported, 2, "correlation"},
		{"filter", "title: x\nfilter: {rules: any}\nlogsource: {product: x}", ErrUnsupported, 2, "filter"},
		{"collection", "action: global\ntitle: x", ErrUnsupported, 1, "action"},
		{"taxonomy", ruleText("sel: {A: 1}") + "taxonomy: ecs\n", ErrUnsupported, 6, "ecs"},
		{"merge key", "x: &x {A: 1}\n" + ruleText("sel: {<<: *x, B: 1}"), ErrUnsupported, 5, "merge"},
		{"unknown aluskort key", ruleText("sel: {A: 1}") + "aluskort: {wieght: 2}\n", ErrInvalid, 6, `"wieght"`},
		{"weight", ruleText("sel: {A: 1}") + "aluskort: {weight: -1}\n", ErrInvalid, 6, "out of range"},
		{"weight word", ruleText("sel: {A: 1}") + "aluskort: {weight: .nan}\n", ErrInvalid, 6, "out of range"},
		{"stance", ruleText("sel: {A: 1}") + "aluskort: {stance: good}\n", ErrInvalid, 6, "stance"},
		{"voids", ruleText("sel: {A: 1}") + "aluskort: {voids: [x]}\n", ErrInvalid, 6, "voids"},
		{"refines", ruleText("sel: {A: 1}") + "aluskort: {stance: benign, refines: [x]}\n", ErrInvalid, 6, "refines"},
		{"count", ruleText("sel: {A: 1}") + "aluskort: {count: {at_least: 5}}\n", ErrInvalid, 6, "window"},
		{"window", ruleText("sel: {A: 1}") + "aluskort: {count: {at_least: 5, window: soon}}\n", ErrInvalid, 6, "duration"},
		{"statement", ruleText("sel: {A: 1}") + "aluskort: {statement: 'a {b'}\n", ErrInvalid, 6, "brace"},
		{"test key", ruleText("sel: {A: 1}") + "aluskort: {tests: {matches: []}}\n", ErrInvalid, 6, `"matches"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rules, problems := Load("a.yml", []byte(tc.text))
			if len(rules) != 0 || len(problems) != 1 {
				t.Fatalf("%d rules, problems %v", len(rules), problems)
			}
			p := problems[0]
			if !errors.Is(p, tc.kind) || tc.line != 0 && p.Line != tc.line || !strings.Contains(p.Reason, tc.contains) {
				t.Errorf("kind %v, %v", p.Kind, p)
			}
			if !strings.HasPrefix(p.Error(), "a.yml") || p.Fix == "" && tc.name != "unsupported" {
				t.Errorf("the message lacks place or fix: %v", p)
			}
		})
	}
}

func TestLoadSeveralDocuments(t *testing.T) {
	text := ruleText("sel: {A: 1}") + "---\n" + ruleText("sel: {A|odd: 1}") + "---\n# nothing\n---\n" + ruleText("sel: {A: 3}")
	rules, problems := Load("m.yml", []byte("\xef\xbb\xbf"+text))
	if len(rules) != 2 || len(problems) != 1 {
		t.Fatalf("%d rules, %v", len(rules), problems)
	}
	if rules[0].ID == rules[1].ID || !strings.HasPrefix(rules[0].ID, "sha256:") {
		t.Errorf("ids %s and %s", rules[0].ID, rules[1].ID)
	}
	if problems[0].Line != 10 {
		t.Errorf("line %d", problems[0].Line)
	}
}

func TestLoadDir(t *testing.T) {
	withID := func(title, id string) *fstest.MapFile {
		text := strings.Replace(ruleText("sel: {A: 1}"), "Test rule", title, 1) + "id: " + id + "\n"
		return &fstest.MapFile{Data: []byte(text)}
	}
	rules, rep, err := LoadDir(fstest.MapFS{
		"b/two.yml":       withID("Two", "id-2"),
		"a/one.yaml":      withID("One", "id-1"),
		"a/again.yml":     withID("Again", "id-2"),
		"a/readme.md":     {Data: []byte("no rule")},
		".git/hidden.yml": withID("Hidden", "id-9"),
		"c/broken.yml":    {Data: []byte("title: [")},
	})
	if err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, r := range rules {
		titles = append(titles, r.Title)
	}
	if d := cmp.Diff([]string{"Again", "One"}, titles); d != "" {
		t.Error(d)
	}
	if rep.Files != 4 || rep.Rules != 2 || len(rep.Problems) != 2 {
		t.Fatalf("report %+v", rep)
	}
	if p := rep.Problems[0]; !errors.Is(p, ErrDuplicate) || p.File != "b/two.yml" || !strings.Contains(p.Reason, "a/again.yml") {
		t.Errorf("duplicate: %v", p)
	}
	if p := rep.Problems[1]; !errors.Is(p, ErrInvalid) || p.File != "c/broken.yml" {
		t.Errorf("broken: %v", p)
	}
}

func TestRunTestsReportsBothKinds(t *testing.T) {
	r := mustLoad(t, ruleText("sel: {A: 1}")+`aluskort:
  tests:
    match:
      - event: {A: 1}
      - event: {A: 2}
    no_match:
      - event: {A: [3, 1]}
      - event: {A: null}
`)[0]
	got := RunTests(r)
	if len(got) != 2 || !got[0].Want || got[1].Want || got[0].Line != 10 {
		t.Fatalf("failures %v", got)
	}
	if !strings.Contains(got[0].Error(), "test.yml:10") {
		t.Error(got[0].Error())
	}
}

func TestHostileDocuments(t *testing.T) {
	bomb := "title: x\nlogsource: {product: a}\na: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'j'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 10), ","))
	}
	bomb += "detection: {s: *j, condition: s}\n"
	many := "title: x\nlogsource: {product: a}\ndetection:\n"
	for i := range 10_000 {
		many += fmt.Sprintf("  s%d: {F: v%d}\n", i, i)
	}
	for _, tc := range []struct {
		name, text string
		usable     bool
	}{
		{"alias bomb", bomb, false},
		{"cyclic alias", "title: x\nlogsource: {product: a}\nextra: &e [*e]\ndetection: {s: {a: 1}, condition: s}", false},
		{"deep lists", "title: x\nextra: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), false},
		{"deeper lists", "title: " + strings.Repeat("[", 200_000), false},
		{"deep parentheses", ruleText("sel: {A: 1}\ncondition: " + strings.Repeat("(", 5000) + "sel" + strings.Repeat(")", 5000)), false},
		{"many nots", ruleText("sel: {A: 1}\ncondition: " + strings.Repeat("not ", 50_000) + "sel"), true},
		{"10,000 selections", many + "  condition: 1 of s*\n", true},
		{"10,000 selections, often", many + "  condition: " + strings.Repeat("1 of s* or ", 1000) + "1 of s*\n", false},
		{"too large", strings.Repeat("#", maxFileBytes+1), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rules, problems := Load("h.yml", []byte(tc.text))
			if (len(rules) == 1) != tc.usable || (len(problems) == 1) == tc.usable {
				t.Fatalf("%d rules, problems %v", len(rules), problems)
			}
			if tc.usable {
				s := Compile(rules, Options{})
				matched(t, s, event(t, `{"F":"v9999","A":1}`))
			}
		})
	}
}
