package parse

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
)

func TestWarn(t *testing.T) {
	l := NewWarningLists()
	for _, c := range []struct {
		typ         alert.IndicatorType
		value, want string
	}{
		{alert.IndicatorIPv4, "10.1.2.3", ReasonPrivate},
		{alert.IndicatorIPv4, "172.31.255.255", ReasonPrivate},
		{alert.IndicatorIPv4, "172.32.0.1", ""},
		{alert.IndicatorIPv4, "192.168.0.1", ReasonPrivate},
		{alert.IndicatorIPv4, "100.64.0.1", ReasonShared},
		{alert.IndicatorIPv4, "100.128.0.1", ""},
		{alert.IndicatorIPv4, "127.0.0.1", ReasonLoopback},
		{alert.IndicatorIPv4, "169.254.1.1", ReasonLinkLocal},
		{alert.IndicatorIPv4, "169.254.169.254", ReasonPlatform},
		{alert.IndicatorIPv4, "224.0.0.251", ReasonMulticast},
		{alert.IndicatorIPv4, "249.1.2.3", ReasonReserved},
		{alert.IndicatorIPv4, "0.0.0.0", ReasonThisNetwork},
		{alert.IndicatorIPv4, "192.0.2.9", ReasonDocumentation},
		{alert.IndicatorIPv4, "8.8.8.8", ReasonResolver},
		{alert.IndicatorIPv4, "8.8.8.9", ""},
		{alert.IndicatorIPv4, "11.2.3.4", ""},
		{alert.IndicatorIPv4, "nonsense", ""},
		{alert.IndicatorIPv6, "::1", ReasonLoopback},
		{alert.IndicatorIPv6, "fe80::1", ReasonLinkLocal},
		{alert.IndicatorIPv6, "fd12::1", ReasonPrivate},
		{alert.IndicatorIPv6, "2001:db8::1", ReasonDocumentation},
		{alert.IndicatorIPv6, "2606:4700:4700::1111", ReasonResolver},
		{alert.IndicatorIPv6, "2a00::1", ""},
		{alert.IndicatorDomain, "microsoft.com", ReasonWellKnown},
		{alert.IndicatorDomain, "Update.Microsoft.com", ReasonWellKnown},
		{alert.IndicatorDomain, "au.download.windowsupdate.com", ReasonWellKnown},
		{alert.IndicatorDomain, "notmicrosoft.com", ""},
		{alert.IndicatorDomain, "microsoft.com.evil.shop", ""},
		{alert.IndicatorDomain, "someone.github.io", ""},
		{alert.IndicatorDomain, "tenant.sharepoint.com", ""},
		{alert.IndicatorDomain, "x.blob.core.windows.net", ""},
		{alert.IndicatorDomain, "docs.google.com", ""},
		{alert.IndicatorDomain, "storage.googleapis.com", ""},
		{alert.IndicatorDomain, "www.googleapis.com", ""},
		{alert.IndicatorDomain, "login.live.com", ReasonWellKnown},
		{alert.IndicatorDomain, "a.example.com", ReasonDocumentation},
		{alert.IndicatorDomain, "ws1.corp.local", ReasonSpecialName},
		{alert.IndicatorURL, "https://www.microsoft.com/x", ReasonWellKnown},
		{alert.IndicatorURL, "https://www.google.com/url?q=https://evil.shop/", ""},
		{alert.IndicatorURL, "https://www.google.com@evil.shop/", ""},
		{alert.IndicatorURL, "https://docs.google.com/forms/x", ""},
		{alert.IndicatorURL, "http://10.0.0.1:8080/x", ReasonPrivate},
		{alert.IndicatorURL, "http://[::1]/x", ReasonLoopback},
		{alert.IndicatorURL, "http://11.0.0.1/x", ""},
		{alert.IndicatorEmail, "a@example.com", ReasonDocumentation},
		{alert.IndicatorEmail, "a@microsoft.com", ""},
		{alert.IndicatorMD5, "D41D8CD98F00B204E9800998ECF8427E", ReasonEmptyHash},
		{alert.IndicatorMD5, md5Hex, ""},
		{alert.IndicatorMD5, strings.Repeat("0", 32), ReasonFillerHash},
		{alert.IndicatorSHA1, "da39a3ee5e6b4b0d3255bfef95601890afd80709", ReasonEmptyHash},
		{alert.IndicatorSHA256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", ReasonEmptyHash},
		{alert.IndicatorCVE, "CVE-2021-44228", ""},
		{alert.IndicatorPath, `C:\Windows\System32\cmd.exe`, ""},
		{alert.IndicatorMD5, "", ""},
	} {
		if got := l.Warn(c.typ, c.value); got != c.want {
			t.Errorf("Warn(%s, %q) = %q, want %q", c.typ, c.value, got, c.want)
		}
	}
}

func TestCountDocumentation(t *testing.T) {
	l := NewWarningLists(CountDocumentation())
	for typ, v := range map[alert.IndicatorType]string{
		alert.IndicatorIPv4: "203.0.113.1", alert.IndicatorIPv6: "2001:db8::1", alert.IndicatorDomain: "a.example.com",
	} {
		if r := l.Warn(typ, v); r != "" {
			t.Errorf("Warn(%s, %s) = %q", typ, v, r)
		}
	}
	if l.Warn(alert.IndicatorIPv4, "10.0.0.1") == "" {
		t.Error("private addresses must stay listed")
	}
}

func TestLoadMISP(t *testing.T) {
	l := NewWarningLists()
	load := func(doc string) (int, error) { return l.LoadMISP(strings.NewReader(doc)) }
	if n, err := load(`{"name":"scanners","type":"cidr","list":["11.1.0.0/16","11.2.3.4"]}`); n != 2 || err != nil {
		t.Errorf("cidr: %d, %v", n, err)
	}
	if n, err := load(`{"name":"top","type":"hostname","list":["vendor.shop","open.github.io","co.uk"]}`); n != 3 || err != nil {
		t.Errorf("hostname: %d, %v", n, err)
	}
	if n, err := load(`{"name":"strings","type":"string","list":["` + md5Hex + `","plain.shop"]}`); n != 2 || err != nil {
		t.Errorf("string: %d, %v", n, err)
	}
	for _, c := range []struct {
		typ         alert.IndicatorType
		value, want string
	}{
		{alert.IndicatorIPv4, "11.1.2.3", "scanners"},
		{alert.IndicatorIPv4, "11.2.3.4", "scanners"},
		{alert.IndicatorIPv4, "11.2.3.5", ""},
		{alert.IndicatorDomain, "cdn.vendor.shop", "top"},
		{alert.IndicatorDomain, "open.github.io", "top"},
		{alert.IndicatorDomain, "other.github.io", ""},
		{alert.IndicatorDomain, "evil.co.uk", ""},
		{alert.IndicatorMD5, md5Hex, "strings"},
		{alert.IndicatorURL, "https://plain.shop/x", "strings"},
	} {
		if got := l.Warn(c.typ, c.value); got != c.want {
			t.Errorf("Warn(%s, %q) = %q, want %q", c.typ, c.value, got, c.want)
		}
	}
}

func TestLoadMISPErrors(t *testing.T) {
	l := NewWarningLists()
	if _, err := l.LoadMISP(strings.NewReader(`{"type":"regex","list":["x"]}`)); !errors.Is(err, ErrListKind) {
		t.Errorf("regex: %v", err)
	}
	if _, err := l.LoadMISP(strings.NewReader(`[1`)); err == nil {
		t.Error("broken JSON was accepted")
	}
	var bad *ListError
	n, err := l.LoadMISP(strings.NewReader(`{"name":"x","type":"cidr","list":["0.0.0.0/0","11.9.0.0/16","zzz"]}`))
	if !errors.As(err, &bad) || n != 1 || len(bad.Entries) != 2 {
		t.Errorf("bad entries: %d, %v", n, err)
	}
	if l.Warn(alert.IndicatorIPv4, "11.9.1.1") == "" || l.Warn(alert.IndicatorIPv4, "11.8.1.1") != "" {
		t.Error("the good entries must be loaded, and only those")
	}
}

func TestLoadMISPFiles(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "data", "ti", "warninglists")
	files, _ := filepath.Glob(filepath.Join(dir, "*.json*"))
	if len(files) == 0 {
		t.Skip("the warning lists are not here")
	}
	l := NewWarningLists()
	for _, name := range files {
		n, err := loadFile(l, name)
		var bad *ListError
		if err != nil && (!errors.As(err, &bad) || len(bad.Entries) > 5) {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
		if n == 0 {
			t.Errorf("%s: nothing loaded", filepath.Base(name))
		}
		t.Logf("%s: %d entries, %v", filepath.Base(name), n, err)
	}
	for value, listed := range map[string]bool{"accuweather.com": true, "evil.ac.uk": false, "someone.github.io": false} {
		if got := l.Warn(alert.IndicatorDomain, value) != ""; got != listed {
			t.Errorf("%s listed: %v, want %v", value, got, listed)
		}
	}
}

func loadFile(l *WarningLists, name string) (int, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return 0, err
		}
	}
	return l.LoadMISP(r)
}

func FuzzLoadMISP(f *testing.F) {
	f.Add(`{"name":"x","type":"cidr","list":["11.0.0.0/8","::/0","1.2.3.4"]}`)
	f.Add(`{"type":"hostname","list":["a.b","http://c.d/e",".x","-"]}`)
	f.Fuzz(func(t *testing.T, doc string) {
		l := NewWarningLists()
		_, _ = l.LoadMISP(strings.NewReader(doc))
		for _, m := range NewScanner().Append(nil, doc) {
			l.Warn(m.Type, m.Value)
		}
	})
}
