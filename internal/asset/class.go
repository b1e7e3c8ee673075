package asset

import (
	"net/netip"
	"strings"
)

// The classes of values that stand for no one host or account.
const (
	// ClassSystem are the accounts of an operating system: SYSTEM, root, the well-known SIDs.
	ClassSystem = "system_account"
	// ClassMachine are the accounts of computers and of managed services: names that end in $.
	ClassMachine = "machine_account"
	// ClassLoopback is the host itself, whichever it is.
	ClassLoopback = "loopback"
	// ClassShared are addresses behind which many hosts stand: NAT, proxies, and those that mean
	// no one host, such as 0.0.0.0, multicast and link-local addresses.
	ClassShared = "shared_address"
)

// systemNames are built-in accounts without a domain, folded.
var systemNames = words(`system|localsystem|local service|localservice|network service|networkservice|anonymous logon|anonymous|
	iusr|trustedinstaller|système|service local|service réseau|lokaler dienst|netzwerkdienst|
	root|daemon|bin|sys|sync|nobody|nogroup|www-data|syslog|messagebus|_apt|uuidd|systemd-network|systemd-resolve|systemd-timesync`)

// systemDomains are the authorities of Windows whose accounts are built in, folded, with the
// names they have in other languages.
var systemDomains = words(`nt authority|nt-autorität|autorite nt|autorité nt|nt service|nt virtual machine|builtin|vordefiniert|
	window manager|font driver host|iis apppool|autoridad nt|autoridade nt`)

// systemSIDs are well-known SIDs that stand for no person; those that end in "-" are prefixes.
var systemSIDs = strings.Fields(`s-1-0-0 s-1-1-0 s-1-2-0 s-1-3- s-1-5-2 s-1-5-4 s-1-5-6 s-1-5-7 s-1-5-9 s-1-5-10 s-1-5-11 s-1-5-12
	s-1-5-17 s-1-5-18 s-1-5-19 s-1-5-20 s-1-5-32- s-1-5-80- s-1-5-82- s-1-5-83- s-1-5-90- s-1-5-96- s-1-15- s-1-16-`)

var loopbackNames = words(`localhost|localhost.localdomain|localhost4|localhost6|ip6-localhost|ip6-loopback`)

func words(list string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.SplitSeq(list, "|") {
		out[strings.TrimSpace(w)] = true
	}
	return out
}

// accountClass is the class of an account; "" for accounts that are someone's.
func accountClass(a accountName) string {
	switch {
	case a.sid != "":
		for _, s := range systemSIDs {
			if a.sid == s || s[len(s)-1] == '-' && strings.HasPrefix(a.sid, s) {
				return ClassSystem
			}
		}
	case a.domain == "" && systemNames[a.user], systemDomains[a.domain]:
		return ClassSystem
	case len(a.user) > 1 && strings.HasSuffix(a.user, "$"):
		return ClassMachine
	case a.domain == "" && (strings.HasPrefix(a.user, "dwm-") || strings.HasPrefix(a.user, "umfd-")):
		return ClassSystem
	}
	return ""
}

func addressClass(ip netip.Addr) string {
	switch {
	case ip.IsLoopback():
		return ClassLoopback
	case ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return ClassShared
	}
	return ""
}

// Class returns the class of a value that is no identity: "system_account", "machine_account",
// "loopback" or "shared_address". ok is false for values that may be someone.
func (r *Resolver) Class(value string) (class string, ok bool) {
	if ip, isIP := address(value); isIP {
		class = addressClass(ip)
		if class == "" && r.isShared(ip) {
			class = ClassShared
		}
		return class, class != ""
	}
	if name := strings.TrimSuffix(fold(stated(value)), "."); loopbackNames[name] {
		return ClassLoopback, true
	}
	if a, isAccount := parseAccount(value); isAccount {
		class = accountClass(a)
	}
	return class, class != ""
}
