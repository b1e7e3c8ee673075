package asset

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/ingest"
)

// fold brings a name into the form under which names are compared. Characters beyond ASCII
// never fold into ASCII, so that the Kelvin sign is no k.
func fold(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= utf8.RuneSelf {
			return strings.Map(foldRune, s)
		}
	}
	return strings.ToLower(s)
}

func foldRune(r rune) rune {
	low := unicode.ToLower(r)
	if r >= utf8.RuneSelf && low < utf8.RuneSelf {
		return r
	}
	return low
}

// stated takes the escaping of a source and what surrounds a value from it.
func stated(s string) string { return strings.Trim(ingest.CleanWindows(s), " \t\r\n\"'") }

// hostName returns the compared form of a host name; ok is false for what is none.
func hostName(s string) (name string, ok bool) {
	name = strings.TrimSuffix(fold(strings.TrimPrefix(stated(s), `\\`)), ".")
	if name == "" || len(name) > 253 || name[0] == '.' || strings.Contains(name, "..") {
		return "", false
	}
	for _, r := range name {
		switch {
		case r >= utf8.RuneSelf, r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		default:
			return "", false
		}
	}
	return name, true
}

// shortName is the first label of a host name.
func shortName(name string) string {
	label, _, _ := strings.Cut(name, ".")
	return label
}

// netbiosLength is the number of characters to which Windows cuts a computer's NetBIOS name.
const netbiosLength = 15

// address returns the address in a value, with a port or not; mapped IPv4 becomes IPv4.
func address(s string) (netip.Addr, bool) {
	s = strings.Trim(stated(s), "[]")
	if s == "" || s[0] > '9' && s[0] != ':' && (s[0]|0x20 < 'a' || s[0]|0x20 > 'f') {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(s)
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		ip = ap.Addr()
	}
	return ip.Unmap().WithZone(""), true
}

// accountName is the name of an account taken apart: a SID, a user with its domain (NetBIOS or
// DNS), or a bare user. All parts are folded.
type accountName struct{ sid, domain, user string }

func parseAccount(s string) (accountName, bool) {
	s = fold(stated(s))
	if s == "" || len(s) > 512 || strings.ContainsFunc(s, unicode.IsControl) {
		return accountName{}, false
	}
	if isSID(s) {
		return accountName{sid: s}, true
	}
	a := accountName{user: s}
	if domain, user, ok := strings.Cut(s, `\`); ok {
		a.domain, a.user = domain, user
	} else if i := strings.LastIndexByte(s, '@'); i >= 0 {
		a.domain, a.user = s[i+1:], s[:i]
	} else {
		return a, true
	}
	if a.domain == "" || a.user == "" || strings.Contains(a.user, `\`) {
		return accountName{}, false
	}
	return a, true
}

// isSID knows the folded text form of a security identifier.
func isSID(s string) bool {
	rest, ok := strings.CutPrefix(s, "s-1-")
	if !ok || rest == "" {
		return false
	}
	for i := 0; i < len(rest); i++ {
		if c := rest[i]; c != '-' && (c < '0' || c > '9') {
			return false
		}
	}
	return rest[0] != '-' && rest[len(rest)-1] != '-' && !strings.Contains(rest, "--")
}
