package asset

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// builder checks the sections of one tenant and makes its site.
type builder struct {
	*reader
	raw   *rawSite
	site  *site
	lines []int // where each identity was named first

	zones    map[string]Consequence
	bareName map[string]int // users and hosts listed without a domain, with the line
}

func (b *builder) build() *site {
	s := b.site
	s.domains, s.names, s.short, s.leases = map[string]string{}, map[string]int{}, map[string]int{}, map[netip.Addr][]lease{}
	s.accounts, s.users, s.sids, s.admins = map[string]int{}, map[string]int{}, map[int][]string{}, nil
	s.adminOf, s.Resolver.admins = map[int]*admin{}, map[int]bool{}
	b.zones, b.bareName = map[string]Consequence{}, map[string]int{}
	b.domains()
	b.zoneList()
	for i := range b.raw.hosts {
		b.host(&b.raw.hosts[i])
	}
	for i := range b.raw.accounts {
		b.account(&b.raw.accounts[i])
	}
	b.directories()
	for i, key := range roleKeys {
		s.roles[i] = b.members(key, b.raw.roles[i])
	}
	for i := range b.raw.admins {
		b.admin(&b.raw.admins[i])
	}
	for i := range b.raw.windows {
		b.window(&b.raw.windows[i])
	}
	for i := range b.raw.exercises {
		b.exercise(&b.raw.exercises[i])
	}
	b.bareNames()
	b.advice()
	b.finish()
	return s
}

func (b *builder) domains() {
	for i := range b.raw.domains {
		d := &b.raw.domains[i]
		names := slices.Clone(d.dns)
		if d.netbios.text != "" {
			names = append(names, d.netbios)
		}
		if len(names) == 0 {
			b.fail(d.line, "domain: names nothing; write netbios: EXAMPLE or dns: example.com")
			continue
		}
		// No folded name contains '#', so the key is no domain anyone can write.
		domainKey := "#" + fold(names[0].text)
		for _, n := range names {
			name, ok := hostName(n.text)
			if !ok {
				b.fail(n.line, "domain: %q is not the name of a domain", clip(n.text))
				continue
			}
			if _, twice := b.site.domains[name]; twice {
				b.fail(n.line, "domain: %q is listed twice; each name belongs to one domain", clip(n.text))
			}
			b.site.domains[name] = domainKey
		}
	}
	b.site.counts.Domains = len(b.raw.domains)
}

func (b *builder) zoneList() {
	for i := range b.raw.zones {
		z := &b.raw.zones[i]
		name := fold(z.name.text)
		if name == "" {
			b.fail(z.line, "zone: has no name")
			continue
		}
		if _, twice := b.zones[name]; twice {
			b.fail(z.line, "zone: %q is listed twice", clip(z.name.text))
		}
		switch c := Consequence(fold(z.consequence.text)); c {
		case SafetyLife, Equipment, Downtime, DataLoss, "":
			b.zones[name] = c
		default:
			b.fail(z.consequence.line, "zone: consequence %q; use safety_life, equipment, downtime or data_loss", clip(z.consequence.text))
			b.zones[name] = ""
		}
	}
	b.site.counts.Zones = len(b.zones)
}

func (b *builder) criticality(e entry) Criticality {
	switch fold(e.text) {
	case "":
		return ""
	case "normal":
		return CriticalityNormal
	case "crown_jewel":
		b.site.counts.CrownJewels++
		return CrownJewel
	case "test", "lab":
		b.site.counts.TestAssets++
		return TestAsset
	}
	b.fail(e.line, "criticality: %q; use crown_jewel, normal or test", clip(e.text))
	return ""
}

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
	if z := raw.zone; z.text != "" {
		consequence, known := b.zones[fold(z.text)]
		if !known && len(b.zones) > 0 {
			b.fail(z.line, "zone: %q is not listed under zones; add it there or correct the name", clip(z.text))
		}
		h.Zone, h.Consequence = z.text, consequence
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

func (b *builder) admin(raw *rawAdmin) {
	a := &admin{hosts: b.members("administrator hosts", raw.hosts)}
	if len(raw.accounts) == 0 {
		b.fail(raw.line, "administrator: names no account; add accounts")
	}
	for _, e := range raw.accounts {
		id, ok := b.refAccount("administrator", e)
		if !ok {
			continue
		}
		if b.site.adminOf[id] != nil {
			b.fail(e.line, "administrator: %q stands in two entries; put its hosts and tools into one", clip(e.text))
			continue
		}
		b.site.adminOf[id] = a
		b.site.Resolver.admins[id] = true
	}
	for _, e := range raw.tools {
		if t, ok := b.tool(e); ok {
			a.tools = append(a.tools, t)
			b.site.counts.Tools++
		}
	}
	b.site.admins = append(b.site.admins, a)
	b.site.counts.Administrators++
}

// advice warns of what is allowed and probably does not do what its author expects.
func (b *builder) advice() {
	if len(b.site.domains) > 0 {
		return
	}
	first := map[string]string{}
	lines := map[string]int{}
	for name, line := range b.bareName {
		kind, bare, _ := strings.Cut(name, " ")
		if at, ok := lines[kind]; !ok || line < at || line == at && bare < first[kind] {
			first[kind], lines[kind] = bare, line
		}
	}
	for kind, bare := range first {
		full := bare + ".example.com"
		if kind == "account" {
			full = `EXAMPLE\` + bare
		}
		b.warn(lines[kind], "%s %q and maybe more have no domain, and no domains are listed: %s in an alert is not recognised as it; list your own domains", kind, bare, full)
	}
}

// finish sorts what is looked through in order, and joins what is asked together.
func (b *builder) finish() {
	s := b.site
	for i := range s.ids {
		slices.Sort(s.ids[i].Aliases)
	}
	for _, list := range s.leases {
		slices.SortFunc(list, func(a, b lease) int {
			return cmp.Or(a.from.Compare(b.from), cmp.Compare(a.line, b.line))
		})
	}
	for i, name := range roleNames {
		switch name {
		case "nat_or_proxy":
			s.shared = s.roles[i]
		case "scanner":
			s.scanners = s.roles[i]
		}
	}
}
