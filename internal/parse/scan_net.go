package parse

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

// numeric handles a word of digits, dots and dashes: an address, or a range of two.
func (w *walker) numeric(i, j int) bool {
	found := false
	for i < j {
		k := i
		for k < j && w.text[k] != '-' {
			k++
		}
		end := k
		for end > i && w.text[end-1] == '.' {
			end--
		}
		if _, ok := parseIPv4(w.text[i:end]); ok && !w.isVersion(i) {
			w.emit(alert.IndicatorIPv4, w.text[i:end], i, end, false)
			found = true
		}
		i = k + 1
	}
	return found
}

// parseIPv4 reads exactly four decimal numbers up to 255 without leading zeros.
func parseIPv4(s string) (a [4]byte, ok bool) {
	if len(s) < 7 || len(s) > 15 {
		return a, false
	}
	group, digits, n := 0, 0, 0
	for i := 0; i < len(s); i++ {
		b := s[i]
		switch {
		case b == '.':
			if digits == 0 || group == 3 {
				return a, false
			}
			a[group] = byte(n)
			group, digits, n = group+1, 0, 0
		case isDigit(b):
			if digits > 0 && n == 0 {
				return a, false
			}
			n = n*10 + int(b-'0')
			digits++
			if n > 255 {
				return a, false
			}
		default:
			return a, false
		}
	}
	a[group&3] = byte(n)
	return a, group == 3 && digits > 0
}

// versionWords stand before numbers that look like an address and are none.
var versionWords = map[string]bool{
	"v": true, "ver": true, "version": true, "versions": true, "fileversion": true,
	"productversion": true, "build": true, "release": true, "rev": true, "revision": true,
	"firmware": true, "oid": true, "section": true, "clause": true, "kernel": true,
	"agentversion": true, "osversion": true, "assemblyversion": true,
}

// agentWords are the products of a user agent that carry versions of four numbers.
var agentWords = map[string]bool{
	"chrome": true, "chromium": true, "headlesschrome": true, "edg": true, "edge": true,
	"edga": true, "edgios": true, "opr": true, "opera": true, "safari": true, "firefox": true,
	"version": true, "mozilla": true, "crios": true, "fxios": true, "brave": true,
	"vivaldi": true, "yabrowser": true, "electron": true, "teams": true, "outlook": true,
	"curl": true, "wget": true, "os": true,
}

// isVersion says whether the four numbers at text[i:] are a version by the word before.
func (w *walker) isVersion(i int) bool {
	p := i
	for p > 0 && i-p < 4 && strings.IndexByte(" :=\"'\t", w.text[p-1]) >= 0 {
		p--
	}
	slash := p == i && p > 0 && w.text[p-1] == '/'
	if slash {
		p--
	}
	end := p
	for p > 0 && end-p < 16 && classes[w.text[p-1]]&(cHex|cLetter) != 0 {
		p--
	}
	if p == end {
		return false
	}
	var buf [16]byte
	word := buf[:end-p]
	for k := range word {
		word[k] = lower(w.text[p+k])
	}
	if slash {
		return agentWords[string(word)] || versionWords[string(word)]
	}
	return versionWords[string(word)]
}

// ipv6 tries the address that begins at i, and returns its end or 0.
func (w *walker) ipv6(i int) int {
	if p := w.byteAt(i - 1); w.wordBefore(i) || p == '.' || p == ':' || i < w.last {
		return 0
	}
	j, colons, digit := i, 0, false
	for j < len(w.text) && j-i <= 45 {
		b := w.text[j]
		switch {
		case b == ':':
			colons++
		case isDigit(b):
			digit = true
		case !isHex(b) && b != '.':
			goto end
		}
		j++
	}
end:
	next := w.byteAt(j)
	if w.wordAfter(j) || next == '(' {
		return 0
	}
	for j > i && (w.text[j-1] == '.' || w.text[j-1] == ':' && w.byteAt(j-2) != ':') {
		j--
	}
	if colons < 2 || !digit {
		return 0
	}
	addr, ok := parseIPv6(w.text[i:j])
	if !ok || addr.IsUnspecified() {
		return 0
	}
	if addr = addr.Unmap(); addr.Is4() {
		w.emit(alert.IndicatorIPv4, addr.String(), i, j, false)
	} else {
		value := addr.String()
		if !strings.ContainsAny(value, "0123456789") || hardwareID(value) {
			return 0 // dead::beef is a name in C++ as well
		}
		w.emit(alert.IndicatorIPv6, value, i, j, false)
	}
	if next == '%' { // the zone belongs to the address and says nothing
		for k := j + 1; k < len(w.text) && isWord(w.text[k]); k++ {
			j = k + 1
		}
	}
	return j
}

// hardwareID says whether an address in its shortest form is eight bytes with colons, such as
// an EUI-64 or the serial number of a certificate.
func hardwareID(value string) bool {
	pairs, n := 0, 0
	for i := 0; i <= len(value); i++ {
		if i < len(value) && value[i] != ':' {
			n++
			continue
		}
		if n == 0 || n > 2 {
			return false
		}
		if n == 2 {
			pairs++
		}
		n = 0
	}
	return pairs >= 4
}

// parseIPv6 reads RFC 4291 text without a zone. It does not allocate when it fails.
func parseIPv6(s string) (netip.Addr, bool) {
	var a [16]byte
	n, gap, i := 0, -1, 0
	if strings.HasPrefix(s, "::") {
		gap, i = 0, 2
	} else if s == "" || s[0] == ':' {
		return netip.Addr{}, false
	}
	for i < len(s) {
		if n >= 16 {
			return netip.Addr{}, false
		}
		k, v := i, 0
		for k < len(s) && isHex(s[k]) && k-i < 5 {
			v = v<<4 | int(hexValue(s[k]))
			k++
		}
		if k < len(s) && s[k] == '.' {
			v4, ok := parseIPv4(s[i:])
			if !ok || n > 12 {
				return netip.Addr{}, false
			}
			n += copy(a[n:], v4[:])
			break
		}
		if k == i || k-i > 4 {
			return netip.Addr{}, false
		}
		a[n], a[n+1] = byte(v>>8), byte(v)
		n += 2
		i = k
		if i == len(s) {
			break
		}
		if s[i] != ':' || i+1 == len(s) {
			return netip.Addr{}, false
		}
		i++
		if s[i] == ':' {
			if gap >= 0 {
				return netip.Addr{}, false
			}
			gap = n
			i++
		}
	}
	switch {
	case gap < 0 && n != 16, gap >= 0 && n >= 16:
		return netip.Addr{}, false
	case gap >= 0:
		copy(a[16-(n-gap):], a[gap:n])
		clear(a[gap : 16-(n-gap)])
	}
	return netip.AddrFrom16(a), true
}

func hexValue(b byte) byte {
	switch {
	case isDigit(b):
		return b - '0'
	default:
		return lower(b) - 'a' + 10
	}
}

// minCVE is the length of the shortest CVE id.
const minCVE = len("CVE-1999-0001")

// cves finds every CVE id in the word text[i:j].
func (w *walker) cves(i, j int) {
	for ; i+minCVE <= j; i++ {
		if lower(w.text[i]) != 'c' || w.wordBefore(i) && w.text[i-1] != '_' {
			continue
		}
		if n := cveLen(w.text[i:j]); n > 0 && !w.wordAfter(i+n) {
			value := w.text[i : i+n]
			if value[:3] != "CVE" {
				value = "CVE" + value[3:]
			}
			w.emit(alert.IndicatorCVE, value, i, i+n, false)
			i += n - 1
		}
	}
}

// cveLen returns the length of the CVE id that s begins with: a year from 1999 and a number
// of four to nineteen digits, which is what the CVE record format allows.
func cveLen(s string) int {
	if len(s) < minCVE || !foldPrefix(s, "cve-") || s[8] != '-' {
		return 0
	}
	year, err := strconv.Atoi(s[4:8])
	if err != nil || year < 1999 || year > 2099 || s[4] == '+' {
		return 0
	}
	n := 9
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n < minCVE || n > 9+19 {
		return 0
	}
	return n
}

// hashes finds every run of exactly 32, 40 or 64 hexadecimal digits in the word text[i:j].
func (w *walker) hashes(i, j int) {
	for i < j {
		if !isHex(w.text[i]) {
			i++
			continue
		}
		k := i
		for k < j && isHex(w.text[k]) {
			k++
		}
		if t := hashType(k - i); t != "" && w.hashBounds(i, k) {
			w.emit(t, strings.ToLower(w.text[i:k]), i, k, false)
		}
		i = k
	}
}

func hashType(digits int) alert.IndicatorType {
	switch digits {
	case 32:
		return alert.IndicatorMD5
	case 40:
		return alert.IndicatorSHA1
	case 64:
		return alert.IndicatorSHA256
	}
	return ""
}

// hashBounds says whether the hexadecimal run stands alone: not inside a longer word, not
// between dashes as in a trace id, and not as an import hash, which is no hash of a file.
func (w *walker) hashBounds(i, j int) bool {
	before, after := w.byteAt(i-1), w.byteAt(j)
	if w.wordBefore(i) || w.wordAfter(j) || before == '-' && after == '-' {
		return false
	}
	const imp = "imphash"
	if i > len(imp) && (before == '=' || before == ':') && foldEqual(w.text[i-1-len(imp):i-1], imp) {
		return false
	}
	return true
}
