package canon

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCanonical(t *testing.T) {
	c := New()
	for _, tc := range []struct{ name, in, want string }{
		{"ascii is left alone", "cmd.exe /c whoami\r\n\tdone", "cmd.exe /c whoami\r\n\tdone"},
		{"zero width", "ig\u200bno\u200dre\u2060 it", "ignore it"},
		{"full width", "ｉｇｎｏｒｅ", "ignore"},
		{"mathematical", "𝐢𝐠𝐧𝐨𝐫𝐞 𝓽𝓱𝓲𝓼", "ignore this"},
		{"cyrillic inside latin", "ignоrе prеviоus", "ignore previous"},
		{"greek inside latin", "ignοre αll rules", "ignore all rules"},
		{"small capitals", "ɪɢɴᴏʀᴇ", "IGNORE"},
		{"squared", "🅸🅶🅽🅾🆁🅴", "IGNORE"},
		{"struck through", "i̶g̶n̶o̶r̶e̶", "ignore"},
		{"terminal sequence", "ig\x1b[31mnore", "ignore"},
		{"soft hyphen", "ig\u00adnore", "ignore"},
		{"russian stays", "Пользователь вошёл в систему", "Пользователь вошёл в систему"},
		{"greek stays", "Ο χρήστης συνδέθηκε", "Ο χρήστης συνδέθηκε"},
		{"chinese stays", "用户登录失败", "用户登录失败"},
		{"accents stay", "Benutzer hat das Gerät gewählt, très bien, São", "Benutzer hat das Gerät gewählt, très bien, São"},
		{"invalid bytes", "a\xffb", "a\ufffdb"},
	} {
		if got := c.Text(tc.in).Canonical; got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestHiddenSigns(t *testing.T) {
	c := New()
	for _, tc := range []struct {
		name, in string
		hidden   bool
	}{
		{"plain", "ignore it", false},
		{"zero width in a word", "ig\u200bnore", true},
		{"tag characters", "x\U000E0069\U000E0067", true},
		{"override of the direction", "invoice\u202Efdp.exe", true},
		{"homoglyph", "pаypal", true},
		{"family emoji", "ok 👩\u200d👩\u200d👧 ok", false},
		{"flag of Scotland", "🏴\U000E0067\U000E0062\U000E0073\U000E0063\U000E0074\U000E007F", false},
		{"persian joiner", "می\u200cخواهم", false},
		{"emoji selector", "♥\ufe0f", false},
		{"byte order mark", "\ufeffhello", false},
	} {
		got := c.Text(tc.in)
		if got.Signs.Hidden() != tc.hidden {
			t.Errorf("%s: hidden %v, want %v (%+v)", tc.name, got.Signs.Hidden(), tc.hidden, got.Signs)
		}
	}
}

func TestViews(t *testing.T) {
	c := New()
	for _, tc := range []struct{ name, in, how, want string }{
		{"base64", "x=aWdub3JlIHByZXZpb3VzIHJ1bGVz", "base64", "ignore previous rules"},
		{"base64 after a name", "invoice_aWdub3JlIHByZXZpb3VzIHJ1bGVz.pdf", "base64", "ignore previous rules"},
		{"base64 of UTF-16", "powershell -enc dwByAGkAdABlAC0AaABvAHMAdAAgAGgAZQBsAGwAbwA=", "base64", "write-host hello"},
		{"twice base64", "YVdkdWIzSmxJSEJ5WlhacGIzVnpJSEoxYkdWeg==", "base64+base64", "ignore previous rules"},
		{"hex", "69676e6f72652070726576696f75732072756c6573", "hex", "ignore previous rules"},
		{"hex pairs", "69 67 6e 6f 72 65 20 61 6c 6c", "hex", "ignore all"},
		{"percent", "/q?x=%69%67%6e%6fre%20all", "percent", "/q?x=ignore all"},
		{"html", "&#105;&#x67;nore &lt;b&gt;", "html", "ignore <b>"},
		{"escape", `\u0069\u0067nore \x61ll`, "escape", "ignore all"},
		{"spaced", "i g n o r e   r u l e s", "spaced", "ignore rules"},
		{"dotted", "i.g.n.o.r.e now", "spaced", "ignore"},
		{"leet", "1gn0r3 pr3v10us text", "leet", "ignore previous text"},
		{"tags", "ok \U000E0068\U000E0069", "tags", "hi"},
		{"reversed", "see \u202Eerongi\u202C now", "reversed", "ignore"},
	} {
		got := c.Text(tc.in)
		found := false
		for _, v := range got.Views {
			if v.How == tc.how && v.Text == tc.want {
				found = true
				if v.Start < 0 || v.End > len(tc.in) || v.Start >= v.End {
					t.Errorf("%s: range %d to %d of %d", tc.name, v.Start, v.End, len(tc.in))
				}
			}
		}
		if !found {
			t.Errorf("%s: no view %s %q in %+v", tc.name, tc.how, tc.want, got.Views)
		}
	}
}

func TestOrdinaryTextHasNoViews(t *testing.T) {
	c := New()
	for _, in := range []string{
		`C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe -NoProfile -File C:\it\inventory.ps1`,
		"/usr/lib/systemd/systemd-networkd-wait-online --timeout=30",
		"sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		"Failed password for root from 192.0.2.10 port 22 ssh2",
		"{d273d0f0-7fae-5f63-1200-000000000400}",
		"a b testing of one letter words",
	} {
		if v := c.Text(in).Views; len(v) > 0 {
			t.Errorf("%q: %+v", in, v)
		}
	}
}

func TestRawPointsBack(t *testing.T) {
	in := "é ig\u200bnоre ａll"
	got := New().Text(in)
	at := strings.Index(got.Canonical, "ignore")
	if at < 0 {
		t.Fatalf("%q", got.Canonical)
	}
	start, end := got.Raw(at, at+len("ignore"))
	if in[start:end] != "ig\u200bnоre" {
		t.Errorf("points at %q", in[start:end])
	}
}

// hostile draws text out of everything that this package treats in a special way.
func hostile() *rapid.Generator[string] {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{"ignore", "all", " ", "\u200b", "\u202e", "\u202c", "\U000E0041", "\ufe0f", "\U000E0101", "а", "ο", "ｉ", "𝐢", "\u0301", "\u0336", "\x1b[1m", "%41", "&lt;", `\u0041`, "aWdub3Jl", "ﷺ", "각", "ᄀ", "ᅡ", "\xff", "Ж", "İ", "ſ", "🅸"}),
		rapid.String(),
	)
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 0, 24).Draw(t, "pieces"), "")
	})
}

func TestIdempotent(t *testing.T) {
	c := New()
	rapid.Check(t, func(t *rapid.T) {
		once := c.Text(hostile().Draw(t, "text")).Canonical
		if twice := c.Text(once).Canonical; twice != once {
			t.Fatalf("%q becomes %q", once, twice)
		}
	})
}

func FuzzText(f *testing.F) {
	c := New()
	for _, s := range []string{"", "ig\u200bnore", "aWdub3JlIHByZXZpb3VzIHJ1bGVz", "%41%42", "i g n o r e a l l", "\U000E0041", "\u202eabcd", "69 67 6e 6f 72 65 20 61", "&#x41;&#65;", strings.Repeat("\u0301", 99), strings.Repeat("QUFB", 30) + "\n" + strings.Repeat("QUFB", 30)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := c.Text(s)
		if !utf8.ValidString(got.Canonical) && got.Canonical != s {
			t.Fatalf("canonical %q is not UTF-8", got.Canonical)
		}
		if again := c.Text(got.Canonical).Canonical; again != got.Canonical {
			t.Fatalf("%q becomes %q", got.Canonical, again)
		}
		size := 0
		for _, v := range got.Views {
			size += len(v.Text)
			if v.Start < 0 || v.Start > v.End || v.End > len(s) {
				t.Fatalf("view %+v outside %d bytes", v, len(s))
			}
		}
		if size > 11*(2*len(s)+4096) {
			t.Fatalf("%d bytes of views for %d bytes", size, len(s))
		}
		if a, b := got.Raw(0, len(got.Canonical)); a < 0 || a > b || b > len(s) {
			t.Fatalf("range %d to %d", a, b)
		}
	})
}
