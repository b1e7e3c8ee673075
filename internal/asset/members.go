package asset

import (
	"net/netip"
	"time"

	"github.com/gaissmai/bart"
)

// members is a set of hosts: identities, and addresses that stand for themselves.
type members struct {
	hosts     map[int]bool
	addresses bart.Lite
	count     int
}

func newMembers() *members { return &members{hosts: map[int]bool{}} }

func (m *members) hasAddress(ip netip.Addr) bool { return m.addresses.Contains(ip) }

// has reports whether the value is, or at that time was, one of the members.
func (m *members) has(r *Resolver, value string, at time.Time) bool {
	if m == nil || m.count == 0 {
		return false
	}
	i := ambiguous
	if ip, ok := address(value); !ok {
		i = r.host(value, at)
	} else if addressClass(ip) == "" {
		if m.hasAddress(ip) {
			return true
		}
		// A shared address may be asked for by its role, such as that of a proxy.
		i = r.leaseAt(ip, at)
	}
	return i >= 0 && m.hosts[i]
}

// ever reports whether the address is, or at some time was, one of the members.
func (m *members) ever(r *Resolver, ip netip.Addr) bool {
	if m == nil {
		return false
	}
	if m.hasAddress(ip) {
		return true
	}
	for _, l := range r.leases[ip] {
		if m.hosts[l.host] {
			return true
		}
	}
	return false
}
