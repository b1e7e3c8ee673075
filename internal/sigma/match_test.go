package sigma

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func titled(title, logsource, detection string) string {
	text := strings.Replace(ruleText(detection), "Test rule", title, 1)
	return strings.Replace(text, "{category: test}", logsource, 1)
}

func compileAll(t testing.TB, o Options, texts ...string) *Set {
	t.Helper()
	return Compile(mustLoad(t, strings.Join(texts, "---\n")), o)
}

func TestFieldMap(t *testing.T) {
	o := Options{Fields: func(source string) map[string][]string {
		if source != "wazuh" {
			return nil
		}
		return map[string][]string{
			"Image": {"data.win.eventdata.image", "data.audit.exe"},
			"User":  {"data.win.eventdata.user", "data.srcuser"},
		}
	}}
	s := compileAll(t, o,
		titled("mapped", "{category: test}", `sel: {Image|endswith: '\cmd.exe'}`),
		titled("second choice", "{category: test}", `sel: {Image: '/bin/sh'}`),
		titled("native", "{category: test}", `sel: {data.srcuser: root}`),
		titled("user", "{category: test}", `sel: {User: root}`),
	)
	for _, tc := range []struct {
		source, record string
		want           []string
	}{
		{"wazuh", `{"data":{"win":{"eventdata":{"image":"C:\\cmd.exe"}}}}`, []string{"mapped"}},
		{"wazuh", `{"data":{"audit":{"exe":"/bin/sh"}}}`, []string{"second choice"}},
		{"wazuh", `{"data":{"audit":{"exe":"/bin/sh"},"win":{"eventdata":{"image":"C:\\cmd.exe"}}}}`, []string{"mapped"}},
		{"wazuh", `{"data":{"audit":{"exe":"/bin/sh"},"win":{"eventdata":{"image":""}}}}`, []string{"second choice"}},
		{"wazuh", `{"data":{"srcuser":"root"}}`, []string{"native", "user"}},
		{"wazuh", `{"Image":"C:\\cmd.exe"}`, []string{"mapped"}},
		{"other", `{"data":{"win":{"eventdata":{"image":"C:\\cmd.exe"}}}}`, nil},
		{"other", `{"Image":"C:\\cmd.exe"}`, []string{"mapped"}},
	} {
		ev := event(t, tc.record)
		ev.Source = tc.source
		if d := cmp.Diff(tc.want, matched(t, s, ev)); d != "" {
			t.Errorf("%s %s: %s", tc.source, tc.record, d)
		}
	}
}

func TestLogsource(t *testing.T) {
	rule := func(title, ls string) string { return titled(title, ls, `sel: {A: 1}`) }
	s := compileAll(t, Options{},
		rule("proc", "{product: windows, category: process_creation}"),
		rule("reg", "{product: windows, category: registry_event}"),
		rule("regset", "{product: windows, category: registry_set}"),
		rule("security", "{product: windows, service: security}"),
		rule("sysmon", "{product: windows, service: sysmon}"),
		rule("windows", "{product: windows}"),
		rule("linux", "{product: linux}"),
		rule("lnxproc", "{product: linux, category: process_creation}"),
		rule("auth", "{product: linux, service: auth}"),
		rule("anyproc", "{category: process_creation}"),
		rule("web", "{category: webserver}"),
		rule("aws", "{product: aws, service: cloudtrail}"),
		rule("script", "{product: windows, category: ps_script}"),
		rule("av", "{category: antivirus}"),
	)
	const everything = "proc reg regset security sysmon windows linux lnxproc auth anyproc web aws script av"
	for _, tc := range []struct {
		record string
		stated Logsource
		want   string
	}{
		{`{"A":1}`, Logsource{}, everything},
		{`{"A":1,"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1}`, Logsource{}, "proc sysmon windows anyproc"},
		{`{"A":1,"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":"13"}`, Logsource{}, "reg regset sysmon windows"},
		{`{"A":1,"Channel":"Security","EventID":4688}`, Logsource{}, "proc security windows anyproc"},
		{`{"A":1,"Channel":"Security","EventID":4624}`, Logsource{}, "security windows"},
		{`{"A":1,"Provider_Name":"Microsoft-Windows-Security-Auditing","EventID":4624}`, Logsource{}, "security windows"},
		{`{"A":1,"Channel":"Security"}`, Logsource{}, "proc reg regset security windows anyproc web script av"},
		{`{"A":1,"Channel":"Some/Other","EventID":1}`, Logsource{}, "proc reg regset security sysmon windows anyproc web script av"},
		{`{"A":1,"Channel":"PowerShellCore/Operational","EventID":4104}`, Logsource{}, "windows script"},
		{`{"A":1,"Channel":"Microsoft-Windows-Windows Defender/Operational","EventID":1116}`, Logsource{}, "windows av"},
		{`{"A":1,"Channel":"Linux-Sysmon/Operational","EventID":1}`, Logsource{}, "linux lnxproc anyproc"},
		{`{"A":1,"decoder":{"name":"sshd"}}`, Logsource{}, "linux lnxproc auth anyproc web av"},
		{`{"A":1,"event":{"dataset":"aws.cloudtrail"}}`, Logsource{}, "anyproc web aws av"},
		{`{"A":1,"event":{"dataset":"nginx.access"}}`, Logsource{}, "windows linux web aws security sysmon auth"},
		{`{"A":1,"host":{"os":{"type":"linux"}}}`, Logsource{}, "linux lnxproc auth anyproc web av"},
		{`{"A":1}`, Logsource{Product: "Linux"}, "linux lnxproc auth anyproc web av"},
		{`{"A":1}`, Logsource{Product: "windows", Category: "registry_set"}, "reg regset security sysmon windows"},
		{`{"A":1,"Channel":"Security","EventID":4624}`, Logsource{Category: "process_creation"}, "proc security windows anyproc"},
	} {
		ev := event(t, tc.record)
		ev.Logsource = tc.stated
		want := make(map[string]bool)
		for _, w := range strings.Fields(tc.want) {
			want[w] = true
		}
		got := make(map[string]bool)
		for _, g := range matched(t, s, ev) {
			got[g] = true
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s %+v: %s", tc.record, tc.stated, d)
		}
	}
}

func TestHits(t *testing.T) {
	enc := b64(wide("whoami /priv and more"))
	s := compileAll(t, Options{Fields: func(string) map[string][]string {
		return map[string][]string{"CommandLine": {"p.cmd"}}
	}},
		titled("fields", "{category: test}", "sel: {Image|endswith: 'cmd.exe', User: [jo, flo]}\nother: {User|contains: o}\nf: {Parent: x}\ncondition: sel and 1 of o* and not f"),
		titled("decoded", "{category: test}", "sel: {DecodedCommand|contains: whoami}"),
		titled("keyword", "{category: test}", "sel: [PRIV, absent]"),
	)
	got := make(map[string]Hits)
	s.Match(event(t, `{"Image":"C:\\cmd.exe","User":["flo","ann","jo"],"p":{"cmd":"powershell -enc `+enc+`"},"n":{"t/x":"priv"}}`),
		func(r *Rule, h Hits) { got[r.Title] = append(Hits(nil), h...) })
	want := map[string]Hits{
		"fields":  {{"Image", "/Image", `C:\cmd.exe`}, {"User", "/User/0", "flo"}, {"User", "/User/2", "jo"}},
		"decoded": {{"DecodedCommand", "/p/cmd", "whoami /priv and more"}},
		"keyword": {{"p.cmd", "/p/cmd", "powershell -enc " + enc}, {"n.t/x", "/n/t~1x", "priv"},
			{"DecodedCommand", "/p/cmd", "whoami /priv and more"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestBits(t *testing.T) {
	load := func(ext string) *Rule {
		return mustLoad(t, ruleText("sel: {A: 1}")+"level: high\naluskort: {"+ext+"}\n")[0]
	}
	two := Hits{{Field: "Signer"}, {Field: "Image"}}
	for _, tc := range []struct {
		ext  string
		hits Hits
		want float64
	}{
		{"weight: 2", two, 2},
		{"stance: benign, weight: 4, trusted_fields: [Signer]", two, -4},
		{"stance: benign, weight: 4", two, -1},
		{"stance: benign, weight: 4, trusted_fields: [Parent]", two, -1},
		{"stance: benign, weight: 4, trusted_fields: [Signer]", Hits{{Field: "Signer"}, {Field: "Signer"}}, -1},
		{"stance: benign, weight: 4, requires_org: known_admin", Hits{{Field: "User"}}, -4},
		{"stance: benign, weight: 4, requires_org: known_admin", nil, -1},
		{"stance: benign, weight: 0.5", two, -0.5},
		{"stance: benign, trusted_fields: [Signer]", two, -3},
	} {
		if got := load(tc.ext).Bits(tc.hits); got != tc.want {
			t.Errorf("%s: %g, want %g", tc.ext, got, tc.want)
		}
	}
}

func TestStatement(t *testing.T) {
	o := Options{Fields: func(string) map[string][]string { return map[string][]string{"User": {"u.name"}} }}
	r := mustLoad(t, ruleText("sel: {A: 1}")+"aluskort: {statement: '{User} ran {A} on {Host}'}\n")[0]
	s := Compile([]*Rule{r}, o)
	ev := event(t, `{"A":1,"u":{"name":"jo\n\u202eX`+strings.Repeat("y", 500)+`"}}`)
	want := "jo  X" + strings.Repeat("y", maxStatementValue-5) + "… ran 1 on (unknown)"
	if got := s.Statement(r, ev, nil); got != want {
		t.Errorf("got %q", got)
	}
	if got := s.Statement(&Rule{Title: "x"}, ev, nil); got != "x" {
		t.Errorf("without a statement: %q", got)
	}
}

func TestNegatedFiltersSeeTheSameForms(t *testing.T) {
	// A filter that matches a form of a value takes the rule back, in whatever order forms are made.
	for _, record := range []string{`{"C":"run c^md"}`, `{"C":"run cmd"}`} {
		if matches(t, "sel: {C|contains: run}\nf: {C|contains: cmd}\ncondition: sel and not f", record, Options{}) {
			t.Errorf("%s matches", record)
		}
	}
}

func TestSetIsSafeForConcurrentUse(t *testing.T) {
	s := benchSet(t, 150)
	events := []*Event{sysmonEvent(t), event(t, `{"Image":"C:\\x\\tool7.exe","CommandLine":"tool7 --secret-7"}`)}
	want := [][]string{matched(t, s, events[0]), matched(t, s, events[1])}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				k := (g + i) % 2
				var got []string
				s.Match(events[k], func(r *Rule, _ Hits) { got = append(got, r.Title) })
				if d := cmp.Diff(want[k], got); d != "" {
					t.Error(d)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestHostileEvents(t *testing.T) {
	s := benchSet(t, 300)
	big := strings.Repeat(`\\powershell.exe -enc `, 50_000)
	for name, record := range map[string]string{
		"literals": `{"CommandLine":"` + strings.ReplaceAll(big, `\`, `\\`) + `"}`,
		"quotes":   `{"CommandLine":"` + strings.Repeat(`^\"'`, 250_000) + `"}`,
		"entities": `{"CommandLine":"` + strings.Repeat(`&amp;`, 200_000) + `"}`,
		"slices":   `{"CommandLine":"` + strings.Repeat(`%COMSPEC:~0,1`, 80_000) + `"}`,
		"flags":    `{"CommandLine":"` + strings.Repeat(` -e AAAAAAAAAAAAAAAA`, 50_000) + `"}`,
		"base64":   `{"CommandLine":"x -enc ` + strings.Repeat(`QQBB`, 250_000) + `"}`,
		"unicode":  `{"CommandLine":"` + strings.Repeat(`Ⱥ`, 300_000) + `"}`,
		"values":   `{"CommandLine":[` + strings.TrimSuffix(strings.Repeat(`"a",`, 19_000), ",") + `]}`,
	} {
		t.Run(name, func(t *testing.T) { matched(t, s, event(t, record)) })
	}
	// A glob of stars must not go back and forth.
	text := strings.Repeat("ab", 200_000)
	if matches(t, `sel: {C: '*a*b*a*b*a*b*a?b*c'}`, `{"C":"`+text+`"}`, Options{}) {
		t.Error("matches")
	}
}

func TestOriginFieldsAreWhereTheConstantsSay(t *testing.T) {
	for id, name := range map[int32]string{
		originChannel: "Channel", originEventID: "EventID", originProvider: "Provider_Name",
		originDataset: "event.dataset", originSystem: "host.os.type",
	} {
		if originFields[id] != name {
			t.Errorf("field %d is %s, not %s", id, originFields[id], name)
		}
	}
	if len(originFields) != originEnd {
		t.Errorf("%d fields", len(originFields))
	}
}
