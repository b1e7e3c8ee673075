package asset

import (
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// identity adds an identity and returns its number.
func (b *builder) identity(t alert.EntityType, name string, line int) int {
	b.site.ids = append(b.site.ids, Identity{Type: t, ID: string(t) + ":" + fold(name), Name: name, Known: true})
	b.lines = append(b.lines, line)
	if t == alert.Host {
		b.site.counts.Hosts++
	} else {
		b.site.counts.Accounts++
	}
	return len(b.site.ids) - 1
}

func (b *builder) host(raw *rawHost) {
	if raw.name.text == "" {
		b.fail(raw.line, "host: has no name; add name: ws-07.example.com")
		return
	}
	name, ok := b.hostNameOf("host", raw.name)
	if !ok {
		return
	}
	id := b.identity(alert.Host, raw.name.text, raw.name.line)
	b.nameHost(id, name, raw.name.line)
	for _, e := range raw.aliases {
		if alias, ok := b.hostNameOf("alias", e); ok {
			b.nameHost(id, alias, e.line)
			b.alias(id, e.text)
		}
	}
	for _, e := range raw.agents {
		if agent, ok := hostName(e.text); ok {
			b.claim(b.site.names, agent, id, e, "agent")
		} else {
			b.fail(e.line, "agent: %q is not an agent id", clip(e.text))
		}
	}
	for i := range raw.leases {
		b.lease(id, &raw.leases[i])
	}
	h := &b.site.ids[id]
	h.Criticality = b.criticality(raw.criticality)
	h.Owner = raw.owner.text
	if z := raw.zone; z.text != "" {
		zone, known := b.site.zones[fold(z.text)]
		if !known && len(b.site.zones) > 0 {
			b.fail(z.line, "zone: %q is not listed under zones; add it there or correct the name", clip(z.text))
		}
		h.Zone, h.Consequence = z.text, b.site.class(z.text)
		if h.Owner == "" {
			h.Owner = zone.Owner
		}
	}
}

// hostNameOf reads the name of a host where only a name will do.
func (b *builder) hostNameOf(what string, e entry) (string, bool) {
	if _, isIP := address(e.text); isIP {
		b.fail(e.line, "%s: %q is an address; list it under addresses of its host", what, clip(e.text))
		return "", false
	}
	name, ok := hostName(e.text)
	switch {
	case !ok:
		b.fail(e.line, "%s: %q is not the name of a host (wildcards are not supported; list each host)", what, clip(e.text))
	case loopbackNames[name]:
		b.fail(e.line, "%s: %q is whichever host says it; leave it out", what, clip(e.text))
		ok = false
	}
	return name, ok
}

func (b *builder) nameHost(id int, name string, line int) {
	b.claim(b.site.names, name, id, entry{name, line}, "host")
	label := shortName(name)
	share(b.site.short, label, id)
	if len(label) > netbiosLength {
		share(b.site.short, label[:netbiosLength], id)
	}
	if label == name {
		b.bareName["host "+name] = line
	}
}

// claim gives a name to one identity; two of one name are a problem.
func (b *builder) claim(m map[string]int, name string, id int, e entry, what string) {
	if other, taken := m[name]; taken && other != id {
		b.fail(e.line, "%s: %q already names %s of line %d; a name belongs to one entry", what, clip(e.text), b.site.ids[other].Name, b.lines[other])
		return
	}
	m[name] = id
}

// share gives a short name to an identity, or marks it as that of several.
func share(m map[string]int, name string, id int) {
	if other, taken := m[name]; taken && other != id {
		id = ambiguous
	}
	m[name] = id
}

func (b *builder) alias(id int, name string) {
	if h := &b.site.ids[id]; name != h.Name && !slices.Contains(h.Aliases, name) {
		h.Aliases = append(h.Aliases, name)
	}
}

func (b *builder) lease(host int, raw *rawLease) {
	ip, ok := address(raw.address.text)
	if !ok || addressClass(ip) != "" {
		b.fail(raw.line, "address: %q is not the address of one host", clip(raw.address.text))
		return
	}
	l := lease{host: host, line: raw.line}
	var okFrom, okTo bool
	l.from, okFrom = b.time("from", raw.from)
	l.to, okTo = b.time("to", raw.to)
	if !okFrom || !okTo {
		return
	}
	if !l.to.IsZero() && !l.from.Before(l.to) {
		b.fail(raw.line, "address: the lease of %s ends before it begins", ip)
		return
	}
	for _, o := range b.site.leases[ip] {
		if o.host != host && o.overlaps(&l) {
			b.fail(raw.line, "address: %s belongs to %s at the same time (line %d); give both leases from and to that do not overlap",
				ip, b.site.ids[o.host].Name, o.line)
			return
		}
	}
	b.site.leases[ip] = append(b.site.leases[ip], l)
	b.site.counts.Leases++
}

func (b *builder) account(raw *rawAccount) {
	if raw.name.text == "" {
		b.fail(raw.line, `account: has no name; add name: EXAMPLE\ada`)
		return
	}
	a, ok := b.accountOf("account", raw.name)
	if !ok {
		return
	}
	id := b.identity(alert.Account, raw.name.text, raw.name.line)
	b.nameAccount(id, a, raw.name)
	for _, e := range raw.aliases {
		if a, ok := b.accountOf("alias", e); ok {
			b.nameAccount(id, a, e)
			b.alias(id, e.text)
		}
	}
	b.site.ids[id].Criticality = b.criticality(raw.criticality)
}

func (b *builder) accountOf(what string, e entry) (accountName, bool) {
	a, ok := parseAccount(e.text)
	if ok && a.sid == "" && strings.ContainsAny(a.user, "*?") {
		ok = false
	}
	switch {
	case !ok:
		b.fail(e.line, `%s: %q is not an account; write EXAMPLE\ada, ada@example.com, a SID or a bare name`, what, clip(e.text))
	case accountClass(a) == ClassSystem:
		b.fail(e.line, "%s: %q exists on every host and is no one's account; leave it out", what, clip(e.text))
		ok = false
	}
	return a, ok
}

func (b *builder) nameAccount(id int, a accountName, e entry) {
	if a.sid != "" {
		b.claim(b.site.accounts, a.sid, id, e, "account")
		if !slices.Contains(b.site.sids[id], a.sid) {
			b.site.sids[id] = append(b.site.sids[id], a.sid)
		}
		return
	}
	b.claim(b.site.accounts, b.site.accountKey(a), id, e, "account")
	share(b.site.users, a.user, id)
	if a.domain == "" {
		b.bareName["account "+a.user] = e.line
	}
}

// refHost returns the host that a name in another section means; one that is not listed under
// hosts becomes an identity by being named.
func (b *builder) refHost(what string, e entry) (int, bool) {
	name, ok := b.hostNameOf(what, e)
	if !ok {
		return 0, false
	}
	if id := b.site.host(name, time.Time{}); id >= 0 {
		return id, true
	}
	if id, taken := b.site.short[name]; taken && id == ambiguous {
		b.fail(e.line, "%s: several hosts are called %q; write the full name", what, clip(e.text))
		return 0, false
	}
	id := b.identity(alert.Host, e.text, e.line)
	b.nameHost(id, name, e.line)
	return id, true
}

func (b *builder) refAccount(what string, e entry) (int, bool) {
	a, ok := b.accountOf(what, e)
	if !ok {
		return 0, false
	}
	if id := b.site.account(e.text); id >= 0 {
		return id, true
	}
	if id, taken := b.site.users[a.user]; taken && id == ambiguous && a.domain == "" && a.sid == "" {
		b.fail(e.line, "%s: several accounts are called %q; write its domain", what, clip(e.text))
		return 0, false
	}
	id := b.identity(alert.Account, e.text, e.line)
	b.nameAccount(id, a, e)
	return id, true
}

// bareNames refuses names without a domain that stand beside a full name of the same user or
// host: nobody can tell whether they are one.
func (b *builder) bareNames() {
	for name, line := range b.bareName {
		kind, bare, _ := strings.Cut(name, " ")
		m := b.site.users
		if kind == "host" {
			m = b.site.short
		}
		if m[bare] == ambiguous {
			b.fail(line, "%s: %q may be the same as another entry with a domain; write the full name everywhere, list one as an alias of the other, or name your own domains under domains", kind, clip(bare))
		}
	}
}
