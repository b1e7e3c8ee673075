package asset

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// Merge groups the entities of one alert that are evidently one host or account: by org.yaml,
// and without it a host name with the FQDN of the same first label, and DOMAIN\user,
// user@domain and the bare user. Where two hosts or domains would fit, names stay apart.
// Classes are left out. Identities come in the order of their first entity.
func (r *Resolver) Merge(entities []alert.Entity) []Identity {
	g := grouping{r: r, hosts: map[string]bool{}, of: make([]string, len(entities))}
	for i := range entities {
		if e := &entities[i]; e.Type == alert.Host {
			if name, ok := hostName(e.Value); ok {
				g.hosts[shortName(name)] = true
			}
		}
	}
	var hosts, accounts []named
	for i := range entities {
		switch e := &entities[i]; e.Type {
		case alert.Host:
			hosts = g.host(hosts, e, i)
		case alert.Account, alert.Mailbox:
			accounts = g.account(accounts, e, i)
		}
	}
	g.join(hosts)
	g.join(accounts)
	return g.identities(entities)
}

// named is the name of an unlisted entity: what it is called, and by which authority.
type named struct {
	name    string
	dns, nt string
	member  int
}

type grouping struct {
	r     *Resolver
	hosts map[string]bool // short names of the alert's hosts
	of    []string        // group of each entity; "" for none
}

func (g *grouping) host(list []named, e *alert.Entity, i int) []named {
	if _, none := g.r.Class(e.Value); none {
		return list
	}
	if id := g.r.host(e.Value, time.Time{}); id >= 0 {
		g.of[i] = g.r.ids[id].ID
		return list
	}
	name, ok := hostName(e.Value)
	if !ok {
		return list
	}
	label := shortName(name)
	n := named{name: "host:" + label, member: i}
	if label != name {
		n.dns = name[len(label)+1:]
	}
	return append(list, n)
}

func (g *grouping) account(list []named, e *alert.Entity, i int) []named {
	if _, none := g.r.Class(e.Value); none {
		return list
	}
	if id, _ := g.r.entity(e, time.Time{}); id >= 0 {
		g.of[i] = g.r.ids[id].ID
		return list
	}
	a, ok := parseAccount(e.Value)
	if !ok {
		return list
	}
	if a.sid != "" {
		return append(list, named{name: "account:" + a.sid, member: i})
	}
	n := named{name: "account:" + a.user, member: i}
	switch {
	case a.domain == "":
	case g.hosts[a.domain] && !strings.Contains(a.domain, "."):
		n.name = "account:" + a.domain + `\` + a.user // of that host alone
	case strings.Contains(a.domain, "."):
		n.dns = a.domain
	default:
		n.nt = a.domain
	}
	return append(list, n)
}

// join gives groups to the names: all of one name, if no two authorities claim it; else those
// of one authority, and a NetBIOS domain with the DNS domain whose first label it is.
func (g *grouping) join(list []named) {
	byName := map[string][]named{}
	for _, n := range list {
		byName[n.name] = append(byName[n.name], n)
	}
	for name, same := range byName {
		dns, nt := map[string]bool{}, map[string]bool{}
		for _, n := range same {
			if n.dns != "" {
				dns[n.dns] = true
			}
			if n.nt != "" {
				nt[n.nt] = true
			}
		}
		for _, n := range same {
			g.of[n.member] = name
			if len(dns) > 1 || len(nt) > 1 {
				g.of[n.member] = name + "@" + authority(n, dns)
			}
		}
	}
}

func authority(n named, dns map[string]bool) string {
	if n.dns != "" || n.nt == "" {
		return n.dns
	}
	match := ""
	for d := range dns {
		if shortName(d) == n.nt {
			if match != "" {
				return n.nt
			}
			match = d
		}
	}
	return cmp.Or(match, n.nt)
}

func (g *grouping) identities(entities []alert.Entity) []Identity {
	var out []Identity
	at := map[string]int{}
	for i := range entities {
		group := g.of[i]
		if group == "" {
			continue
		}
		n, ok := at[group]
		if !ok {
			n = len(out)
			at[group] = n
			out = append(out, g.identity(group, &entities[i]))
		}
		id := &out[n]
		id.Members = append(id.Members, i)
		if v := entities[i].Value; v != id.Name && !slices.Contains(id.Aliases, v) {
			id.Aliases = append(id.Aliases, v)
		}
	}
	for i := range out {
		if !out[i].Known {
			out[i].nameBest()
		}
		slices.Sort(out[i].Aliases)
	}
	return out
}

func (g *grouping) identity(group string, e *alert.Entity) Identity {
	for i := range g.r.ids {
		if g.r.ids[i].ID == group {
			id, _ := g.r.identity(i)
			return id
		}
	}
	t := e.Type
	if t != alert.Host {
		t = alert.Account
	}
	return Identity{Type: t, Name: e.Value}
}

// nameBest calls an unlisted identity by the name that says most: the longest, then the first
// in order, so that the order of the entities does not matter.
func (id *Identity) nameBest() {
	names := append(slices.Clone(id.Aliases), id.Name)
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(b, "@"), strings.Count(a, "@")), cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	id.Name, id.Aliases = names[0], names[1:]
	id.ID = string(id.Type) + ":" + fold(id.Name)
}
