package intel

import (
	"errors"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
)

func TestParse(t *testing.T) {
	h := strings.Repeat("0123456789abcdef", 4)
	for _, c := range []struct {
		raw  string
		kind alert.IndicatorType
		want string
	}{
		{"198.51.100.7", alert.IndicatorIPv4, "198.51.100.7"},
		{" 198[.]51[.]100[.]7 ", alert.IndicatorIPv4, "198.51.100.7"},
		{"198.51.100.7:8080", alert.IndicatorIPv4, "198.51.100.7"},
		{"198.51.100.77/24", alert.IndicatorIPv4, "198.51.100.0/24"},
		{"198.51.100.7/32", alert.IndicatorIPv4, "198.51.100.7"},
		{"::ffff:198.51.100.7", alert.IndicatorIPv4, "198.51.100.7"},
		{"2001:DB8:0:0::1", alert.IndicatorIPv6, "2001:db8::1"},
		{"[2001:db8::1]:443", alert.IndicatorIPv6, "2001:db8::1"},
		{"Evil.Example", alert.IndicatorDomain, "evil.example"},
		{"evil[.]example.", alert.IndicatorDomain, "evil.example"},
		{"*.evil.example", alert.IndicatorDomain, "evil.example"},
		{"vs1_2.evil.example", alert.IndicatorDomain, "vs1_2.evil.example"},
		{"evil.example:8443", alert.IndicatorDomain, "evil.example"},
		{"bücher.example", alert.IndicatorDomain, "xn--bcher-kva.example"},
		{"hxxps://Evil[.]Example:443/A?b=C#frag", alert.IndicatorURL, "https://evil.example/A?b=C"},
		{"http://user:pw@evil.example:8080", alert.IndicatorURL, "http://evil.example:8080/"},
		{"evil.example/loader", alert.IndicatorURL, "http://evil.example/loader"},
		{"http://[2001:db8::1]/x", alert.IndicatorURL, "http://[2001:db8::1]/x"},
		{"tcp://198.51.100.7:443/", alert.IndicatorIPv4, "198.51.100.7"},
		{"file://evil.example@SSL/DavWWWRoot/a.lnk", alert.IndicatorDomain, "evil.example"},
		{"Bob[@]Evil.example", alert.IndicatorEmail, "bob@evil.example"},
		{strings.ToUpper(h), alert.IndicatorSHA256, h},
		{h[:40], alert.IndicatorSHA1, h[:40]},
		{h[:32], alert.IndicatorMD5, h[:32]},
		{"cve-2024-12345", alert.IndicatorCVE, "CVE-2024-12345"},
		{`C:\Users\Ann\AppData\Roaming\Evil\run.exe`, alert.IndicatorPath, `%appdata%\evil\run.exe`},
		{`%APPDATA%\Evil\run.exe`, alert.IndicatorPath, `%appdata%\evil\run.exe`},
		{`D:\\Windows\\Temp\\x.dll`, alert.IndicatorPath, `%windir%\temp\x.dll`},
		{`HKEY_LOCAL_MACHINE\Software\Evil\Key`, alert.IndicatorRegistry, `hklm\software\evil\key`},
		{`HKU\S-1-5-21-1-2-3-1001\Software\Evil`, alert.IndicatorRegistry, `hkcu\software\evil`},
	} {
		kind, value, err := Parse(c.raw)
		if err != nil || kind != c.kind || value != c.want {
			t.Errorf("Parse(%q) = %s %q %v, want %s %q", c.raw, kind, value, err, c.kind, c.want)
		}
		// Canonical form is a fixed point.
		if k2, v2, err := ParseAs(kind, value); err != nil || k2 != kind || v2 != value {
			t.Errorf("ParseAs(%s, %q) = %s %q %v", kind, value, k2, v2, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ raw, reason string }{
		{"", "empty"},
		{"10.1.2.3", "private"}, {"192.168.0.0/16", "private"}, {"127.0.0.1", "loopback"}, {"fd00::1", "private"},
		{"224.0.0.5", "multicast"}, {"169.254.1.1", "link-local"}, {"100.64.0.1", "NAT"}, {"0.0.0.0", "unspecified"},
		{"255.255.255.255", "reserved"}, {"203.0.0.0/8", "covers too much"}, {"2001:db8::/16", "covers too much"},
		{"localhost", "one label"}, {"printer.local", "local or reserved"}, {"co.uk", "public suffix"},
		{"a.b", "fewer than 4"}, {"evil..example", "label"}, {"ev!l.example", "characters"}, {"1.2.3", "number"},
		{"/gate.php", "path without a host"}, {"http://10.0.0.1/x", "private"}, {"http://intranet/x", "one label"},
		{"http://evil.example:99x/", "port"}, {"gopher://evil.example/", "scheme"}, {"two words", "known kind"},
		{"d41d8cd98f00b204e9800998ecf8427e", "empty file"},
		{"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "empty file"},
		{strings.Repeat("0", 40), "placeholder"},
		{`C:\evil.exe`, "bare file name"}, {`HKLM\Software`, "hive"},
		{`HKLM\Software\Microsoft\Windows\CurrentVersion\Run`, "every machine"},
		{"evil\x00.example", "control"}, {"evil.example/\xff", "UTF-8"}, {strings.Repeat("a", 3000), "longer"},
	} {
		_, v, err := Parse(c.raw)
		var ve *ValueError
		if !errors.As(err, &ve) || !strings.Contains(ve.Reason, c.reason) {
			t.Errorf("Parse(%q) = %q %v, want a reason with %q", c.raw, v, err, c.reason)
		}
	}
	if _, _, err := ParseAs(alert.IndicatorMD5, strings.Repeat("0123456789abcdef", 4)); err == nil {
		t.Error("a SHA-256 passed as an MD5")
	}
	if _, _, err := ParseAs("ja3", "x"); err == nil {
		t.Error("an unknown type passed")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"198[.]51.100.7", "hxxp://a.example/x?y#z", `C:\Users\a\b\c`, "HKLM\\a\\b\\c", "a@b.example", "CVE-2024-1", "http://[::1]:80/", "*.x.example", "bücher.example", "%temp%\\x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		kind, v, err := Parse(s)
		if err != nil {
			return
		}
		k2, v2, err := ParseAs(kind, v)
		if err != nil || k2 != kind || v2 != v {
			t.Errorf("%q: %s %q does not parse to itself: %s %q %v", s, kind, v, k2, v2, err)
		}
	})
}
