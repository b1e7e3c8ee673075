package intel

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"time"

	"github.com/gaissmai/bart"

	"github.com/aluskort/aluskort/internal/alert"
)

// SharedTenant owns the indicators that every tenant sees.
const SharedTenant = "*"

// Match says how an indicator met a value.
type Match uint8

// The ways, most specific first.
const (
	MatchExact   Match = iota
	MatchQuery         // the URL without its query
	MatchNetwork       // the network of the address
	MatchParent        // a domain above the name
	MatchHost          // the host of the URL, exactly or by one of the above
)

// String says it in words.
func (m Match) String() string {
	return [...]string{"exactly", "without its query", "by its network", "by a domain above it", "by its host"}[min(m, MatchHost)]
}

// About is what indicators share: few distinct ones stand behind many values. It is not to
// be changed.
type About struct {
	Sources    []string
	Campaigns  []string
	Groups     []string
	Techniques []string
}

// Hit is an indicator that was found.
type Hit struct {
	// Value is the part of the value asked about that is the indicator: the domain above a
	// name, the host of a URL. For a network it is the value itself.
	Value      string
	Match      Match
	Confidence int
	Severity   alert.Severity
	// FirstSeen and LastSeen are zero when no feed says, to the second otherwise.
	FirstSeen time.Time
	LastSeen  time.Time
	Expiry    time.Time
	About     *About
}

// Index holds indicators for look-up in memory. It keeps hashes instead of values: a
// million indicators take less than 200 MB. An Index does not change and is safe for
// concurrent use; Builder makes one, Live swaps it.
type Index struct {
	seed    [2]maphash.Seed
	tenants map[string]*table
	abouts  []About
	size    int
	imports int64 // how many there were when it was made
}

type table struct {
	imported bool
	exact    map[key]row
	networks *bart.Table[row]
}

// key is a 128-bit keyed hash, so that two values meet in one key neither by chance nor by
// design of whoever wrote them.
type key [2]uint64

type row struct {
	about               uint32
	first, last, expiry uint32 // Unix seconds, 0 for unknown
	confidence          uint8
	severity            alert.Severity
}

// family is the part of a type that decides equality: both kinds of addresses are one.
type family uint64

const (
	famAddress family = 1 + iota
	famDomain
	famURL
	famEmail
	famHash
	famCVE
	famAgent
	famPath
	famRegistry
)

func familyOf(t alert.IndicatorType) family {
	switch t {
	case alert.IndicatorIPv4, alert.IndicatorIPv6:
		return famAddress
	case alert.IndicatorDomain:
		return famDomain
	case alert.IndicatorURL:
		return famURL
	case alert.IndicatorEmail:
		return famEmail
	case alert.IndicatorMD5, alert.IndicatorSHA1, alert.IndicatorSHA256:
		return famHash
	case alert.IndicatorCVE:
		return famCVE
	case alert.IndicatorUserAgent:
		return famAgent
	case alert.IndicatorPath:
		return famPath
	case alert.IndicatorRegistry:
		return famRegistry
	}
	return 0
}

// fold is the form of a value under which its family compares.
func (f family) fold(v string) string {
	switch f {
	case famCVE:
		return strings.ToUpper(v)
	case famURL:
		return urlKey(v)
	default:
		return lower(v)
	}
}

func (x *Index) key(f family, folded string) key {
	// The odd constant spreads the family over the bits of the hash.
	mix := uint64(f) * 0x9e3779b97f4a7c15
	return key{maphash.String(x.seed[0], folded) ^ mix, maphash.String(x.seed[1], folded) + mix}
}

func (x *Index) addressKey(a netip.Addr) key {
	b := a.As16()
	return key{maphash.Bytes(x.seed[0], b[:]), maphash.Bytes(x.seed[1], b[:])}
}

// Len is the number of indicators.
func (x *Index) Len() int { return x.size }

// Imported reports whether anything was ever imported for the tenant or for all.
func (x *Index) Imported(tenant string) bool {
	for _, name := range [...]string{tenant, SharedTenant} {
		if t := x.tenants[name]; t != nil && t.imported {
			return true
		}
	}
	return false
}

// Lookup finds the best indicator for a value among those of the tenant and the shared
// ones: the most specific way to match, then the highest confidence. Indicators that expired
// before at do not count; a zero at ignores expiry. A miss does not allocate when the value is
// in canonical form.
func (x *Index) Lookup(tenant string, t alert.IndicatorType, value string, at time.Time) (Hit, bool) {
	return best(tenant, func(owner string) (Hit, bool) { return x.find(x.tenants[owner], t, value, at) })
}

// best chooses between what is found for the tenant and for all.
func best(tenant string, find func(owner string) (Hit, bool)) (Hit, bool) {
	own, okOwn := find(tenant)
	if tenant == SharedTenant {
		return own, okOwn
	}
	shared, okShared := find(SharedTenant)
	if !okOwn || okShared && (shared.Match < own.Match || shared.Match == own.Match && shared.Confidence > own.Confidence) {
		return shared, okShared
	}
	return own, okOwn
}

func (x *Index) find(tb *table, t alert.IndicatorType, value string, at time.Time) (Hit, bool) {
	if tb == nil || value == "" {
		return Hit{}, false
	}
	q := query{index: x, table: tb}
	if !at.IsZero() {
		q.at = max(at.Unix(), 1)
	}
	switch t {
	case alert.IndicatorIPv4, alert.IndicatorIPv6:
		a, err := netip.ParseAddr(value)
		if err != nil {
			return Hit{}, false
		}
		return q.address(value, a)
	case alert.IndicatorDomain:
		return q.domain(lower(strings.TrimSuffix(value, ".")))
	case alert.IndicatorURL:
		return q.url(value)
	case alert.IndicatorPath:
		p, err := canonicalPath(value)
		if err != nil {
			return Hit{}, false
		}
		return q.exact(famPath, p, MatchExact)
	case alert.IndicatorRegistry:
		k, err := canonicalRegistry(value)
		if err != nil {
			return Hit{}, false
		}
		return q.exact(famRegistry, k, MatchExact)
	}
	if f := familyOf(t); f != 0 {
		return q.exact(f, f.fold(value), MatchExact)
	}
	return Hit{}, false
}

func fromSeconds(s uint32) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

func toSeconds(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(min(max(t.Unix(), 1), int64(^uint32(0))))
}
