package asset

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// Adjust returns the severity of an investigation: the source's, one step higher when an entity
// is a crown jewel or stands in a zone where lives or equipment are at stake, one step lower
// when every host that the source states, and at least one, is a test asset. The sentence says
// why; it is empty when nothing changed. Entities found in text, which an attacker may have
// written, can raise and never lower.
func (r *Resolver) Adjust(source alert.Severity, entities []alert.Entity, at time.Time) (alert.Severity, string) {
	test, onlyTest := -1, true
	raise, why := -1, ""
	for i := range entities {
		e := &entities[i]
		id, isHost := r.entity(e, at)
		if id < 0 {
			onlyTest = onlyTest && (!isHost || e.Type == alert.IP)
			continue
		}
		who := &r.ids[id]
		if w := weighty(who); w != "" && (raise < 0 || who.Name < r.ids[raise].Name) {
			raise, why = id, w
		}
		switch {
		case who.Criticality == TestAsset && isHost:
			if e.Confidence >= 1 {
				test = id
			}
		case isHost, r.admins[id]:
			onlyTest = false
		}
	}
	switch {
	case raise >= 0 && source.Raise() != source:
		return source.Raise(), fmt.Sprintf("raised from %s to %s: %s %s", source, source.Raise(), r.ids[raise].Name, why)
	case raise < 0 && test >= 0 && onlyTest && source.Lower() != source:
		return source.Lower(), fmt.Sprintf("lowered from %s to %s: %s is a test asset and no other host is concerned", source, source.Lower(), r.ids[test].Name)
	}
	return source, ""
}

// weighty says why an identity raises the severity.
func weighty(id *Identity) string {
	switch {
	case id.Criticality == CrownJewel:
		return "is a crown jewel"
	case id.Consequence == SafetyLife:
		return "stands in zone " + id.Zone + ", where lives are at stake"
	case id.Consequence == Equipment:
		return "stands in zone " + id.Zone + ", where equipment is at stake"
	}
	return ""
}

// entity resolves an entity of an alert; isHost is true for hosts and addresses.
func (r *Resolver) entity(e *alert.Entity, at time.Time) (id int, isHost bool) {
	switch e.Type {
	case alert.Host, alert.IP:
		return r.host(e.Value, at), true
	case alert.Account, alert.Mailbox:
		id = r.account(e.Value)
		for _, p := range [...]string{"sid", "nt_name", "upn"} {
			if id < 0 && e.Properties[p] != "" {
				id = r.account(e.Properties[p])
			}
		}
		return id, false
	}
	return ambiguous, false
}

// CommonLink reports whether a link key is shared by so many that it ties nothing together: the
// address of a NAT gateway, a proxy or a scanner, at whatever time.
func (r *Resolver) CommonLink(kind alert.LinkKind, value string) bool {
	if kind != alert.LinkSource {
		return false
	}
	ip, ok := address(value)
	return ok && r.isCommon(ip)
}

func (r *Resolver) isCommon(ip netip.Addr) bool {
	return addressClass(ip) != "" || r.isShared(ip) || r.scanners.ever(r, ip)
}
