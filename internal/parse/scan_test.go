package parse

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/alert"
)

const (
	md5Hex    = "0123456789abcdef0123456789abcdef"
	sha1Hex   = "0123456789abcdef0123456789abcdef01234567"
	sha256Hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// scanRows lists a text and what the scanner finds in it: "type value", joined by " | ".
var scanRows = []struct{ text, want string }{
	// IPv4
	{"from 203.0.113.7 to 198.51.100.2", "ipv4 203.0.113.7 | ipv4 198.51.100.2"},
	{"203.0.113.7", "ipv4 203.0.113.7"},
	{"(203.0.113.7)", "ipv4 203.0.113.7"},
	{"peer 203.0.113.7:443, closed", "ipv4 203.0.113.7"},
	{"It came from 203.0.113.7.", "ipv4 203.0.113.7"},
	{"203.0.113.7/32", "ipv4 203.0.113.7"},
	{"203.0.113.7-203.0.113.9", "ipv4 203.0.113.7 | ipv4 203.0.113.9"},
	{"src=203.0.113.7,dst=198.51.100.2", "ipv4 203.0.113.7 | ipv4 198.51.100.2"},
	{"outside/203.0.113.7(4444)", "ipv4 203.0.113.7"},
	{"“203.0.113.7”", "ipv4 203.0.113.7"},
	{"203.0.113[.]7", "ipv4 203.0.113.7"},
	{"203[.]0[.]113[.]7", "ipv4 203.0.113.7"},
	{"203(.)0{.}113[dot]7", "ipv4 203.0.113.7"},
	{"::ffff:203.0.113.7", "ipv4 203.0.113.7"},
	{"256.0.113.7", ""},
	{"203.0.113.07", ""},
	{"203.0.113", ""},
	{"203.0.113.7.9", ""},
	{"10.0.26100.4202", ""},
	{"version 7.2.0.1", ""},
	{"Version: 7.2.0.1", ""},
	{"FileVersion=7.2.0.1", ""},
	{"v7.2.0.1", ""},
	{"build 7.2.0.1", ""},
	{"Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0", ""},
	{"OID 1.3.6.1", ""},
	{"1.3.6.1.4.1.311.21.20", ""},
	{"libfoo-1.2.3.4.so", ""},
	{"foo-1.2.3.4", ""},
	{"host_203.0.113.7", ""},
	// IPv6
	{"2001:db8::1", "ipv6 2001:db8::1"},
	{"from 2001:DB8:0:0:0:0:0:1 port 22", "ipv6 2001:db8::1"},
	{"[2001:db8::1]:443", "ipv6 2001:db8::1"},
	{"fe80::1c2d:3e4f:5a6b%eth0 up", "ipv6 fe80::1c2d:3e4f:5a6b"},
	{"gateway fe80::1: unreachable", "ipv6 fe80::1"},
	{"lo ::1 ok", "ipv6 ::1"},
	{"2001:db8:1:2:3:4:5:6", "ipv6 2001:db8:1:2:3:4:5:6"},
	{"10:01:43", ""},
	{"00:0c:29:ab:cd:ef", ""},
	{"00:0c:29:ff:fe:ab:cd:ef", ""},
	{"0:0:0:0:0:0:0:1", "ipv6 ::1"},
	{"2025-07-04 10:01:43.883", ""},
	{"2025-07-04T10:01:43.8849563Z", ""},
	{"std::string", ""},
	{"[Convert]::FromBase64String(x)", ""},
	{"[List]::Add(1)", ""},
	{"::", ""},
	{"a::b::c1", ""},
	{"1:2:3:4:5:6:7", ""},
	// domains
	{"beacon to evil.example.com now", "domain evil.example.com"},
	{"Evil.Example.COM", "domain evil.example.com"},
	{"evil[.]example[.]com", "domain evil.example.com"},
	{"evil(.)example.com", "domain evil.example.com"},
	{"evil[dot]example(dot)com", "domain evil.example.com"},
	{"a.co.uk", "domain a.co.uk"},
	{"user-content.github.io", "domain user-content.github.io"},
	{"xn--bcher-kva.example.com", "domain xn--bcher-kva.example.com"},
	{"bücher.example.com", "domain xn--bcher-kva.example.com"},
	{"пример.рф", "domain xn--e1afmkfd.xn--p1ai"},
	{"“evil.example.net”", "domain evil.example.net"},
	{"*.evil.example.com", "domain evil.example.com"},
	{"evil.example.com.", "domain evil.example.com"},
	{"evil.example.com:8443", "domain evil.example.com"},
	{"evil.example.com/path", "domain evil.example.com"},
	{"mail.example.com[192.0.2.1]", "domain mail.example.com | ipv4 192.0.2.1"},
	{"www.sklep.pl", "domain www.sklep.pl"},
	{"sklep.com.pl", "domain sklep.com.pl"},
	{"payload[.]zip", "domain payload.zip"},
	{"_dmarc.example.com", "domain _dmarc.example.com"},
	{"co.uk", ""},
	{"svchost.exe", ""},
	{"report.pdf", ""},
	{"main.go", ""},
	{"install.sh", ""},
	{"setup.py", ""},
	{"lib.rs", ""},
	{"archive.zip", ""},
	{"clip.mov", ""},
	{"README.md", ""},
	{"script.pl", ""},
	{"id_rsa.pub", ""},
	{"bundle.js.map", ""},
	{"command.com", ""},
	{"System.Management.Automation.ni.dll", ""},
	{"System.Net", ""},
	{"System.IO", ""},
	{"System.Security", ""},
	{"Microsoft.NET", ""},
	{"ASP.NET", ""},
	{"user.name", ""},
	{"event.id = 4688", ""},
	{"process.parent.name", ""},
	{"com.example.security.tools", ""},
	{"the host.In addition", ""},
	{"e.g. i.e. a.m.", ""},
	{"server01.corp.internal", ""},
	{"node.local", ""},
	{"evil..com", ""},
	{`corp.example.com\alice`, ""},
	{"4.0.30319", ""},
	// URLs
	{"http://evil.example.com/a?b=c#d", "url http://evil.example.com/a?b=c#d"},
	{"HTTPS://Evil.Example.com/Path", "url https://evil.example.com/Path"},
	{"hxxp://evil[.]example[.]com/a[.]php", "url http://evil.example.com/a.php"},
	{"hXXps://evil.example.com", "url https://evil.example.com"},
	{"http[:]//evil.example.com/x", "url http://evil.example.com/x"},
	{"http[://]evil.example.com", "url http://evil.example.com"},
	{"ftp://203.0.113.7/x", "url ftp://203.0.113.7/x"},
	{"http://203[.]0[.]113[.]7:8080/x", "url http://203.0.113.7:8080/x"},
	{"http://[2001:db8::1]:8080/x", "url http://[2001:db8::1]:8080/x"},
	{"http://user:pw@evil.example.com/x", "url http://user:pw@evil.example.com/x"},
	{"http://intranet/x", "url http://intranet/x"},
	{"see http://example.com/a.", "url http://example.com/a"},
	{"(http://example.com/a)", "url http://example.com/a"},
	{"http://example.com/a_(b)", "url http://example.com/a_(b)"},
	{"<http://example.com/a>", "url http://example.com/a"},
	{"iwr('http://example.com/a.ps1',$x)", "url http://example.com/a.ps1"},
	{"http://example.com, http://example.org!", "url http://example.com | url http://example.org"},
	{"${jndi:ldap://evil.example.com/a}", "url ldap://evil.example.com/a"},
	{"http://bücher.example.com/x", "url http://xn--bcher-kva.example.com/x"},
	{"http://", ""},
	{"http:///x", ""},
	{"javascript:alert(1)", ""},
	{"http://10.0.26100.1/", ""},
	// mail addresses
	{"alice@example.com", "email alice@example.com"},
	{"<Alice.Doe+tag@Example.COM>", "email alice.doe+tag@example.com"},
	{"alice[@]example[.]com", "email alice@example.com"},
	{"alice[at]example[dot]com", "email alice@example.com"},
	{"mailto:alice@example.com?subject=x", "email alice@example.com"},
	{"first.last@sub.example.co.uk.", "email first.last@sub.example.co.uk"},
	{"author@project.rs", "email author@project.rs"},
	{"shop.com+list@example.com", "email shop.com+list@example.com"}, // no domain shop.com
	{"shop.com+list@nowhere", "domain shop.com"},
	{"<AB1P264MB0001.AB1P264.PROD@AB1P264MB0001.AB1P264.PROD.OUTLOOK.COM>", ""},
	{"root@localhost", ""},
	{"alice@corp.internal", ""},
	{"@example", ""},
	{"a@b", ""},
	// hashes
	{"MD5=" + md5Hex, "md5 " + md5Hex},
	{strings.ToUpper(md5Hex), "md5 " + md5Hex},
	{"SHA1=" + sha1Hex + ",IMPHASH=" + md5Hex, "sha1 " + sha1Hex},
	{"sha256:" + sha256Hex, "sha256 " + sha256Hex},
	{sha256Hex + ".exe", "sha256 " + sha256Hex},
	{"imphash: none " + md5Hex, "md5 " + md5Hex},
	{"IMPHASH=" + md5Hex, ""},
	{md5Hex + "0", ""},
	{"g" + md5Hex, ""},
	{"_" + md5Hex, ""},
	{sha256Hex + sha256Hex, ""},
	{"00-" + md5Hex + "-0123456789abcdef-01", ""},
	{"{5770385f-c22a-43e0-bf4c-06f5698ffbd9}", ""},
	{"5770385f-c22a-43e0-bf4c-06f5698ffbd9", ""},
	// CVE
	{"exploits CVE-2021-44228!", "cve CVE-2021-44228"},
	{"cve-2014-6271", "cve CVE-2014-6271"},
	{"Exploit.CVE-2017-0199.Gen", "cve CVE-2017-0199"},
	{"“CVE-2024-12345”", "cve CVE-2024-12345"},
	{"CVE-2021-442", ""},
	{"CVE-1998-1234", ""},
	{"XCVE-2021-44228", ""},
	{"CVE-2021-44228x", ""},
	// Windows paths
	{`C:\Windows\System32\svchost.exe -k netsvcs`, `path C:\Windows\System32\svchost.exe`},
	{`C:\\Windows\\Temp\\a.exe`, `path C:\Windows\Temp\a.exe`},
	{`"C:\Program Files (x86)\App One\a.exe" -x`, `path C:\Program Files (x86)\App One\a.exe`},
	{`C:\Program Files\App\a.exe /s`, `path C:\Program Files\App\a.exe`},
	{`C:\Users\Public\Desktop\Web Browser.lnk`, `path C:\Users\Public\Desktop\Web Browser.lnk`},
	{`c:/temp/a.bat`, `path c:/temp/a.bat`},
	{`\\fileserver\share\a.docx`, `path \\fileserver\share\a.docx`},
	{`\\\\fileserver\\share\\a.docx`, `path \\fileserver\share\a.docx`},
	{`%APPDATA%\evil\a.exe`, `path %APPDATA%\evil\a.exe`},
	{`%ProgramFiles(x86)%\a\b.exe`, `path %ProgramFiles(x86)%\a\b.exe`},
	{`\Device\`, ""},
	{`\Device\HarddiskVolume3\Windows\a.exe`, `path \Device\HarddiskVolume3\Windows\a.exe`},
	{`ntdll at C:\Windows\ntdll.dll+161fc4|x`, `path C:\Windows\ntdll.dll`},
	{`\\Device\\HarddiskVolume3\\a.exe`, `path \Device\HarddiskVolume3\a.exe`},
	{`C:\`, ""},
	{`CORP\alice`, ""},
	{`CORP\\alice`, ""},
	{`\\.\pipe\evil`, ""},
	{`100% sure`, ""},
	{`a:b`, ""},
	// Unix paths
	{"ran /usr/bin/curl -s", "path /usr/bin/curl"},
	{"cat /etc/passwd;id", "path /etc/passwd"},
	{"PATH=/usr/bin:/opt/x/bin", "path /usr/bin | path /opt/x/bin"},
	{"~/.ssh/authorized_keys changed", "path ~/.ssh/authorized_keys"},
	{"and/or, 01/02/2024, n/a", ""},
	{"/c /s /help", ""},
	{"GET /index.php HTTP/1.1", ""},
	{"text/html", ""},
	// registry
	{`HKLM\Software\Microsoft\Windows\CurrentVersion\Run\x`, `registry HKLM\Software\Microsoft\Windows\CurrentVersion\Run\x`},
	{`HKLM:\\SOFTWARE\\Policies`, `registry HKLM:\SOFTWARE\Policies`},
	{`set HKEY_CURRENT_USER\Software\a to 1`, `registry HKEY_CURRENT_USER\Software\a`},
	{`\REGISTRY\MACHINE\SYSTEM\Setup`, `registry \REGISTRY\MACHINE\SYSTEM\Setup`},
	{`HKLM`, ""},
	{`XHKLM\Software`, ""},
	// plain text
	{"", ""},
	{"Nothing to see here, move along (really).", ""},
	{"....----____", ""},
	{"\x00\xff\xfe", ""},
}

func findings(text string) string {
	var out []string
	NewScanner().Scan(text, func(m Match) { out = append(out, string(m.Type)+" "+m.Value) })
	return strings.Join(out, " | ")
}

func TestScan(t *testing.T) {
	for _, row := range scanRows {
		if diff := cmp.Diff(row.want, findings(row.text)); diff != "" {
			t.Errorf("Scan(%q) (-want +got):\n%s", row.text, diff)
		}
	}
}

func TestScanFindsTheSameInsideSentences(t *testing.T) {
	for _, row := range scanRows {
		if row.want == "" || strings.Contains(row.text, "PATH=") {
			continue
		}
		if got := findings("seen: " + row.text + "\nthen nothing"); got != row.want {
			t.Errorf("in a sentence, %q: got %q, want %q", row.text, got, row.want)
		}
	}
}

func TestScanMarksDefanged(t *testing.T) {
	for text, want := range map[string]bool{
		"evil[.]example.com": true, "evil.example.com": false,
		"hxxp://example.com": true, "http://example.com": false, "HTTP://example.com": false,
		"a[at]example.com": true, "a@example[.]com": true, "a@example.com": false,
		"192.0.2[.]1": true, "192.0.2.1": false,
	} {
		got := NewScanner().Append(nil, text)
		if len(got) != 1 || got[0].Defanged != want {
			t.Errorf("Append(%q) = %+v, want one match, defanged %v", text, got, want)
		}
	}
}

func TestScanDoesNotAllocateWithoutMatches(t *testing.T) {
	s := NewScanner()
	text := strings.Repeat("System.Management.Automation svchost.exe 10.0.26100.4202 user.name 10:01:43 "+
		"C:\\ a/b {5770385f-c22a-43e0-bf4c-06f5698ffbd9} e.g. main.go 100% sure. ", 10)
	fn := func(m Match) { t.Errorf("unexpected match %+v", m) }
	s.Scan(text, fn)
	if n := testing.AllocsPerRun(20, func() { s.Scan(text, fn) }); n > 0 {
		t.Errorf("a scan without matches allocates %v times", n)
	}
}

func TestConfidence(t *testing.T) {
	for typ, want := range map[alert.IndicatorType]float64{
		alert.IndicatorIPv4: 0.7, alert.IndicatorSHA256: 0.8, alert.IndicatorSHA1: 0.7,
		alert.IndicatorDomain: 0.6, alert.IndicatorMD5: 0.6, alert.IndicatorURL: 0.8,
		alert.IndicatorEmail: 0.8, alert.IndicatorCVE: 0.9, alert.IndicatorPath: 0.5,
		alert.IndicatorRegistry: 0.6,
	} {
		if got := Confidence(typ); got != want {
			t.Errorf("Confidence(%s) = %v, want %v", typ, got, want)
		}
	}
}
