package parse

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/alert"
)

// maxValue is the most characters of one value.
const maxValue = 2048

// charset says which characters a kind of value keeps.
type charset uint8

const (
	plainText charset = iota // no shell metacharacters
	// names keeps what is legal in names of files, keys and accounts: a path loses its meaning
	// without "(x86)", a machine account is known by its "$".
	names
	webText     // keeps what RFC 3986 allows
	commandText // keeps everything printable
)

const (
	shellMeta = ";|&`$(){}[]<>\"'"
	nameMeta  = ";|`<>\""
	webMeta   = "|`{}<>\"\\^"
)

// dirty marks the ASCII bytes that clean has to look at, per charset.
var dirty = buildDirty()

func buildDirty() (t [4][128]bool) {
	for set, meta := range []string{shellMeta, nameMeta, webMeta, ""} {
		for b := 0; b < 128; b++ {
			t[set][b] = b < ' ' || b == 0x7f || strings.IndexByte(meta, byte(b)) >= 0
		}
	}
	return t
}

// clean takes control, bidirectional and invisible characters out of a value, and the shell
// metacharacters that the charset does not keep, trims it, and cuts it at maxValue characters.
// A clean value is returned as it is.
func clean(s string, set charset) string {
	s = strings.TrimSpace(s)
	bad := &dirty[set]
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf && !bad[s[i]] {
		i++
	}
	if i == len(s) && len(s) <= maxValue {
		return s
	}
	if i >= maxValue {
		return strings.TrimSpace(s[:maxValue])
	}
	buf := make([]byte, i, min(len(s), 4*maxValue))
	copy(buf, s)
	count := i
	for i < len(s) && count < maxValue {
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r < utf8.RuneSelf && !bad[r], r >= utf8.RuneSelf && !invisible(r) && (r != utf8.RuneError || n > 1):
			buf = utf8.AppendRune(buf, r)
			count++
		case set == commandText && (r == '\t' || r == '\n' || r == '\r'):
			buf = append(buf, ' ')
			count++
		}
	}
	return strings.TrimSpace(string(buf))
}

// invisible says whether a character beyond ASCII shows nothing or changes how others show:
// controls, bidirectional and zero-width characters, tags, private and unassigned format codes.
func invisible(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' ||
		r == '\u115f' || r == '\u1160' || r == '\u3164' || r == '\uffa0' || r >= 0xfe00 && r <= 0xfe0f ||
		r >= 0xe0000 && r <= 0xe0fff
}

// absent says whether a field holds one of the ways of saying nothing.
func absent(v string) bool {
	if len(v) > 9 {
		return false
	}
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "", "-", "--", "n/a", "na", "none", "null", "(null)", "nil", "unknown", "undefined", "::", "0.0.0.0", "local", `-\-`:
		return true
	}
	return false
}

// hostName validates a host name: labels of at most 64 characters, 253 in all.
func hostName(v string) (string, bool) {
	v = strings.Trim(v, ". ")
	if v == "" || len(v) > maxHost {
		return "", false
	}
	label := 0
	for i := 0; i < len(v); i++ {
		c := classes[v[i]]
		switch {
		case c&cDot != 0:
			if label == 0 {
				return "", false
			}
			label = 0
			continue
		case c&(cDigit|cHex|cLetter|cDash|cHigh) == 0:
			return "", false
		}
		if label++; label > 64 {
			return "", false
		}
	}
	return v, true
}

// address reads an IP address, with or without brackets, zone and port, and returns its
// shortest text.
func address(v string) (string, bool) {
	v = strings.TrimSpace(v)
	if end := strings.IndexByte(v, ']'); strings.HasPrefix(v, "[") && end > 0 {
		v = v[1:end]
	} else if colon := strings.IndexByte(v, ':'); colon > 0 && strings.LastIndexByte(v, ':') == colon {
		if portLen(v[colon:]) != len(v)-colon {
			return "", false
		}
		v = v[:colon]
	}
	if v == "" || len(v) > 64 {
		return "", false
	}
	if _, ok := parseIPv4(v); ok {
		return v, true
	}
	if strings.IndexByte(v, ':') < 0 {
		return "", false
	}
	if zone := strings.IndexByte(v, '%'); zone > 0 {
		v = v[:zone]
	}
	a, ok := parseIPv6(v)
	if !ok {
		return "", false
	}
	if s := a.Unmap().String(); s != v {
		return s, true
	}
	return v, true
}

// addressType is the indicator type of an address as address returns it.
func addressType(v string) alert.IndicatorType {
	if a, err := netip.ParseAddr(v); err == nil && a.Is4() {
		return alert.IndicatorIPv4
	}
	return alert.IndicatorIPv6
}

// isUPN says whether v has the form name@domain.
func isUPN(v string) bool {
	name, domain, ok := strings.Cut(v, "@")
	if !ok || name == "" || strings.ContainsAny(name, " \t\\/") {
		return false
	}
	_, labels, valid := validHost(domain)
	return valid && labels >= 2
}

// hashOf validates a file hash and returns it in lower case with the algorithm of its length.
func hashOf(v string) (string, alert.IndicatorType, bool) {
	v = strings.TrimSpace(v)
	t := hashType(len(v))
	if t == "" {
		return "", "", false
	}
	for i := 0; i < len(v); i++ {
		if !isHex(v[i]) {
			return "", "", false
		}
	}
	return strings.ToLower(v), t, true
}
