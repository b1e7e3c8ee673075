package intel

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func build(t testing.TB, tenant string, values ...string) *Index {
	t.Helper()
	b := NewBuilder(len(values))
	for _, v := range values {
		kind, value, err := Parse(v)
		if err != nil {
			t.Fatal(err)
		}
		b.Add(tenant, &Indicator{Type: kind, Value: value, Confidence: 60, Sources: []string{"feed"}})
	}
	return b.Build()
}

func TestIndexLookup(t *testing.T) {
	x := build(t, "acme",
		"198.51.100.7", "203.0.113.0/24", "2001:db8:1::/48", "2001:db8::7",
		"evil.example", "bad.co.uk", "a.github.io", "github.io",
		"http://evil.test/drop", "http://query.test/x?id=1", "http://198.51.100.9:8080/p", "https://UPPER.test/Path",
		"bob@evil.example", sampleHash, sampleMD5, "CVE-2026-0001",
		`%appdata%\evil\run.exe`, `hkcu\software\evil`)
	for _, c := range []struct {
		kind  alert.IndicatorType
		value string
		match Match
		found string // "" for no hit
	}{
		{alert.IndicatorIPv4, "198.51.100.7", MatchExact, "198.51.100.7"},
		{alert.IndicatorIPv6, "::ffff:198.51.100.7", MatchExact, "::ffff:198.51.100.7"},
		{alert.IndicatorIPv4, "198.51.100.8", 0, ""},
		{alert.IndicatorIPv4, "203.0.113.200", MatchNetwork, "203.0.113.200"},
		{alert.IndicatorIPv6, "2001:db8:1::5", MatchNetwork, "2001:db8:1::5"},
		{alert.IndicatorIPv6, "2001:DB8:0::7", MatchExact, "2001:DB8:0::7"},
		{alert.IndicatorIPv4, "not an address", 0, ""},
		{alert.IndicatorDomain, "EVIL.example.", MatchExact, "evil.example"},
		{alert.IndicatorDomain, "a.b.evil.example", MatchParent, "evil.example"},
		{alert.IndicatorDomain, "notevil.example", 0, ""},
		{alert.IndicatorDomain, "example", 0, ""},
		{alert.IndicatorDomain, "x.bad.co.uk", MatchParent, "bad.co.uk"},
		{alert.IndicatorDomain, "good.co.uk", 0, ""},
		{alert.IndicatorDomain, "x.a.github.io", MatchParent, "a.github.io"},
		{alert.IndicatorDomain, "github.io", MatchExact, "github.io"},
		{alert.IndicatorDomain, "other.github.io", 0, ""}, // a public suffix speaks for nobody below it
		{alert.IndicatorURL, "http://evil.test/drop", MatchExact, "evil.test/drop"},
		{alert.IndicatorURL, "HTTPS://Evil.test/drop#x", MatchExact, "evil.test/drop"},
		{alert.IndicatorURL, "http://evil.test:80/drop?session=5", MatchQuery, "evil.test/drop"},
		{alert.IndicatorURL, "http://evil.test/Drop", 0, ""},
		{alert.IndicatorURL, "http://evil.test/", 0, ""},
		{alert.IndicatorURL, "http://query.test/x?id=1", MatchExact, "query.test/x?id=1"},
		{alert.IndicatorURL, "http://query.test/x?id=2", 0, ""},
		{alert.IndicatorURL, "http://user@www.evil.example:81/any", MatchHost, "evil.example"},
		{alert.IndicatorURL, "http://198.51.100.7/any", MatchHost, "198.51.100.7"},
		{alert.IndicatorURL, "http://198.51.100.9:8080/p", MatchExact, "198.51.100.9:8080/p"},
		{alert.IndicatorURL, "https://upper.test/Path", MatchExact, "upper.test/Path"},
		{alert.IndicatorURL, "http://[2001:db8::7]:99/", MatchHost, "2001:db8::7"},
		{alert.IndicatorEmail, "Bob@Evil.example", MatchExact, "bob@evil.example"},
		{alert.IndicatorSHA256, sampleHash, MatchExact, sampleHash},
		{alert.IndicatorMD5, sampleMD5, MatchExact, sampleMD5},
		{alert.IndicatorCVE, "cve-2026-0001", MatchExact, "CVE-2026-0001"},
		{alert.IndicatorPath, `C:\Users\ann\AppData\Roaming\Evil\run.exe`, MatchExact, `%appdata%\evil\run.exe`},
		{alert.IndicatorRegistry, `HKEY_CURRENT_USER\Software\Evil`, MatchExact, `hkcu\software\evil`},
		{alert.IndicatorUserAgent, "Mozilla/5.0", 0, ""},
		{"ja3", "x", 0, ""}, {alert.IndicatorDomain, "", 0, ""},
	} {
		h, ok := x.Lookup("acme", c.kind, c.value, now)
		if ok != (c.found != "") || ok && (h.Value != c.found || h.Match != c.match || h.About.Sources[0] != "feed") {
			t.Errorf("%s %s: %v %q %s, want %q %s", c.kind, c.value, ok, h.Value, h.Match, c.found, c.match)
		}
	}
}

func TestIndexTenantsAndExpiry(t *testing.T) {
	b := NewBuilder(0)
	add := func(tenant, value string, confidence int, expiry time.Time) {
		b.Add(tenant, &Indicator{Type: alert.IndicatorDomain, Value: value, Confidence: confidence, Expiry: expiry})
	}
	add("acme", "own.example", 60, time.Time{})
	add("acme", "both.example", 60, time.Time{})
	add(SharedTenant, "both.example", 90, time.Time{})
	add("globex", "other.example", 60, time.Time{})
	add("acme", "old.example", 60, now)
	x := b.Build()
	for _, c := range []struct {
		tenant, value string
		want          int // confidence, 0 for no hit
	}{
		{"acme", "own.example", 60}, {"globex", "own.example", 0},
		{"acme", "other.example", 0}, {"globex", "other.example", 60},
		{"acme", "both.example", 90}, {"globex", "both.example", 90}, {"initech", "both.example", 90},
		{"acme", "old.example", 0}, {SharedTenant, "own.example", 0},
	} {
		if h, _ := x.Lookup(c.tenant, alert.IndicatorDomain, c.value, now); h.Confidence != c.want {
			t.Errorf("%s sees %s with %d, want %d", c.tenant, c.value, h.Confidence, c.want)
		}
	}
	if _, ok := x.Lookup("acme", alert.IndicatorDomain, "old.example", now.Add(-time.Second)); !ok {
		t.Error("an alert from before the expiry must be matched")
	}
	if x.Len() != 5 {
		t.Errorf("Len = %d", x.Len())
	}
}

func TestIndexMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a million indicators")
	}
	const n = 1_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x := buildMany(n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d indicators take %d MB", x.Len(), used>>20)
	if x.Len() != n || used > 200<<20 {
		t.Errorf("%d indicators take %d bytes", x.Len(), used)
	}
	runtime.KeepAlive(x)
}

func buildMany(n int) *Index {
	b := NewBuilder(n)
	i := Indicator{Confidence: 60, Sources: []string{"feed"}}
	for k := range n {
		switch k % 3 {
		case 0:
			i.Type, i.Value = alert.IndicatorDomain, fmt.Sprintf("host%d.evil.example", k)
		case 1:
			i.Type, i.Value = alert.IndicatorSHA256, fmt.Sprintf("%064x", k)
		default:
			i.Type, i.Value = alert.IndicatorIPv4, fmt.Sprintf("198.%d.%d.%d", k>>16&0xff, k>>8&0xff, k&0xff)
		}
		b.Add("acme", &i)
	}
	return b.Build()
}

func BenchmarkLookup(b *testing.B) {
	x := buildMany(100_000)
	for _, c := range []struct {
		name  string
		kind  alert.IndicatorType
		value string
	}{
		{"address", alert.IndicatorIPv4, "203.0.113.7"},
		{"hash", alert.IndicatorSHA256, sampleHash},
		{"domain_miss", alert.IndicatorDomain, "a.b.c.example.com"},
		{"domain_parent", alert.IndicatorDomain, "a.b.host3.evil.example"},
		{"url_miss", alert.IndicatorURL, "https://www.example.com/path/to/thing?id=12345"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.Lookup("acme", c.kind, c.value, now)
			}
		})
	}
}

func BenchmarkBuild100k(b *testing.B) {
	rows := make([]Indicator, 100_000)
	for k := range rows {
		rows[k] = Indicator{Type: alert.IndicatorDomain, Value: fmt.Sprintf("host%d.evil.example", k), Confidence: 60, Sources: []string{"feed"}}
	}
	b.ReportAllocs()
	for b.Loop() {
		builder := NewBuilder(len(rows))
		for k := range rows {
			builder.Add("acme", &rows[k])
		}
		builder.Build()
	}
}
