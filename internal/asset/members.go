package asset

import (
	"net/netip"
	"strings"
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

// Narrowest prefixes that may stand for a list of hosts.
const (
	minBits4 = 8
	minBits6 = 32
)

// members reads a list of host names, addresses and networks.
func (b *builder) members(what string, list []entry) *members {
	m := newMembers()
	for _, e := range list {
		if prefix, ok := b.prefix(what, e); ok {
			m.addresses.Insert(prefix)
			m.count++
			continue
		} else if strings.Contains(e.text, "/") {
			continue // reported
		}
		if id, ok := b.refHost(what, e); ok {
			m.hosts[id] = true
			m.count++
		}
	}
	return m
}

func (b *builder) prefix(what string, e entry) (netip.Prefix, bool) {
	if !strings.Contains(e.text, "/") {
		ip, ok := address(e.text)
		if !ok {
			return netip.Prefix{}, false
		}
		if addressClass(ip) != "" {
			b.fail(e.line, "%s: %s stands for no one host; leave it out", what, ip)
		}
		return netip.PrefixFrom(ip, ip.BitLen()), true
	}
	p, err := netip.ParsePrefix(e.text)
	if err != nil || p.Addr().Is4In6() {
		b.fail(e.line, "%s: %q is not a network; write 192.0.2.0/28", what, clip(e.text))
		return netip.Prefix{}, false
	}
	least := minBits4
	if p.Addr().Is6() {
		least = minBits6
	}
	switch {
	case p.Bits() < least:
		b.fail(e.line, "%s: %s is too wide to be a list of hosts (at least /%d); list what is meant", what, p, least)
		return netip.Prefix{}, false
	case p != p.Masked():
		b.fail(e.line, "%s: %s has bits beyond its length; write %s", what, p, p.Masked())
		return netip.Prefix{}, false
	case addressClass(p.Addr()) != "":
		b.fail(e.line, "%s: %s stands for no hosts of yours; leave it out", what, p)
		return netip.Prefix{}, false
	}
	return p, true
}
