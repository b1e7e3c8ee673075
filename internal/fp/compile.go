package fp

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

const million = 1_000_000

// micro is a fraction in millionths; comparisons in integers have no rounding at the edge.
func micro(f float64) int { return int(math.Round(f * million)) }

// confidence is the name score, which is 1 here, averaged with the share of the entity
// conditions that are satisfied; without any it is the name score alone. In millionths.
func confidence(satisfied, conditions int) int {
	if conditions == 0 {
		return million
	}
	return (million + satisfied*million/conditions) / 2
}

// allowedMisses is how many of n entity conditions may fail at a threshold. It is -1 when even
// all of them are not enough.
func allowedMisses(n, threshold int) int {
	m := -1
	for m < n && confidence(n-m-1, n) >= threshold {
		if m++; n == 0 {
			break
		}
	}
	return m
}

// compiled is a pattern ready to be matched. Texts are in lower case.
type compiled struct {
	id, name   string
	version    int64
	tenant     string
	shadow     bool
	expiry     int64 // microseconds
	threshold  int   // millionths
	family     string
	assetClass string
	analytics  []string
	names      []Text
	entities   []entityCheck
	payload    []payloadCheck
}

type entityCheck struct {
	Text
	kind alert.EntityType
	role alert.Role
	hash uint64 // of kind and value, for Equals
	net  netip.Prefix
}

type payloadCheck struct {
	Text
	path string
}

func entityHash[T string | []byte](kind alert.EntityType, value T) uint64 {
	return hashText(hashByte(hashText(hashStart, string(kind)), 0), value)
}

func compile(p *Pattern) (*compiled, error) {
	if p.Tenant == "" || p.Expiry.IsZero() {
		return nil, fmt.Errorf("%w: pattern %s has no tenant or no expiry", ErrDamaged, p.ID)
	}
	if err := p.validConditions(); err != nil {
		return nil, fmt.Errorf("%w: pattern %s: %w", ErrDamaged, p.ID, err)
	}
	c := &compiled{
		id: p.ID, name: p.Name, version: p.Version, tenant: p.Tenant, shadow: p.Status == Shadow,
		expiry: p.Expiry.UnixMicro(), threshold: max(micro(p.Threshold), micro(DefaultThreshold)),
		family: folded(p.Scope.RuleFamily), assetClass: folded(p.Scope.AssetClass),
	}
	for _, a := range p.Analytics {
		c.analytics = append(c.analytics, folded(a))
	}
	slices.Sort(c.analytics)
	c.analytics = slices.Compact(c.analytics)
	for _, n := range p.AlertNames {
		c.names = append(c.names, Text{n.Op, folded(n.Value)})
	}
	for _, e := range p.Entities {
		x := entityCheck{Text: Text{e.Op, folded(e.Value)}, kind: e.Type, role: e.Role}
		switch e.Op {
		case CIDR:
			net, err := netip.ParsePrefix(e.Value)
			if err != nil {
				return nil, fmt.Errorf("%w: pattern %s: %w", ErrDamaged, p.ID, err)
			}
			x.net = unmapped(net)
		case Equals:
			if e.Type == alert.IP {
				if addr, err := netip.ParseAddr(e.Value); err == nil {
					x.Value = addr.Unmap().WithZone("").String()
				}
			}
			x.hash = entityHash(e.Type, x.Value)
		}
		c.entities = append(c.entities, x)
	}
	for _, f := range p.Payload {
		c.payload = append(c.payload, payloadCheck{Text{f.Op, folded(f.Value)}, f.Path})
	}
	return c, nil
}

// unmapped writes an IPv4 network in IPv6 form as what it is.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// matches compares folded text.
func (t *Text) matches(text []byte) bool {
	switch t.Op {
	case Equals:
		return string(text) == t.Value
	case Prefix:
		return len(text) >= len(t.Value) && string(text[:len(t.Value)]) == t.Value
	case Glob:
		return globMatch(t.Value, text)
	default:
		return false
	}
}

// start is the fixed beginning of a comparison.
func (t *Text) start() string {
	if t.Op == Glob {
		if i := strings.IndexAny(t.Value, "*?"); i >= 0 {
			return t.Value[:i]
		}
	}
	return t.Value
}
