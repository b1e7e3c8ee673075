package fp

import (
	"net/netip"
	"strings"
	"sync"

	"github.com/aluskort/aluskort/internal/alert"
)

// maxFields is how many leaves of a record are compared; conditions on a larger one fail.
const maxFields = 4096

// maxProbed is how many entities of an alert are compared.
const maxProbed = 512

// Subject is what a match is asked about.
type Subject struct {
	Tenant   string
	Alert    *alert.Alert
	Entities *alert.Entities
	// AssetClasses are the classes of the assets concerned, from the organisation's context.
	AssetClasses []string
}

// probe is a subject prepared once for all candidates: texts in lower case, hashes, addresses.
type probe struct {
	subject  Subject
	at       int64
	title    []byte
	analytic []byte
	ents     []probed
	text     []byte // memory of the entities' values
	cand     []*compiled
	scratch  []byte
}

type probed struct {
	kind       alert.EntityType
	role       alert.Role
	start, end int // of the value in probe.text
	hash       uint64
	addr       netip.Addr // valid for an address
}

// probes keeps the memory of probes between matches. It holds no state of a match.
type probes struct{ pool sync.Pool }

func (ps *probes) get() *probe {
	p, _ := ps.pool.Get().(*probe)
	if p == nil {
		p = new(probe)
	}
	return p
}

// maxPooled bounds the memory that one huge alert leaves behind.
const maxPooled = 64 << 10

func (ps *probes) put(p *probe) {
	if cap(p.text) > maxPooled || cap(p.cand) > maxPooled/8 {
		return
	}
	clear(p.cand)
	p.subject = Subject{}
	ps.pool.Put(p)
}

// prepare reports whether the subject can match anything at all.
func (p *probe) prepare(s *Subject, at int64) bool {
	p.subject, p.at = *s, at
	p.title, p.analytic, p.text = p.title[:0], p.analytic[:0], p.text[:0]
	p.ents, p.cand = p.ents[:0], p.cand[:0]
	if s.Alert == nil || s.Entities == nil || len(s.Alert.Title) > maxSubject || len(s.Alert.Analytic) > maxSubject {
		return false
	}
	p.title = appendFold(p.title, s.Alert.Title)
	p.analytic = appendFold(p.analytic, s.Alert.Analytic)
	for i := range s.Entities.List {
		if len(p.ents) == maxProbed {
			break
		}
		if e := &s.Entities.List[i]; e.Confidence >= 1 && len(e.Value) <= maxSubject {
			p.addEntity(e)
		}
	}
	return true
}

func (p *probe) addEntity(e *alert.Entity) {
	x := probed{kind: e.Type, role: e.Role, start: len(p.text)}
	if e.Type == alert.IP {
		if addr, err := netip.ParseAddr(e.Value); err == nil {
			x.addr = addr.Unmap().WithZone("")
			p.text = x.addr.AppendTo(p.text)
		}
	}
	if !x.addr.IsValid() {
		p.text = appendFold(p.text, e.Value)
	}
	x.end = len(p.text)
	x.hash = entityHash(e.Type, p.text[x.start:x.end])
	p.ents = append(p.ents, x)
}

func (p *probe) value(e *probed) []byte { return p.text[e.start:e.end] }

// evaluate returns the confidence of a pattern in millionths; ok is false below its threshold
// and outside its scope.
func (p *probe) evaluate(c *compiled) (conf int, ok bool) {
	if p.at >= c.expiry || !p.inScope(c) || !p.named(c) {
		return 0, false
	}
	satisfied := 0
	for i := range c.entities {
		if p.satisfies(&c.entities[i]) {
			satisfied++
		}
	}
	conf = confidence(satisfied, len(c.entities))
	if conf < c.threshold {
		return conf, false
	}
	for i := range c.payload {
		if !p.hasLeaf(&c.payload[i]) {
			return conf, false
		}
	}
	return conf, true
}

func (p *probe) inScope(c *compiled) bool {
	if c.tenant != p.subject.Tenant {
		return false
	}
	if c.family != "" && !inFamily(p.analytic, c.family) {
		return false
	}
	if c.assetClass == "" {
		return true
	}
	for _, a := range p.subject.AssetClasses {
		if strings.EqualFold(a, c.assetClass) {
			return true
		}
	}
	return false
}

func inFamily(analytic []byte, family string) bool {
	if len(analytic) < len(family) || string(analytic[:len(family)]) != family {
		return false
	}
	if len(analytic) == len(family) {
		return true
	}
	switch analytic[len(family)] {
	case ':', '/', '.':
		return true
	}
	return false
}

// named is the name score: 1 when the analytic is among those named and the title fits one of
// the names, as far as either is given.
func (p *probe) named(c *compiled) bool {
	if len(c.analytics) > 0 && !p.oneOfAnalytics(c) {
		return false
	}
	if len(c.names) == 0 {
		return len(c.analytics) > 0
	}
	for i := range c.names {
		if c.names[i].matches(p.title) {
			return true
		}
	}
	return false
}

func (p *probe) oneOfAnalytics(c *compiled) bool {
	for _, a := range c.analytics {
		if string(p.analytic) == a {
			return true
		}
	}
	return false
}

func (p *probe) satisfies(c *entityCheck) bool {
	for i := range p.ents {
		e := &p.ents[i]
		if e.kind != c.kind || c.role != "" && e.role != c.role {
			continue
		}
		if c.role == "" && e.kind == alert.Host && e.role == alert.RoleSource {
			continue // a name that the remote side gives itself
		}
		switch c.Op {
		case Equals:
			if e.hash == c.hash && string(p.value(e)) == c.Value {
				return true
			}
		case CIDR:
			if e.addr.IsValid() && c.net.Contains(e.addr) {
				return true
			}
		default:
			if c.matches(p.value(e)) {
				return true
			}
		}
	}
	return false
}

func (p *probe) hasLeaf(c *payloadCheck) bool {
	fields := p.subject.Alert.Fields
	if len(fields) > maxFields {
		return false
	}
	for i := range fields {
		if f := &fields[i]; f.Path == c.path && len(f.Value) <= maxSubject {
			p.scratch = appendFold(p.scratch[:0], f.Value)
			if c.matches(p.scratch) {
				return true
			}
		}
	}
	return false
}
