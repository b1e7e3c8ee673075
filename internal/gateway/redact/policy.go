package redact

import (
	"net/netip"
	"strings"
)

// Policy says what is replaced. Secrets always are.
type Policy struct {
	// Classes are replaced, by shape and by name.
	Classes Set
	// PublicIPs and PublicDomains are replaced as well. They are kept by default: an address or
	// domain outside is what an investigation is about.
	PublicIPs, PublicDomains bool
	// Loose adds detectors that go by context and lists, with more false alarms: telephone
	// numbers without a country code, names behind a greeting, streets. For prose, not for logs.
	Loose bool
	// InternalDomains are domains of the organisation, in addition to those that nobody can own
	// on the Internet (.local, .internal, .corp and the like) and those of known hosts.
	InternalDomains []string
	// InternalNets are networks of the organisation beside the private ones.
	InternalNets []netip.Prefix
	// Keep are values that are never replaced, compared without case.
	Keep []string
}

// DefaultPolicy keeps public addresses and domains, hashes, dates, places and everything else an
// investigation reasons about, and replaces what names people, machines and the organisation.
func DefaultPolicy() Policy {
	return Policy{Classes: Classes(User, Host, Domain, Mail, IP, MAC, SID, ID, Phone, Card, IBAN, National, Person, Address)}
}

// EverythingPolicy switches every detector on. It is for measuring detectors and for prose.
func EverythingPolicy() Policy {
	p := DefaultPolicy()
	p.Classes |= Classes(Date, Trait)
	p.PublicIPs, p.PublicDomains, p.Loose = true, true, true
	return p
}

// Redactor finds what a policy replaces. It is safe for concurrent use.
type Redactor struct {
	policy  Policy
	keep    map[string]bool
	domains []string // of the policy, lower case, without dots at the ends
}

// New returns a Redactor.
func New(p Policy) *Redactor {
	r := &Redactor{policy: p, keep: make(map[string]bool, len(p.Keep))}
	for _, v := range p.Keep {
		r.keep[strings.ToLower(v)] = true
	}
	for _, d := range p.InternalDomains {
		if d = strings.ToLower(strings.Trim(d, ". ")); d != "" {
			r.domains = append(r.domains, d)
		}
	}
	return r
}

// metadata is the address of cloud metadata services: an indicator, the same everywhere.
var metadata = netip.AddrFrom4([4]byte{169, 254, 169, 254})

// carrier is the shared address space of carriers (RFC 6598).
var carrier = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10)

// hides reports whether the address is one that the policy replaces.
func (r *Redactor) hides(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if r.policy.PublicIPs {
		return !a.IsUnspecified() && !a.IsLoopback()
	}
	if a.IsPrivate() || a.IsLinkLocalUnicast() && a != metadata || carrier.Contains(a) {
		return true
	}
	for _, n := range r.policy.InternalNets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
