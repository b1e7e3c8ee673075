package asset

import "go.yaml.in/yaml/v3"

// The shape of the file, as it was read: nothing is checked yet but its form.

type rawSite struct {
	tenant    string
	line      int
	domains   []rawDomain
	zones     []rawZone
	models    []rawModel
	hosts     []rawHost
	accounts  []rawAccount
	admins    []rawAdmin
	adminDirs []entry
	roles     [len(roleNames)][]entry
	windows   []rawWindow
	exercises []rawExercise
}

type rawDomain struct {
	line    int
	netbios entry
	dns     []entry
}

type rawZone struct {
	line                             int
	name, consequence, owner, within entry
}

type rawModel struct {
	line                int
	name, version, hash entry
	hosts               []entry
}

type rawHost struct {
	line              int
	name              entry
	aliases, agents   []entry
	leases            []rawLease
	criticality, zone entry
	owner             entry
	connects          []entry
}

type rawLease struct {
	line              int
	address, from, to entry
}

type rawAccount struct {
	line        int
	name        entry
	aliases     []entry
	criticality entry
}

type rawAdmin struct {
	line                   int
	name                   entry
	accounts, hosts, tools []entry
}

type rawWindow struct {
	line           int
	what, from, to entry
	everything     entry
	hosts          []entry
	weekly         *rawWeekly
}

type rawWeekly struct {
	line       int
	days       []entry
	start, end entry
}

type rawExercise struct {
	line                                                 int
	what, from, to                                       entry
	accounts, hosts, senders, senderDomains, addressList []entry
}

// roleNames are the predicates that a list of hosts and addresses answers, and roleKeys the
// keys of those lists, in the same order.
var (
	roleNames = [...]string{"scanner", "management_server", "backup_server", "build_server", "mail_gateway", "nat_or_proxy"}
	roleKeys  = [...]string{"scanners", "management_servers", "backup_servers", "build_servers", "mail_gateways", "nat_or_proxy"}
)

// file reads the document: the sections of one organisation, or "tenants" with sections for each.
func (r *reader) file(n *yaml.Node) []rawSite {
	top := rawSite{line: n.Line}
	var tenants []rawSite
	keys := append(r.sections(&top), key{"tenants", func(n *yaml.Node) { tenants = r.tenants(n) }})
	r.mapping(n, "file", keys...)
	if tenants == nil {
		return []rawSite{top}
	}
	if !top.empty() {
		r.fail(top.line, "file: has \"tenants\" and sections beside it; move the sections below the tenant they belong to")
	}
	return tenants
}

func (s *rawSite) empty() bool {
	n := len(s.domains) + len(s.zones) + len(s.models) + len(s.hosts) + len(s.accounts) + len(s.admins) + len(s.adminDirs) + len(s.windows) + len(s.exercises)
	for _, list := range s.roles {
		n += len(list)
	}
	return n == 0
}

func (r *reader) tenants(n *yaml.Node) []rawSite {
	out := []rawSite{}
	if n.Kind != yaml.MappingNode {
		r.fail(n.Line, "tenants: %s, want tenant names with their sections", kindOf(n))
		return out
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, body := n.Content[i], n.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.Value == "" {
			r.fail(name.Line, "tenants: %s, want the name of a tenant", kindOf(name))
			continue
		}
		if line, twice := seen[name.Value]; twice {
			r.fail(name.Line, "tenants: %q stands here again, first on line %d; join the two", clip(name.Value), line)
			continue
		}
		seen[name.Value] = name.Line
		s := rawSite{tenant: name.Value, line: name.Line}
		if !isNull(body) {
			r.mapping(body, "tenant "+clip(name.Value), r.sections(&s)...)
		}
		out = append(out, s)
	}
	return out
}

func (r *reader) sections(s *rawSite) []key {
	keys := []key{
		{"domains", r.items("domains", func(n *yaml.Node) { r.domain(n, s) })},
		{"zones", r.items("zones", func(n *yaml.Node) { r.zone(n, s) })},
		{"models", r.items("models", func(n *yaml.Node) { r.model(n, s) })},
		{"hosts", r.items("hosts", func(n *yaml.Node) { r.host(n, s) })},
		{"accounts", r.items("accounts", func(n *yaml.Node) { r.account(n, s) })},
		{"administrators", r.items("administrators", func(n *yaml.Node) { r.admin(n, s) })},
		{"admin_directories", r.texts("admin_directories", &s.adminDirs)},
	}
	for i, name := range roleKeys {
		keys = append(keys, key{name, r.texts(name, &s.roles[i])})
	}
	return append(keys,
		key{"maintenance_windows", r.items("maintenance_windows", func(n *yaml.Node) { r.window(n, s) })},
		key{"exercises", r.items("exercises", func(n *yaml.Node) { r.exercise(n, s) })},
	)
}

func (r *reader) items(what string, each func(*yaml.Node)) func(*yaml.Node) {
	return func(n *yaml.Node) { r.list(n, what, each) }
}

func (r *reader) domain(n *yaml.Node, s *rawSite) {
	d := rawDomain{line: n.Line}
	r.mapping(n, "domain", key{"netbios", r.one("netbios", &d.netbios)}, key{"dns", r.texts("dns", &d.dns)})
	s.domains = append(s.domains, d)
}

func (r *reader) zone(n *yaml.Node, s *rawSite) {
	z := rawZone{line: n.Line}
	r.mapping(n, "zone",
		key{"name", r.one("name", &z.name)},
		key{"consequence", r.one("consequence", &z.consequence)},
		key{"owner", r.one("owner", &z.owner)},
		key{"within", r.one("within", &z.within)},
	)
	s.zones = append(s.zones, z)
}

func (r *reader) model(n *yaml.Node, s *rawSite) {
	m := rawModel{line: n.Line}
	r.mapping(n, "model",
		key{"name", r.one("name", &m.name)},
		key{"version", r.one("version", &m.version)},
		key{"hash", r.one("hash", &m.hash)},
		key{"hosts", r.texts("hosts", &m.hosts)},
	)
	s.models = append(s.models, m)
}

func (r *reader) host(n *yaml.Node, s *rawSite) {
	h := rawHost{line: n.Line}
	if n.Kind == yaml.ScalarNode {
		r.one("host", &h.name)(n)
		s.hosts = append(s.hosts, h)
		return
	}
	r.mapping(n, "host",
		key{"name", r.one("name", &h.name)},
		key{"aliases", r.texts("aliases", &h.aliases)},
		key{"agents", r.texts("agents", &h.agents)},
		key{"addresses", func(n *yaml.Node) { r.addresses(n, &h) }},
		key{"criticality", r.one("criticality", &h.criticality)},
		key{"zone", r.one("zone", &h.zone)},
		key{"owner", r.one("owner", &h.owner)},
		key{"connects_to", r.texts("connects_to", &h.connects)},
	)
	s.hosts = append(s.hosts, h)
}

func (r *reader) addresses(n *yaml.Node, h *rawHost) {
	read := func(n *yaml.Node) {
		l := rawLease{line: n.Line}
		if n.Kind == yaml.MappingNode {
			r.mapping(n, "address", key{"address", r.one("address", &l.address)}, key{"from", r.one("from", &l.from)}, key{"to", r.one("to", &l.to)})
		} else {
			r.one("addresses", &l.address)(n)
		}
		h.leases = append(h.leases, l)
	}
	if n.Kind == yaml.ScalarNode {
		read(n)
		return
	}
	r.list(n, "addresses", read)
}

func (r *reader) account(n *yaml.Node, s *rawSite) {
	a := rawAccount{line: n.Line}
	if n.Kind == yaml.ScalarNode {
		r.one("account", &a.name)(n)
		s.accounts = append(s.accounts, a)
		return
	}
	r.mapping(n, "account",
		key{"name", r.one("name", &a.name)},
		key{"aliases", r.texts("aliases", &a.aliases)},
		key{"criticality", r.one("criticality", &a.criticality)},
	)
	s.accounts = append(s.accounts, a)
}

func (r *reader) admin(n *yaml.Node, s *rawSite) {
	a := rawAdmin{line: n.Line}
	r.mapping(n, "administrator",
		key{"name", r.one("name", &a.name)},
		key{"accounts", r.texts("accounts", &a.accounts)},
		key{"hosts", r.texts("hosts", &a.hosts)},
		key{"tools", r.texts("tools", &a.tools)},
	)
	s.admins = append(s.admins, a)
}

func (r *reader) window(n *yaml.Node, s *rawSite) {
	w := rawWindow{line: n.Line}
	r.mapping(n, "maintenance window",
		key{"what", r.one("what", &w.what)},
		key{"hosts", r.texts("hosts", &w.hosts)},
		key{"everything", r.one("everything", &w.everything)},
		key{"from", r.one("from", &w.from)},
		key{"to", r.one("to", &w.to)},
		key{"weekly", func(n *yaml.Node) {
			w.weekly = &rawWeekly{line: n.Line}
			r.mapping(n, "weekly",
				key{"days", r.texts("days", &w.weekly.days)},
				key{"start", r.one("start", &w.weekly.start)},
				key{"end", r.one("end", &w.weekly.end)})
		}},
	)
	s.windows = append(s.windows, w)
}

func (r *reader) exercise(n *yaml.Node, s *rawSite) {
	e := rawExercise{line: n.Line}
	r.mapping(n, "exercise",
		key{"what", r.one("what", &e.what)},
		key{"accounts", r.texts("accounts", &e.accounts)},
		key{"hosts", r.texts("hosts", &e.hosts)},
		key{"senders", r.texts("senders", &e.senders)},
		key{"sender_domains", r.texts("sender_domains", &e.senderDomains)},
		key{"addresses", r.texts("addresses", &e.addressList)},
		key{"from", r.one("from", &e.from)},
		key{"to", r.one("to", &e.to)},
	)
	s.exercises = append(s.exercises, e)
}
