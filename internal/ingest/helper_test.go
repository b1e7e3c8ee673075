package ingest

import (
	"slices"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 3, 2, 8, 5, 6, 0, time.UTC)
	for in, frac := range map[string]time.Duration{
		"2026-03-02T08:05:06Z":             0,
		"2026-03-02T08:05:06.245+0000":     245 * time.Millisecond,
		"2026-03-02T10:05:06.5+02:00":      500 * time.Millisecond,
		"2026-03-02T03:05:06-0500":         0,
		"2026-03-02 08:05:06.746663+00:00": 746663 * time.Microsecond,
		"2026-03-02 08:05:06.118":          118 * time.Millisecond,
		"2026-03-02 08:05:06 UTC":          0,
		"2026-03-02 08:05:06 +0000":        0,
		"2026-03-02T08:05:06.1234567Z":     123456 * time.Microsecond,
		"1772438706":                       0,
		"1772438706.25":                    250 * time.Millisecond,
		"1772438706245":                    245 * time.Millisecond,
		"1772438706245001":                 245001 * time.Microsecond,
		"1772438706245001999":              245001 * time.Microsecond,
		"3/2/2026, 8:05:06.000 AM":         0,
		"03/02/2026 08:05:06":              0,
		"Mar 2, 2026 @ 08:05:06.245":       245 * time.Millisecond,
	} {
		if got, ok := ParseTime(in); !ok || !got.Equal(want.Add(frac)) || got.Location() != time.UTC {
			t.Errorf("%q: got %v, want %v", in, got, want.Add(frac))
		}
	}
	for _, in := range []string{"", "-", "yesterday", "2026-13-02T08:05:06Z", "2026-02-30T08:05:06Z", "2026-03-02T25:05:06Z", "1601-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "0", "12345", "2026-03-02T08:05:06 Mars", "2026-03-02T08:05:06+99:00"} {
		if got, ok := ParseTime(in); ok {
			t.Errorf("%q: got %v, want none", in, got)
		}
	}
}

func TestCleanWindows(t *testing.T) {
	for in, want := range map[string]string{
		`C:\\Windows\\a.exe`:          `C:\Windows\a.exe`,
		`\"C:\\Program Files\\a\" /x`: `"C:\Program Files\a" /x`,
		`C:\Windows\a.exe`:            `C:\Windows\a.exe`,
		`\\srv\share`:                 `\\srv\share`,
		`\\\\srv\\share`:              `\\srv\share`,
		`\\srv`:                       `\\srv`,
		`psexec \\srv cmd`:            `psexec \\srv cmd`,
		`EXAMPLE\\ana`:                `EXAMPLE\ana`,
		`EXAMPLE\ana`:                 `EXAMPLE\ana`,
		`a\\b\c`:                      `a\\b\c`,
		`ends with \`:                 `ends with \`,
		`plain`:                       `plain`,
		``:                            ``,
	} {
		if got := CleanWindows(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestNormaliseText(t *testing.T) {
	for in, want := range map[string]string{
		"Net  USER\t/domain ":                         "net user /domain",
		"x {6F9619FF-8B86-D011-B42D-00C04FC964FF}":    "x {<guid>}",
		"file_20260302_1.zip":                         "file_<n>_1.zip",
		"port 4444 and 44444":                         "port 4444 and <n>",
		"5F4DCC3B5AA765D61D8327DEB882CF99.bin":        "<hex>.bin",
		`C:\Users\ana\AppData\Local\Temp\x7f3a91.exe`: `c:\users\ana\appdata\local\temp\<tmp>.exe`,
		`C:\Users\ana\AppData\Local\Temp\setup.exe`:   `c:\users\ana\appdata\local\temp\setup.exe`,
		"/tmp/tmp8a7b6c/run.sh":                       "/tmp/<tmp>/run.sh",
		"0xc000006d":                                  "0xc000006d",
		"https://example.com/a?id=1772438706":         "https://example.com/a?id=<n>",
		"Größe":                                       "größe",
	} {
		if got := NormaliseText(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestRemoteAddress(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.5": "203.0.113.5", "::ffff:203.0.113.5": "203.0.113.5", "203.0.113.5:443": "203.0.113.5", "[2001:db8::1]": "2001:db8::1",
		"10.0.0.4": "10.0.0.4", "2001:DB8::1": "2001:db8::1",
		"127.0.0.1": "", "::1": "", "0.0.0.0": "", "::": "", "fe80::1%eth0": "", "224.0.0.1": "", "255.255.255.255": "", "LOCAL": "", "-": "", "": "",
	} {
		got, ok := RemoteAddress(in)
		if got != want || ok != (want != "") {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestLinksAreBoundedAndDistinct(t *testing.T) {
	var l Links
	for i := range 20 {
		l.Source("203.0.113."+string(rune('0'+i%10)), "/a")
	}
	l.Hash("zz", "", "/b")
	if len(l.List()) != MaxLinks {
		t.Errorf("%d links, want %d", len(l.List()), MaxLinks)
	}
}

func TestBestHash(t *testing.T) {
	const md5, sha256 = "00112233445566778899AABBCCDDEEFF", "8F434346648F6B96DF89DDA901C5176B10A6D83961DD3C1AC88B59B2DC327AA4"
	for in, want := range map[string]string{
		"MD5=" + md5 + ",SHA256=" + sha256: sha256,
		"MD5=" + md5 + ",IMPHASH=" + md5:   md5,
		sha256:                             sha256,
		"IMPHASH=" + md5:                   "",
		"":                                 "",
	} {
		if got := BestHash(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestPathClass(t *testing.T) {
	for in, want := range map[string]string{
		`C:\Windows\System32\drivers\etc\hosts`: "system", "/etc/cron.d/job": "cron", "/home/ana/.ssh/authorized_keys": "ssh", "/etc/passwd": "account",
		"/var/www/html/a.php": "web", "/tmp/x": "temp", "/home/ana/a": "user", "/etc/hosts": "config", "/srv/a": "other",
	} {
		if got := PathClass(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestTechniquesAndTactics(t *testing.T) {
	if got := Techniques(`["T1021","t1021.002"]`, "T1047;T1021", "T99", "AML.T0051", ""); !slices.Equal(got, []string{"T1021", "T1021.002", "T1047", "AML.T0051"}) {
		t.Errorf("techniques %v", got)
	}
	if got := Tactics("Discovery, Unknown", `["Impact"]`, "Discovery"); !slices.Equal(got, []string{"Discovery", "Impact"}) {
		t.Errorf("tactics %v", got)
	}
}

func TestExpandJSON(t *testing.T) {
	var flat alert.Flattener
	f, err := flat.Flatten([]byte(`{"a":"{\"b\":[{\"c\":1},{\"c\":2}]}","n":"{broken}","e":"[]","z":1}`))
	if err != nil {
		t.Fatal(err)
	}
	got := ExpandJSON(&flat, f, "a", "n", "e")
	var lines []string
	for _, x := range got {
		lines = append(lines, x.Path+" "+x.Pointer+" "+x.Value)
	}
	want := []string{"a.b.c /a/b/0/c 1", "a.b.c /a/b/1/c 2", "n /n {broken}", "e /e ", "z /z 1"}
	if !slices.Equal(lines, want) {
		t.Errorf("got  %q\nwant %q", lines, want)
	}
	if f[0].Path != "a" || len(f) != 4 {
		t.Error("the fields that came in were changed")
	}
}

func TestTrimRoot(t *testing.T) {
	f := alert.Fields{{Path: "_id", Value: "1"}, {Path: "_source.a.b", Pointer: "/_source/a/b"}, {Path: "sort"}, {Path: "_sourced.x"}}
	got := TrimRoot(f, "_source", "sort")
	if len(got) != 3 || got[0].Path != "a.b" || got[0].Pointer != "/_source/a/b" || got[1].Path != "_id" || got[2].Path != "_sourced.x" {
		t.Errorf("got %v", got)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{`C:\\a\\"b`, `\`, "\xff\\", "2026-03-02T08:05:06.1Z", "/tmp/a1b2c3", "6F9619FF-8B86-D011-B42D-00C04FC964FF"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		CleanWindows(s)
		ParseTime(s)
		if once := NormaliseText(s); len(once) > len(s)*6+64 {
			t.Fatalf("%q grew to %q", s, once)
		}
	})
}
