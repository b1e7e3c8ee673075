package intel

import (
	"net/netip"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

func isAddress(v string) bool {
	if _, err := netip.ParseAddr(strings.Trim(v, "[]")); err == nil {
		return true
	}
	if _, err := netip.ParsePrefix(v); err == nil {
		return true
	}
	_, err := netip.ParseAddrPort(v)
	return err == nil
}

func canonicalAddress(v string) (alert.IndicatorType, string, error) {
	if p, err := netip.ParsePrefix(v); err == nil {
		return canonicalNetwork(v, p)
	}
	a, err := netip.ParseAddr(strings.Trim(v, "[]"))
	if err != nil {
		ap, portErr := netip.ParseAddrPort(v)
		if portErr != nil {
			return "", "", refuse(v, "it is not an IP address")
		}
		a = ap.Addr()
	}
	a = a.Unmap().WithZone("")
	if why := localAddress(a); why != "" {
		return "", "", refuse(v, "%s", why)
	}
	return addressType(a), a.String(), nil
}

func canonicalNetwork(v string, p netip.Prefix) (alert.IndicatorType, string, error) {
	a := p.Addr()
	widest := 16
	if a.Is6() {
		widest = 32
	}
	switch {
	case a.Is4In6():
		return "", "", refuse(v, "write the network in its IPv4 form")
	case p.Bits() < widest:
		return "", "", refuse(v, "a network wider than /%d covers too much", widest)
	}
	p = p.Masked()
	if why := localAddress(p.Addr()); why != "" {
		return "", "", refuse(v, "%s", why)
	}
	if p.IsSingleIP() {
		return addressType(a), p.Addr().String(), nil
	}
	return addressType(a), p.String(), nil
}

func addressType(a netip.Addr) alert.IndicatorType {
	if a.Is4() {
		return alert.IndicatorIPv4
	}
	return alert.IndicatorIPv6
}

// localAddress says why an address means something else in every network, "" when it does
// not. The documentation ranges pass: exercises use them and real traffic never does.
func localAddress(a netip.Addr) string {
	switch {
	case a.IsUnspecified():
		return "it is the unspecified address"
	case a.IsLoopback():
		return "it is a loopback address"
	case a.IsPrivate():
		return "it is a private address"
	case a.IsMulticast():
		return "it is a multicast address"
	case a.IsLinkLocalUnicast():
		return "it is a link-local address"
	}
	if a.Is4() {
		b := a.As4()
		switch {
		case b[0] == 0 || b[0] >= 240:
			return "it is a reserved address"
		case b[0] == 100 && b[1]&0xc0 == 64:
			return "it is an address of a carrier's NAT (100.64.0.0/10)"
		}
	}
	return ""
}
