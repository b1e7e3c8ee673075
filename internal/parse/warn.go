package parse

import (
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"
	"golang.org/x/net/publicsuffix"

	"github.com/aluskort/aluskort/internal/alert"
)

// Reasons why a value must not count as an indicator.
const (
	ReasonThisNetwork   = "address of no host"
	ReasonPrivate       = "private address"
	ReasonShared        = "shared address space of carriers (RFC 6598)"
	ReasonLoopback      = "loopback address"
	ReasonLinkLocal     = "link-local address"
	ReasonMulticast     = "multicast address"
	ReasonReserved      = "reserved address"
	ReasonBenchmark     = "address for benchmarks (RFC 2544)"
	ReasonDocumentation = "reserved for documentation"
	ReasonResolver      = "public DNS resolver"
	ReasonPlatform      = "service address of a cloud platform"
	ReasonWellKnown     = "well-known service of a vendor"
	ReasonSpecialName   = "special-use domain name"
	ReasonEmptyHash     = "hash of empty input"
	ReasonFillerHash    = "placeholder, one digit repeated"
)

// WarningLists says which values are well known to be harmless or to mean nothing, so that
// they are kept and shown but do not count as indicators. A listed name covers the names
// below it, except those of hosts where strangers publish their own content. Use it from
// many goroutines once LoadMISP is done.
type WarningLists struct {
	prefixes bart.Table[string]
	names    map[string]string
	values   map[string]string
	shared   map[string]bool
}

// WarningOption changes the built-in lists.
type WarningOption func(*WarningLists)

// CountDocumentation lets the addresses of RFC 5737 and RFC 3849 and the example names of
// RFC 2606 count as indicators: for demonstrations and tests whose attackers live there.
func CountDocumentation() WarningOption {
	return func(l *WarningLists) {
		for _, p := range builtinPrefixes {
			if p.reason == ReasonDocumentation {
				l.prefixes.Delete(netip.MustParsePrefix(p.prefix))
			}
		}
		for name, reason := range l.names {
			if reason == ReasonDocumentation {
				delete(l.names, name)
			}
		}
	}
}

// NewWarningLists returns the built-in lists.
func NewWarningLists(opts ...WarningOption) *WarningLists {
	l := &WarningLists{
		names:  make(map[string]string),
		values: make(map[string]string),
		shared: set(sharedHosts),
	}
	for _, p := range builtinPrefixes {
		l.prefixes.Insert(netip.MustParsePrefix(p.prefix), p.reason)
	}
	for _, b := range builtinNames {
		for _, name := range strings.Fields(b.names) {
			l.names[name] = b.reason
		}
	}
	for _, h := range strings.Fields(emptyHashes) {
		l.values[h] = ReasonEmptyHash
	}
	for _, o := range opts {
		o(l)
	}
	return l
}

// Warn returns why the value must not count as an indicator, or "" when it may.
func (l *WarningLists) Warn(t alert.IndicatorType, value string) string {
	switch t {
	case alert.IndicatorIPv4, alert.IndicatorIPv6:
		return l.warnAddress(value)
	case alert.IndicatorDomain:
		return l.warnHost(strings.ToLower(value))
	case alert.IndicatorURL:
		return l.warnURL(value)
	case alert.IndicatorEmail:
		host := strings.ToLower(value[strings.LastIndexByte(value, '@')+1:])
		if r := l.warnHost(host); r == ReasonDocumentation || r == ReasonSpecialName {
			return r
		}
		return l.values[strings.ToLower(value)]
	case alert.IndicatorMD5, alert.IndicatorSHA1, alert.IndicatorSHA256:
		if value != "" && strings.Count(value, value[:1]) == len(value) {
			return ReasonFillerHash
		}
		return l.values[strings.ToLower(value)]
	default:
		return l.values[value]
	}
}

func (l *WarningLists) warnAddress(value string) string {
	addr, err := netip.ParseAddr(value)
	if err != nil {
		return ""
	}
	if r, ok := l.prefixes.Lookup(addr.Unmap().WithZone("")); ok {
		return r
	}
	return l.values[value]
}

// warnHost looks for the name and its parents. A parent covers a name only down to where
// one owner ends: below a suffix that is open to the public nothing is inherited.
func (l *WarningLists) warnHost(host string) string {
	host = strings.TrimSuffix(host, ".")
	if r, ok := l.names[host]; ok && !l.shared[host] {
		return r
	}
	floor := len(host)
	for name := host; ; {
		if l.shared[name] {
			return ""
		}
		if r, ok := l.names[name]; ok {
			if r == ReasonSpecialName || r == ReasonDocumentation {
				return r
			}
			if floor == len(host) {
				if own, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
					floor = len(own)
				}
			}
			if len(name) >= floor {
				return r
			}
			return ""
		}
		dot := strings.IndexByte(name, '.')
		if dot < 0 {
			return ""
		}
		name = name[dot+1:]
	}
}

// warnURL judges a URL by its host, unless it carries a second URL: an open redirect of a
// well-known service is no well-known place.
func (l *WarningLists) warnURL(value string) string {
	if r, ok := l.values[value]; ok {
		return r
	}
	_, rest, ok := strings.Cut(value, "://")
	if !ok {
		return ""
	}
	host := URLHost(value)
	if _, err := netip.ParseAddr(host); err == nil {
		return l.warnAddress(host)
	}
	if r := l.warnHost(host); r != "" && !carriesURL(rest) {
		return r
	}
	return ""
}

func carriesURL(rest string) bool {
	low := strings.ToLower(rest)
	return strings.Contains(low, "://") || strings.Contains(low, "%3a%2f") || strings.Contains(low, "url=") ||
		strings.Contains(low, "%3a//") || strings.IndexByte(low, '@') >= 0
}

// URLHost returns the host of a URL in lower case, without user, port and brackets.
func URLHost(value string) string {
	_, rest, ok := strings.Cut(value, "://")
	if !ok {
		return ""
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	if strings.HasPrefix(rest, "[") {
		if end := strings.IndexByte(rest, ']'); end > 0 {
			return rest[1:end]
		}
	}
	if colon := strings.LastIndexByte(rest, ':'); colon >= 0 {
		rest = rest[:colon]
	}
	return strings.ToLower(rest)
}
