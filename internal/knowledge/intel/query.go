package intel

import (
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// query is one look-up in one table.
type query struct {
	index *Index
	table *table
	at    int64 // Unix seconds, 0 to ignore expiry
}

func (q *query) hit(value string, r row, m Match) (Hit, bool) {
	if q.at > 0 && r.expiry > 0 && int64(r.expiry) <= q.at {
		return Hit{}, false
	}
	return Hit{
		Value: value, Match: m, Confidence: int(r.confidence), Severity: r.severity,
		FirstSeen: fromSeconds(r.first), LastSeen: fromSeconds(r.last), Expiry: fromSeconds(r.expiry),
		About: &q.index.abouts[r.about],
	}, true
}

func (q *query) exact(f family, folded string, m Match) (Hit, bool) {
	if r, ok := q.table.exact[q.index.key(f, folded)]; ok {
		return q.hit(folded, r, m)
	}
	return Hit{}, false
}

func (q *query) address(value string, a netip.Addr) (Hit, bool) {
	a = a.Unmap().WithZone("")
	if r, ok := q.table.exact[q.index.addressKey(a)]; ok {
		if h, live := q.hit(value, r, MatchExact); live {
			return h, true
		}
	}
	if q.table.networks != nil {
		if r, ok := q.table.networks.Lookup(a); ok {
			return q.hit(value, r, MatchNetwork)
		}
	}
	return Hit{}, false
}

// domain looks for the name itself and for the domains above it, down to the registrable
// one: an indicator never speaks for everything below a public suffix.
func (q *query) domain(name string) (Hit, bool) {
	if h, ok := q.exact(famDomain, name, MatchExact); ok {
		return h, true
	}
	for above := name; ; {
		dot := strings.IndexByte(above, '.')
		if dot < 0 {
			return Hit{}, false
		}
		above = above[dot+1:]
		if strings.IndexByte(above, '.') < 0 {
			return Hit{}, false
		}
		h, ok := q.exact(famDomain, above, MatchParent)
		if !ok {
			continue
		}
		// The list of suffixes is only asked about the few names that were found.
		registrable, err := publicsuffix.EffectiveTLDPlusOne(name)
		if err != nil || len(above) < len(registrable) {
			return Hit{}, false
		}
		return h, true
	}
}

func (q *query) url(value string) (Hit, bool) {
	k := urlKey(value)
	if h, ok := q.exact(famURL, k, MatchExact); ok {
		return h, true
	}
	if i := strings.IndexByte(k, '?'); i >= 0 {
		if h, ok := q.exact(famURL, k[:i], MatchQuery); ok {
			return h, true
		}
	}
	host := hostOf(k)
	var h Hit
	var ok bool
	if !numeric(host) {
		h, ok = q.domain(host)
	} else if a, err := netip.ParseAddr(host); err == nil {
		h, ok = q.address(host, a)
	}
	h.Match = MatchHost
	return h, ok
}

// hostOf returns the host of a URL in the form of urlKey, without port and brackets.
func hostOf(k string) string {
	host, _ := splitAuthority(k)
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// numeric reports whether a host can only be an address: no name has a colon or ends in a
// number. Asking the parser would cost the allocation of its error.
func numeric(host string) bool {
	return strings.IndexByte(host, ':') >= 0 || host != "" && host[len(host)-1] >= '0' && host[len(host)-1] <= '9'
}

// urlKey is what URLs are compared by: everything after the scheme, without user, default
// port and fragment, the host in lower case. A URL that has this form costs no memory.
func urlKey(v string) string {
	rest := v
	scheme := ""
	if i := strings.Index(v, "://"); i >= 0 {
		scheme, rest = v[:i], v[i+3:]
	}
	if i := strings.IndexByte(rest, '#'); i >= 0 {
		rest = rest[:i]
	}
	authority, tail := splitAuthority(rest)
	host := authority
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		if p := host[i+1:]; p == "" || p == defaultPort(lower(scheme)) {
			host = host[:i]
		}
	}
	host = lower(host)
	if tail == "" || tail[0] == '?' {
		return host + "/" + tail
	}
	if host == authority {
		return rest
	}
	return host + tail
}
