package asset

import (
	"net/netip"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/graph"
)

// Criticality is what an asset is worth to the organisation.
type Criticality string

// The criticalities. Only crown jewels and test assets move the severity.
const (
	CriticalityNormal Criticality = "normal"
	// CrownJewel are assets whose loss the organisation cannot bear: directory servers, backups.
	CrownJewel Criticality = "crown_jewel"
	// TestAsset are assets of tests and laboratories that hold nothing of worth.
	TestAsset Criticality = "test"
)

// Identity is one host or account of a tenant, whatever name it is called by.
type Identity struct {
	// Type is alert.Host or alert.Account.
	Type alert.EntityType `json:"type"`
	// ID is the same for every name of the identity, unique per tenant: "host:ws-07.example.com".
	ID string `json:"id"`
	// Name is the name people know it by.
	Name string `json:"name"`
	// Aliases are its other names, sorted. Agent ids and addresses are not among them.
	Aliases []string `json:"aliases,omitempty"`
	// Criticality, Zone and Consequence are empty where org.yaml does not say.
	Criticality Criticality `json:"criticality,omitempty"`
	Zone        string      `json:"zone,omitempty"`
	Consequence Consequence `json:"consequence,omitempty"`
	// Owner is who answers for a host: its own owner, or else that of its zone.
	Owner string `json:"owner,omitempty"`
	// Known says that org.yaml names the identity.
	Known bool `json:"known"`
	// Members are the positions of its entities in the list given to Merge.
	Members []int `json:"members,omitempty"`
}

// Consequence is the worst that can happen in a zone (REFERENCE, consequence classes).
type Consequence = graph.Class

// The consequence classes, worst first.
const (
	SafetyLife = graph.SafetyLife
	Equipment  = graph.Equipment
	Downtime   = graph.Downtime
	DataLoss   = graph.DataLoss
)

// Resolver turns names into identities of one tenant. The zero value knows no names but works.
type Resolver struct {
	ids      []Identity
	admins   map[int]bool      // accounts listed as administrators
	domains  map[string]string // NetBIOS and DNS names of the organisation's own domains, to one key
	names    map[string]int    // host names as listed, and agent ids
	short    map[string]int    // first labels and NetBIOS names
	leases   map[netip.Addr][]lease
	accounts map[string]int   // SIDs and accountKeys
	users    map[string]int   // users without domain
	sids     map[int][]string // SIDs of an account
	shared   *members         // NAT, proxies
	scanners *members
}

// ambiguous marks a short name that several identities share.
const ambiguous = -1

// lease says that an address belongs to a host from one time, inclusive, to another, exclusive;
// zero times mean always.
type lease struct {
	host     int
	from, to time.Time
	line     int
}

func (l *lease) holds(at time.Time) bool {
	if l.from.IsZero() && l.to.IsZero() {
		return true
	}
	return !at.IsZero() && !at.Before(l.from) && (l.to.IsZero() || at.Before(l.to))
}

func (l *lease) overlaps(o *lease) bool {
	return (l.to.IsZero() || o.from.Before(l.to)) && (o.to.IsZero() || l.from.Before(o.to))
}

// Host returns the identity of a host by name, NetBIOS name, FQDN, agent id, or by an address
// that it had at the time. A zero time finds only addresses without a lease. A name without a
// domain is found only when no other host has it.
func (r *Resolver) Host(value string, at time.Time) (Identity, bool) {
	return r.identity(r.host(value, at))
}

// Account returns the identity of an account by UPN, DOMAIN\user, SID or mail address; by a bare
// user name only when no other account has it.
func (r *Resolver) Account(value string) (Identity, bool) {
	return r.identity(r.account(value))
}

func (r *Resolver) identity(i int) (Identity, bool) {
	if i < 0 {
		return Identity{}, false
	}
	id := r.ids[i]
	id.Aliases = slices.Clone(id.Aliases)
	return id, true
}

func (r *Resolver) host(value string, at time.Time) int {
	if ip, ok := address(value); ok {
		return r.hostAt(ip, at)
	}
	name, ok := hostName(value)
	if !ok || loopbackNames[name] {
		return ambiguous
	}
	if i, ok := r.names[name]; ok {
		return i
	}
	label := shortName(name)
	if label == name {
		return lookup(r.short, name)
	}
	if _, own := r.domains[name[len(label)+1:]]; own {
		return lookup(r.names, label)
	}
	return ambiguous
}

func (r *Resolver) hostAt(ip netip.Addr, at time.Time) int {
	if addressClass(ip) != "" || r.isShared(ip) {
		return ambiguous
	}
	return r.leaseAt(ip, at)
}

func (r *Resolver) leaseAt(ip netip.Addr, at time.Time) int {
	for i := range r.leases[ip] {
		if l := &r.leases[ip][i]; l.holds(at) {
			return l.host
		}
	}
	return ambiguous
}

func (r *Resolver) isShared(ip netip.Addr) bool { return r.shared.ever(r, ip) }

func lookup(m map[string]int, k string) int {
	if i, ok := m[k]; ok {
		return i
	}
	return ambiguous
}

func (r *Resolver) account(value string) int {
	a, ok := parseAccount(value)
	if !ok || accountClass(a) != "" {
		return ambiguous
	}
	if a.sid != "" {
		return lookup(r.accounts, a.sid)
	}
	if a.domain == "" {
		return lookup(r.users, a.user)
	}
	if i, ok := r.accounts[r.accountKey(a)]; ok {
		return i
	}
	if _, own := r.domains[a.domain]; own {
		return lookup(r.accounts, r.accountKey(accountName{user: a.user}))
	}
	return ambiguous
}

// accountKey is the same for EXAMPLE\ada and ada@example.com when both are names of one domain.
func (r *Resolver) accountKey(a accountName) string {
	domain, own := r.domains[a.domain]
	if !own {
		domain = a.domain
	}
	return domain + `\` + a.user
}
