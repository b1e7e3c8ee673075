package asset

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// builder checks the sections of one tenant and makes its site.
type builder struct {
	*reader
	raw   *rawSite
	site  *site
	lines []int // where each identity was named first

	bareName map[string]int // users and hosts listed without a domain, with the line
}

func (b *builder) build() *site {
	s := b.site
	s.domains, s.names, s.short, s.leases = map[string]string{}, map[string]int{}, map[string]int{}, map[netip.Addr][]lease{}
	s.accounts, s.users, s.sids, s.admins = map[string]int{}, map[string]int{}, map[int][]string{}, nil
	s.adminOf, s.Resolver.admins = map[int]*admin{}, map[int]bool{}
	s.zones, s.connects, b.bareName = map[string]Zone{}, map[int][]int{}, map[string]int{}
	b.domains()
	b.zoneList()
	for i := range b.raw.hosts {
		b.host(&b.raw.hosts[i])
	}
	for i := range b.raw.accounts {
		b.account(&b.raw.accounts[i])
	}
	b.connections()
	b.models()
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
