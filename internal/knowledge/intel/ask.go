package intel

import (
	"net/netip"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

// ref names a row by what the table is keyed by, within one owner.
type ref struct {
	kind  alert.IndicatorType
	value string
}

var urlSchemes = [...]string{"http://", "https://", "ftp://", "ftps://", "ws://", "wss://"}

// appendRefs appends the rows that Index.Lookup could find for a value, but those of
// selectResident: all that Index.find looks for, by the names under which the table keeps it.
func appendRefs(out []ref, t alert.IndicatorType, value string) []ref {
	switch t {
	case alert.IndicatorIPv4, alert.IndicatorIPv6:
		if a, err := netip.ParseAddr(value); err == nil {
			out = appendAddress(out, a)
		}
	case alert.IndicatorDomain:
		out = appendDomain(out, lower(strings.TrimSuffix(value, ".")))
	case alert.IndicatorURL:
		out = appendURL(out, urlKey(value))
	case alert.IndicatorMD5, alert.IndicatorSHA1, alert.IndicatorSHA256:
		if kind := hashType(value); kind != "" {
			out = append(out, ref{kind, lower(value)})
		}
	case alert.IndicatorRegistry:
		if k, err := canonicalRegistry(value); err == nil {
			out = append(out, ref{t, k})
		}
	case alert.IndicatorEmail, alert.IndicatorCVE:
		out = append(out, ref{t, familyOf(t).fold(value)})
	}
	return out
}

func appendAddress(out []ref, a netip.Addr) []ref {
	a = a.Unmap().WithZone("")
	return append(out, ref{addressType(a), a.String()})
}

func appendDomain(out []ref, name string) []ref {
	for more := true; more && strings.IndexByte(name, '.') >= 0; {
		out = append(out, ref{alert.IndicatorDomain, name})
		_, name, more = strings.Cut(name, ".")
	}
	return out
}

// appendURL takes a URL in the form of urlKey. Whoever compares URLs leaves out the scheme, which
// the table has.
func appendURL(out []ref, k string) []ref {
	forms := []string{k}
	if i := strings.IndexByte(k, '?'); i >= 0 {
		forms = append(forms, k[:i])
	}
	for _, form := range forms {
		for _, scheme := range urlSchemes {
			out = append(out, ref{alert.IndicatorURL, scheme + form})
		}
	}
	host := hostOf(k)
	if !numeric(host) {
		return appendDomain(out, host)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return appendAddress(out, a)
	}
	return out
}
