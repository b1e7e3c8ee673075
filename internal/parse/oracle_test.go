package parse

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/alert"
)

// The oracles are slow second readings of the same definitions: at every position they try
// the longest and check what stands on either side.

func wordByte(s string, i int) bool {
	if i < 0 || i >= len(s) {
		return false
	}
	b := s[i]
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

func oracleIPv4(s string) []string {
	var out []string
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789.-", r) }) {
		for _, part := range strings.Split(word, "-") {
			part = strings.Trim(part, ".")
			if a, err := netip.ParseAddr(part); err == nil && a.Is4() {
				out = append(out, part)
			}
		}
	}
	return out
}

func oracleHashes(s string) []string {
	var out []string
	for i := 0; i < len(s); i++ {
		for _, n := range []int{64, 40, 32} {
			if i+n > len(s) || strings.Trim(strings.ToLower(s[i:i+n]), "0123456789abcdef") != "" ||
				wordByte(s, i-1) || wordByte(s, i+n) {
				continue
			}
			if i > 0 && s[i-1] == '-' && i+n < len(s) && s[i+n] == '-' {
				continue
			}
			out = append(out, strings.ToLower(s[i:i+n]))
		}
	}
	return out
}

func oracleCVE(s string) []string {
	var out []string
	for i := range len(s) {
		if len(s)-i < 13 || !strings.EqualFold(s[i:i+4], "cve-") || s[i+8] != '-' || wordByte(s, i-1) && s[i-1] != '_' {
			continue
		}
		year, err := strconv.Atoi(s[i+4 : i+8])
		n := i + 9
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		if err == nil && year >= 1999 && year <= 2099 && n-i-9 >= 4 && n-i-9 <= 19 && !wordByte(s, n) {
			out = append(out, "CVE"+s[i+3:n])
		}
	}
	return out
}

func scanned(s string, types ...alert.IndicatorType) []string {
	var out []string
	NewScanner().Scan(s, func(m Match) {
		if slices.Contains(types, m.Type) {
			out = append(out, m.Value)
		}
	})
	return out
}

func TestScanIPv4AgainstOracle(t *testing.T) {
	part := rapid.SampledFrom([]string{"1", "10", "203", "255", "256", "0", "07", ".", ".", ".", ".", " ", ",", "-", ";", "113"})
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOfN(part, 0, 40).Draw(t, "parts"), "")
		if got, want := scanned(s, alert.IndicatorIPv4), oracleIPv4(s); !slices.Equal(got, want) {
			t.Fatalf("%q: scanner %q, oracle %q", s, got, want)
		}
	})
}

func TestScanHashesAgainstOracle(t *testing.T) {
	part := rapid.OneOf(
		rapid.StringMatching(`[0-9a-fA-F]{32}`), rapid.StringMatching(`[0-9a-f]{40}`),
		rapid.StringMatching(`[0-9A-F]{64}`), rapid.StringMatching(`[0-9a-f]{8}`),
		rapid.SampledFrom([]string{" ", "-", "_", "g", "=", ",", "\n", "0", "("}))
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOfN(part, 0, 12).Draw(t, "parts"), "")
		got := scanned(s, alert.IndicatorMD5, alert.IndicatorSHA1, alert.IndicatorSHA256)
		if want := oracleHashes(s); !slices.Equal(got, want) {
			t.Fatalf("%q: scanner %q, oracle %q", s, got, want)
		}
	})
}

func TestScanCVEAgainstOracle(t *testing.T) {
	part := rapid.OneOf(
		rapid.StringMatching(`(CVE|cve)-(19|20)[0-9]{2}-[0-9]{3,6}`),
		rapid.SampledFrom([]string{"CVE-", "-", "_", " ", ".", "x", "7", "2021", ",", "("}))
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOfN(part, 0, 12).Draw(t, "parts"), "")
		if got, want := scanned(s, alert.IndicatorCVE), oracleCVE(s); !slices.Equal(got, want) {
			t.Fatalf("%q: scanner %q, oracle %q", s, got, want)
		}
	})
}

// checkMatches states what holds for every match in any text.
func checkMatches(t testing.TB, s *Scanner, text string) {
	last := 0
	for _, m := range s.Append(nil, text) {
		if m.Start < last || m.End <= m.Start || m.End > len(text) {
			t.Fatalf("%q: match %+v overlaps or lies outside", text, m)
		}
		last = m.End
		if m.Value == "" || Confidence(m.Type) <= 0 {
			t.Fatalf("%q: match %+v without value or confidence", text, m)
		}
		if m.Type == alert.IndicatorDomain && (m.Defanged || m.Value != strings.ToLower(text[m.Start:m.End])) {
			// The form proved a domain; the plain value needs another proof.
			m.Type, m.Value = alert.IndicatorURL, "http://"+m.Value
		}
		value := m.Value
		if before := text[max(0, m.Start-1):m.Start]; before == `"` || before == "'" {
			value = before + value + before // what ends a path is allowed in one in quotes
		} else if strings.Contains(value, " ") {
			continue // where it ends depends on what follows it
		}
		again := s.Append(nil, value)
		if len(again) == 0 || again[0].Type != m.Type || again[0].Value != m.Value {
			t.Fatalf("%q: value of %+v is scanned again as %+v", text, m, again)
		}
	}
}

func TestScanValuesAreStable(t *testing.T) {
	s := NewScanner()
	for _, row := range scanRows {
		checkMatches(t, s, row.text)
	}
	part := rapid.OneOf(rapid.StringN(0, 6, 12), rapid.SampledFrom([]string{
		"http", "hxxp", "://", "[:]//", "evil", ".com", "[.]", "(dot)", "@", "[at]", "C:", `\`, `\\`, "/", "/etc/",
		"HKLM", "203.0.113.7", "::", "2001:db8::1", "[", "]", "(", ")", "{", "}", "%", "%A%", "?", "#", ":", "'", "\"", " ",
		".", ",", "-", "_", "CVE-2021-44228", md5Hex, sha1Hex, "ü", "“", "рф", "xn--p1ai", "=", "&", "+", ";",
	}))
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(part, 0, 14).Draw(t, "parts"), "")
		checkMatches(rapidTB{T: t}, s, text)
	})
}

// rapidTB lets a property use the helpers of ordinary tests.
type rapidTB struct {
	testing.TB
	T *rapid.T
}

func (r rapidTB) Fatalf(format string, args ...any) { r.T.Fatalf(format, args...) }

func FuzzScanner(f *testing.F) {
	for _, row := range scanRows {
		f.Add(row.text)
	}
	s := NewScanner()
	f.Fuzz(func(t *testing.T, text string) { checkMatches(t, s, text) })
}
