package intel

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/alert"
)

// ValueError says why a value cannot be an indicator.
type ValueError struct {
	Value  string
	Reason string
}

// Error implements error.
func (e *ValueError) Error() string {
	return fmt.Sprintf("intel: %q is not usable as an indicator: %s", cut(e.Value, 80), e.Reason)
}

func refuse(v, format string, args ...any) error {
	return &ValueError{Value: v, Reason: fmt.Sprintf(format, args...)}
}

// Parse finds out what kind of indicator a value is and brings it into canonical form:
// refanged, lower case where the systems concerned compare without case, domains in their
// ASCII form, addresses shortened, URLs with a lower-case host and without default port, user
// and fragment, paths and registry keys with the usual variables. The error is a *ValueError.
func Parse(raw string) (alert.IndicatorType, string, error) {
	v, err := prepare(raw)
	if err != nil {
		return "", "", err
	}
	t, err := guess(v)
	if err != nil {
		return "", "", err
	}
	return canonical(t, v)
}

// ParseAs is Parse for a value whose kind the feed states. The kind that comes back may
// differ where the feed's word is wider: "ipv4" for an IPv6 address, or "url" for an address
// with a port.
func ParseAs(t alert.IndicatorType, raw string) (alert.IndicatorType, string, error) {
	v, err := prepare(raw)
	if err != nil {
		return "", "", err
	}
	return canonical(t, v)
}

const maxValue = 2048

func prepare(raw string) (string, error) {
	v := refang(strings.TrimSpace(raw))
	switch {
	case v == "":
		return "", refuse(raw, "it is empty")
	case len(v) > maxValue:
		return "", refuse(raw, "it is longer than %d bytes", maxValue)
	case !utf8.ValidString(v):
		return "", refuse(raw, "it is not valid UTF-8")
	case strings.ContainsFunc(v, unicode.IsControl):
		return "", refuse(raw, "it has control characters")
	}
	return v, nil
}

func guess(v string) (alert.IndicatorType, error) {
	if isCVE(v) {
		return alert.IndicatorCVE, nil
	}
	if t := hashType(v); t != "" {
		return t, nil
	}
	if strings.Contains(v, "://") {
		return alert.IndicatorURL, nil
	}
	if isAddress(v) {
		return alert.IndicatorIPv4, nil
	}
	if isRegistry(v) {
		return alert.IndicatorRegistry, nil
	}
	if strings.Contains(v, `\`) || strings.HasPrefix(v, "%") {
		return alert.IndicatorPath, nil
	}
	if v[0] == '/' {
		return "", refuse(v, "a path without a host matches too much")
	}
	if strings.ContainsAny(v, " \t") {
		return "", refuse(v, "it is not of a known kind")
	}
	if strings.ContainsAny(v, "/?") {
		return alert.IndicatorURL, nil
	}
	if strings.Contains(v, "@") {
		return alert.IndicatorEmail, nil
	}
	return alert.IndicatorDomain, nil
}

// canonical repeats what may uncover more to be done, such as quotes inside quotes, until
// the value stays the same.
func canonical(t alert.IndicatorType, v string) (alert.IndicatorType, string, error) {
	raw := v
	for range 4 {
		t2, v2, err := canonicalOnce(t, v)
		if err != nil || t2 == t && v2 == v {
			return t2, v2, err
		}
		t, v = t2, refang(strings.TrimSpace(v2))
	}
	return "", "", refuse(raw, "it is wrapped too often")
}

func canonicalOnce(t alert.IndicatorType, v string) (alert.IndicatorType, string, error) {
	switch t {
	case alert.IndicatorIPv4, alert.IndicatorIPv6:
		return canonicalAddress(v)
	case alert.IndicatorDomain:
		if isAddress(v) {
			return canonicalAddress(v)
		}
		d, err := canonicalDomain(cutPort(v))
		return t, d, err
	case alert.IndicatorURL:
		return canonicalURL(v)
	case alert.IndicatorEmail:
		return canonicalEmail(v)
	case alert.IndicatorMD5, alert.IndicatorSHA1, alert.IndicatorSHA256:
		return canonicalHash(t, v)
	case alert.IndicatorCVE:
		if !isCVE(v) {
			return "", "", refuse(v, "a CVE id has the form CVE-2024-12345")
		}
		return t, strings.ToUpper(v), nil
	case alert.IndicatorUserAgent:
		if len(v) < 8 {
			return "", "", refuse(v, "a user agent of fewer than 8 bytes matches too much")
		}
		return t, clean(v), nil
	case alert.IndicatorPath:
		p, err := canonicalPath(v)
		return t, p, err
	case alert.IndicatorRegistry:
		k, err := canonicalRegistry(v)
		return t, k, err
	default:
		return "", "", refuse(v, "indicators of type %q are not supported", t)
	}
}

func canonicalHash(t alert.IndicatorType, v string) (alert.IndicatorType, string, error) {
	found := hashType(v)
	if found == "" {
		return "", "", refuse(v, "an MD5, SHA-1 or SHA-256 has 32, 40 or 64 hexadecimal digits")
	}
	if found != t {
		return "", "", refuse(v, "it is called %s and has the length of %s", t, found)
	}
	h := strings.ToLower(v)
	if emptyHash(h) {
		return "", "", refuse(v, "it is the hash of an empty file")
	}
	if strings.Count(h, h[:1]) == len(h) {
		return "", "", refuse(v, "it is a placeholder")
	}
	return t, h, nil
}

// emptyHash knows MD5, SHA-1 and SHA-256 of nothing.
func emptyHash(h string) bool {
	switch h {
	case "d41d8cd98f00b204e9800998ecf8427e",
		"da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855":
		return true
	}
	return false
}

func hashType(v string) alert.IndicatorType {
	var t alert.IndicatorType
	switch len(v) {
	case 32:
		t = alert.IndicatorMD5
	case 40:
		t = alert.IndicatorSHA1
	case 64:
		t = alert.IndicatorSHA256
	default:
		return ""
	}
	for i := range len(v) {
		c := v[i] | 0x20
		if (c < 'a' || c > 'f') && (v[i] < '0' || v[i] > '9') {
			return ""
		}
	}
	return t
}

func isCVE(v string) bool {
	if len(v) < 13 || len(v) > 24 || !strings.EqualFold(v[:4], "CVE-") || v[8] != '-' {
		return false
	}
	return digits(v[4:8]) && digits(v[9:])
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// refang undoes the ways in which people make values harmless to click on.
func refang(v string) string {
	if len(v) > 4 && (v[0]|0x20) == 'h' && strings.EqualFold(v[:4], "hxxp") {
		v = "http" + v[4:]
	}
	if !strings.ContainsAny(v, "[({") {
		return v
	}
	return fangs.Replace(v)
}

var fangs = strings.NewReplacer(
	"[.]", ".", "(.)", ".", "{.}", ".", "[.", ".", ".]", ".", "[dot]", ".", "(dot)", ".", "[DOT]", ".",
	"[://]", "://", "[:]", ":", "[/]", "/", "[@]", "@", "(@)", "@", "[at]", "@", "(at)", "@",
)

// clean drops control characters and folds white space, so that a value fits on one line.
func clean(s string) string {
	plain := true
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return strings.TrimSpace(s)
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == utf8.RuneError || unicode.Is(unicode.Cf, r):
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case unicode.IsControl(r):
		default:
			b.WriteRune(r)
		}
	}
	return strings.TrimSpace(b.String())
}

// cut shortens s to at most n bytes on a character boundary.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
