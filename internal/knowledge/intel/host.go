package intel

import (
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"github.com/aluskort/aluskort/internal/alert"
)

// canonicalDomain checks a host name. Underscores pass: they occur in names that are in use.
func canonicalDomain(v string) (string, error) {
	d := strings.TrimSuffix(v, ".")
	d = strings.TrimPrefix(d, "*")
	d = lower(strings.TrimPrefix(d, "."))
	if !ascii(d) {
		a, err := idna.New(idna.MapForLookup(), idna.StrictDomainName(false)).ToASCII(d)
		if err != nil {
			return "", refuse(v, "its international form is not valid")
		}
		d = a
	}
	if why := badDomain(d); why != "" {
		return "", refuse(v, "%s", why)
	}
	if suffix, icann := publicsuffix.PublicSuffix(d); icann && suffix == d {
		return "", refuse(v, "it is a public suffix")
	}
	return d, nil
}

func badDomain(d string) string {
	if len(d) < 4 {
		return "a domain of fewer than 4 bytes matches too much"
	}
	if len(d) > 253 {
		return "a domain has at most 253 bytes"
	}
	labels, last := 0, ""
	for rest, more := d, true; more; labels++ {
		last, rest, more = strings.Cut(rest, ".")
		if why := badLabel(last); why != "" {
			return why
		}
	}
	if labels < 2 {
		return "a name of one label is local"
	}
	switch last {
	case "local", "localhost", "localdomain", "internal", "intranet", "lan", "home", "corp", "arpa", "invalid":
		return "names under ." + last + " are local or reserved"
	}
	if digits(last) {
		return "its last label is a number"
	}
	return ""
}

func badLabel(l string) string {
	if l == "" || len(l) > 63 {
		return "a label of a domain has 1 to 63 bytes"
	}
	for i := range len(l) {
		c := l[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return "it has characters that no domain has"
		}
	}
	return ""
}

// canonicalURL takes http, https, ftp and the websocket schemes, and a URL without a scheme
// as http. Of a tcp, udp or file URL, which no log writes as a URL, the host comes back.
func canonicalURL(v string) (alert.IndicatorType, string, error) {
	scheme, rest, ok := strings.Cut(v, "://")
	if !ok {
		scheme, rest = "http", v
	}
	scheme = lower(scheme)
	for i := range len(rest) {
		if rest[i] <= ' ' || rest[i] == 0x7f {
			return "", "", refuse(v, "a URL has no white space")
		}
	}
	rest, _, _ = strings.Cut(rest, "#")
	authority, tail := splitAuthority(rest)
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		if scheme == "file" { // WebDAV: host@SSL, host@8080
			authority = authority[:at]
		} else {
			authority = authority[at+1:]
		}
	}
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		host, port = authority[:i], authority[i+1:]
		if port != "" && (!digits(port) || len(port) > 5) {
			return "", "", refuse(v, "its port is not a number")
		}
	}
	t, name, err := canonicalHost(v, host)
	if err != nil {
		return "", "", err
	}
	switch scheme {
	case "tcp", "udp", "file":
		return t, name, nil
	case "http", "https", "ftp", "ftps", "ws", "wss":
	default:
		return "", "", refuse(v, "URLs of scheme %q are not supported", cut(scheme, 20))
	}
	if t == alert.IndicatorIPv6 {
		name = "[" + name + "]"
	}
	if port != "" && port != defaultPort(scheme) {
		name += ":" + port
	}
	if tail == "" || tail[0] == '?' {
		tail = "/" + tail
	}
	return alert.IndicatorURL, scheme + "://" + name + tail, nil
}

func canonicalHost(v, host string) (alert.IndicatorType, string, error) {
	if host == "" {
		return "", "", refuse(v, "it has no host")
	}
	if strings.ContainsAny(host, "*%") {
		return "", "", refuse(v, "its host has a wildcard or an escape")
	}
	if isAddress(host) {
		t, a, err := canonicalAddress(host)
		if err != nil {
			return "", "", err
		}
		return t, a, nil
	}
	d, err := canonicalDomain(host)
	if err != nil {
		return "", "", err
	}
	return alert.IndicatorDomain, d, nil
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	case "ftp":
		return "21"
	}
	return ""
}

// splitAuthority cuts what follows "://" into the authority and the rest, which starts with
// a slash or a question mark or is empty.
func splitAuthority(rest string) (authority, tail string) {
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		return rest[:i], rest[i:]
	}
	return rest, ""
}

func canonicalEmail(v string) (alert.IndicatorType, string, error) {
	v = strings.Trim(strings.TrimPrefix(v, "mailto:"), "<>")
	i := strings.LastIndexByte(v, '@')
	if i < 1 || strings.ContainsAny(v[:i], " \t<>()[],;:\"") {
		return "", "", refuse(v, "it is not a mail address")
	}
	d, err := canonicalDomain(v[i+1:])
	if err != nil {
		return "", "", err
	}
	return alert.IndicatorEmail, lower(v[:i]) + "@" + d, nil
}

// cutPort drops ":443" from a host name.
func cutPort(v string) string {
	if i := strings.LastIndexByte(v, ':'); i > 0 && digits(v[i+1:]) {
		return v[:i]
	}
	return v
}

// lower is strings.ToLower without a scan by rune for what is lower-case ASCII already.
func lower(s string) string {
	for i := range len(s) {
		if c := s[i]; c >= 'A' && c <= 'Z' || c >= 0x80 {
			return strings.ToLower(s)
		}
	}
	return s
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
