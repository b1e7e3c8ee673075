package sigma

import (
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
)

func FuzzLoad(f *testing.F) {
	f.Add([]byte(fullRule))
	f.Add([]byte(ruleText("sel: {A|re: '[a-z'}")))
	f.Add([]byte(ruleText("sel:\n  - A|contains|all: [x, 'y*']\n  - word\ncondition: not (1 of s* or sel)")))
	f.Add([]byte("a: &a [*a]\n---\n? {x: y}\n: 1\n"))
	f.Add([]byte("title: !!binary 1\nlogsource: !x {product: 1}\ndetection: {s: !!set {a}, condition: s}"))
	ev := &Event{Fields: alert.Fields{{Path: "A", Pointer: "/A", Value: "x word"}}}
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, problems := Load("fuzz.yml", data)
		for _, p := range problems {
			if p.Error() == "" || p.Unwrap() == nil {
				t.Fatalf("problem without words or kind: %#v", p)
			}
		}
		s := Compile(rules, Options{})
		for _, r := range rules {
			if r.Title == "" || r.ID == "" {
				t.Fatalf("usable rule without title or id: %+v", r)
			}
			RunTests(r)
		}
		matched(t, s, ev)
	})
}

func FuzzMatch(f *testing.F) {
	s := benchSet(f, 60)
	f.Add("C:\\\\Windows\\\\cmd.exe", "powershell -enc "+b64(wide("whoami /all")))
	f.Add("%COMSPEC:~-7,-3%", `$env:ComSpec[4,-1]-join''`)
	f.Add("&#x27;&#1114112;&amp", "'a'+ \"b\"^`")
	f.Add("\xff\xfe\xe2\x80", "frombase64string(('"+b64("text of some length")+"'))")
	f.Fuzz(func(t *testing.T, image, command string) {
		matched(t, s, &Event{Fields: alert.Fields{
			{Path: "Image", Pointer: "/Image", Value: image},
			{Path: "CommandLine", Pointer: "/CommandLine", Value: command},
		}})
	})
}
