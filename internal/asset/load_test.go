package asset

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestLoadNamesLineAndFix(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		line int
		says string
	}{
		"unknown key":              {"hosts: []\nscaners: [192.0.2.1]\n", 2, `unknown key "scaners"`},
		"unknown key inside":       {"hosts:\n  - name: a\n    critical: yes\n", 3, "known are name, aliases"},
		"key twice":                {"scanners: []\nscanners: []\n", 2, "first on line 1"},
		"list for a mapping":       {"- a\n", 1, "this is a list"},
		"word for a list":          {"hosts: ws-07\n", 1, "want a list"},
		"mapping for a word":       {"scanners:\n  - {a: b}\n", 2, "want a word"},
		"anchors":                  {"scanners: &x [192.0.2.1]\nbackup_servers: *x\n", 2, "write the value out"},
		"merge key":                {"hosts:\n  - &x {name: a}\n  - {<<: *x}\n", 3, `unknown key "<<"`},
		"two documents":            {"hosts: []\n---\nhosts: []\n", 2, "second document"},
		"not YAML":                 {"hosts: []\n\tscanners: []\n", 2, "not valid YAML"},
		"empty word":               {"scanners:\n  - 192.0.2.1\n  -\n", 3, "is empty"},
		"host without name":        {"hosts:\n  - {aliases: [a]}\n", 2, "add name"},
		"host is an address":       {"hosts:\n  - {name: 192.0.2.1}\n", 2, "list it under addresses"},
		"host is loopback":         {"scanners: [localhost]\n", 1, "leave it out"},
		"host with wildcard":       {"scanners:\n- ws-*\n", 2, "wildcards are not supported"},
		"one name, two hosts":      {"hosts:\n  - {name: a.example.com}\n  - {name: b.example.com, aliases: [A.example.com]}\n", 3, "of line 2"},
		"one agent, two hosts":     {"hosts:\n  - {name: a, agents: [001]}\n  - {name: b, agents: ['001']}\n", 3, "of line 2"},
		"ambiguous short name":     {"hosts:\n  - {name: a.example.com}\n  - {name: a.example.org}\nscanners: [a]\n", 4, "several hosts"},
		"bare beside full":         {"hosts:\n  - {name: a.example.com}\n  - {name: a}\n", 3, "may be the same"},
		"one address, two hosts":   {"hosts:\n  - {name: a, addresses: [192.0.2.1]}\n  - {name: b, addresses: [192.0.2.1]}\n", 3, "belongs to a at the same time (line 2)"},
		"leases overlap":           {"hosts:\n  - {name: a, addresses: [{address: 192.0.2.1, to: 2026-01-02}]}\n  - {name: b, addresses: [{address: 192.0.2.1, from: 2026-01-01}]}\n", 3, "do not overlap"},
		"lease backwards":          {"hosts:\n  - {name: a, addresses: [{address: 192.0.2.1, from: 2026-01-02, to: 2026-01-01}]}\n", 2, "ends before it begins"},
		"loopback address":         {"hosts:\n  - {name: a, addresses: [127.0.0.1]}\n", 2, "not the address of one host"},
		"criticality":              {"hosts:\n  - {name: a, criticality: very}\n", 2, "use crown_jewel, normal or test"},
		"zone unknown":             {"zones: [{name: x}]\nhosts:\n  - {name: a, zone: y}\n", 3, "not listed under zones"},
		"consequence":              {"zones:\n  - {name: x, consequence: bad}\n", 2, "use safety_life"},
		"root":                     {"administrators:\n  - accounts: [root]\n", 2, "exists on every host"},
		"system":                   {"accounts:\n  - name: NT AUTHORITY\\SYSTEM\n", 2, "exists on every host"},
		"account, two entries":     {"administrators:\n  - {accounts: [a]}\n  - {accounts: [A]}\n", 3, "stands in two entries"},
		"accounts maybe one":       {"administrators:\n  - {accounts: [a]}\n  - {accounts: ['EXAMPLE\\a']}\n", 2, "write the full name everywhere"},
		"entry without accounts":   {"administrators:\n  - {hosts: [a]}\n", 2, "add accounts"},
		"SID twice":                {"accounts:\n  - {name: a, aliases: [S-1-5-21-1-2-3-4]}\n  - {name: b, aliases: [s-1-5-21-1-2-3-4]}\n", 3, "of line 2"},
		"tool of users":            {"administrators:\n  - accounts: [a]\n    tools: ['C:\\Users\\a\\x.exe']\n", 3, "every user can write"},
		"tool of temp":             {"administrators:\n  - accounts: [a]\n    tools: [/tmp/x]\n", 3, "every user can write"},
		"tool is every program":    {"administrators:\n  - accounts: [a]\n    tools: ['C:\\Tools\\*']\n", 3, "name the programs"},
		"tool in any folder":       {"administrators:\n  - accounts: [a]\n    tools: ['C:\\*\\x.exe']\n", 3, "first folder without wildcards"},
		"tool with variable":       {"administrators:\n  - accounts: [a]\n    tools: ['C:\\%X%\\x.exe']\n", 3, "not a whole path"},
		"tool with stars":          {"administrators:\n  - accounts: [a]\n    tools: ['*.exe']\n", 3, "write the whole path"},
		"relative tool":            {"administrators:\n  - accounts: [a]\n    tools: ['..\\x.exe']\n", 3, "not a whole path"},
		"admin directory of users": {"admin_directories: ['C:\\Users\\Public']\n", 1, "users can write"},
		"admin directory above":    {"admin_directories: ['C:\\Windows']\n", 1, "users can write"},
		"everything a scanner":     {"scanners:\n  - 0.0.0.0/0\n", 2, "too wide"},
		"every IPv6 a scanner":     {"scanners: ['::/0']\n", 1, "too wide"},
		"network with host bits":   {"scanners: [192.0.2.1/24]\n", 1, "write 192.0.2.0/24"},
		"network misspelt":         {"scanners: [192.0.2.0/33]\n", 1, "not a network"},
		"window without end":       {"maintenance_windows:\n  - {what: x, everything: true, from: 2026-01-01}\n", 2, "has no to"},
		"window backwards":         {"maintenance_windows:\n  - {everything: true, from: 2026-01-02, to: 2026-01-01}\n", 2, "ends before"},
		"window of nothing":        {"maintenance_windows:\n  - {from: 2026-01-01, to: 2026-01-02}\n", 2, "name hosts"},
		"window of both":           {"maintenance_windows:\n  - {everything: true, hosts: [a], from: 2026-01-01, to: 2026-01-02}\n", 2, "one of the two"},
		"weekly day":               {"maintenance_windows:\n  - everything: true\n    weekly: {days: [someday], start: '1:00', end: '2:00'}\n", 3, "is not a day"},
		"weekly time":              {"maintenance_windows:\n  - everything: true\n    weekly: {days: [mon], start: '25:00', end: '2:00'}\n", 3, "is not a time of day"},
		"weekly empty":             {"maintenance_windows:\n  - everything: true\n    weekly: {days: [mon], start: '2:00', end: '2:00'}\n", 3, "no time between"},
		"time":                     {"exercises:\n  - {hosts: [a], from: yesterday, to: 2026-01-01}\n", 2, "is not a time"},
		"exercise of nothing":      {"exercises:\n  - {from: 2026-01-01, to: 2026-01-02}\n", 2, "names nothing"},
		"exercise without time":    {"exercises:\n  - {hosts: [a]}\n", 2, "has no from"},
		"own sender domain":        {"domains: [{dns: [example.com]}]\nexercises:\n  - {sender_domains: [example.com], from: 2026-01-01, to: 2026-01-02}\n", 3, "your own domain"},
		"domain twice":             {"domains:\n  - {netbios: A, dns: [a.example]}\n  - {dns: [A.example]}\n", 3, "listed twice"},
		"tenants and sections":     {"scanners: [192.0.2.1]\ntenants:\n  one: {}\n", 1, "move the sections"},
		"tenant twice":             {"tenants:\n  one: {}\n  one: {}\n", 3, "join the two"},
		"tenants is a list":        {"tenants: [one]\n", 1, "want tenant names"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := Load(strings.NewReader(c.text), "org.yaml")
			var bad *LoadError
			if !errors.As(err, &bad) {
				t.Fatalf("accepted: %+v, %v", o, err)
			}
			for _, p := range bad.Problems {
				if p.Line == c.line && strings.Contains(p.Text, c.says) {
					if want := fmt.Sprintf("org.yaml:%d: ", c.line); !strings.Contains(err.Error(), want) {
						t.Errorf("%q lacks %q", err, want)
					}
					return
				}
			}
			t.Errorf("want line %d, %q; got %v", c.line, c.says, err)
		})
	}
}

func TestLoadReportsEverythingAtOnce(t *testing.T) {
	_, err := Load(strings.NewReader("scaners: []\nscanners: [0.0.0.0/0]\nhosts:\n  - {}\n"), "org.yaml")
	var bad *LoadError
	if !errors.As(err, &bad) || len(bad.Problems) != 3 || bad.Problems[0].Line != 1 || bad.Problems[2].Line != 4 {
		t.Errorf("got %v", err)
	}
}

func TestLoadWarns(t *testing.T) {
	o := load(t, "scanners: [scn-01]\nadministrators: [{accounts: [grace]}]\nexercises:\n  - {hosts: [a.example.com], from: 2026-01-01, to: 2026-12-31}\n")
	var lines []int
	for _, w := range o.Warnings() {
		lines = append(lines, w.Line)
	}
	if fmt.Sprint(lines) != "[1 2 3]" && fmt.Sprint(lines) != "[1 2 4]" {
		t.Errorf("warnings: %v", o.Warnings())
	}
	if w := example(t).Warnings(); len(w) > 0 {
		t.Errorf("the example has warnings: %v", w)
	}
}

func TestLoadHostile(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ","))
	}
	for name, text := range map[string]string{
		"alias bomb":   bomb,
		"self alias":   "hosts: &a [*a]\n",
		"huge":         "scanners: [" + strings.Repeat("192.0.2.1,", MaxFile/10) + "]\n",
		"deep":         "hosts: " + strings.Repeat("[", 200_000),
		"deep mapping": "hosts: " + strings.Repeat("{a: ", 50_000),
		"binary":       "\x00\xff\xfe",
		"long word":    "scanners: [" + strings.Repeat("x", 1<<20) + "]\n",
		"many keys":    strings.Repeat("x: 1\n", 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(strings.NewReader(text), "org.yaml")
			var bad *LoadError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v", err)
			}
			if len(err.Error()) > 8192 || len(bad.Problems) > maxProblems {
				t.Errorf("%d problems, %d bytes of message", len(bad.Problems), len(err.Error()))
			}
		})
	}
}

func TestLoadPassesOnReadErrors(t *testing.T) {
	if _, err := Load(iotest.ErrReader(io.ErrClosedPipe), "org.yaml"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

// The examples of the documentation must load.
func TestDocumentation(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "org.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, part := range strings.Split(string(b), "```yaml\n") {
		if text, _, ok := strings.Cut(part, "```"); ok && i > 0 {
			n++
			if _, err := Load(strings.NewReader(text), fmt.Sprintf("block %d", i)); err != nil {
				t.Error(err)
			}
		}
	}
	if n < 3 {
		t.Errorf("%d examples found", n)
	}
}

func TestCounts(t *testing.T) {
	c := example(t).Counts("default")
	if c.Hosts != 8 || c.CrownJewels != 3 || c.TestAssets != 1 || c.Leases != 9 || c.Administrators != 2 || c.Tools != 4 || c.MaintenanceWindows != 2 || c.Exercises != 2 || c.Roles["scanner"] != 2 {
		t.Errorf("got %+v", c)
	}
}

func FuzzLoad(f *testing.F) {
	if b, err := os.ReadFile(filepath.Join("..", "..", "examples", "org.yaml")); err == nil {
		f.Add(b)
	}
	f.Add([]byte(twoAdmins))
	f.Add([]byte("tenants: {a: {scanners: [192.0.2.1/24, x]}, b: }"))
	f.Add([]byte("maintenance_windows: [{everything: yes, weekly: {days: [mon], start: 23:00, end: 1:00}}]"))
	f.Add([]byte("administrators: [{accounts: [a], tools: ['C:\\x\\*', /a/b, '\\\\?\\C:\\']}]\nadmin_directories: [/]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := Load(strings.NewReader(string(b)), "f")
		if (o == nil) == (err == nil) {
			t.Fatalf("%v, %v", o, err)
		}
		var bad *LoadError
		if err != nil && (!errors.As(err, &bad) || len(bad.Problems) == 0 || bad.Problems[0].Line < 0) {
			t.Fatalf("not a problem with a line: %v", err)
		}
		a := event(t, "user", "adm", "dest", "x")
		for _, p := range Predicates() {
			for _, v := range []string{"127.0.0.1", "", "localhost", "NT AUTHORITY\\SYSTEM"} {
				if err == nil && o.Holds(p, v, a) && p != "admin_tool" {
					t.Fatalf("%s(%q) holds", p, v)
				}
			}
		}
		if err == nil {
			for i := range o.Resolver("default").ids {
				o.Resolver("default").Host(o.Resolver("default").ids[i].Name, time.Time{})
			}
		}
	})
}
