package parse

import (
	"sync"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// Parser makes entities and indicators of alerts. It is safe for concurrent use.
type Parser struct {
	describe func(source string) *ingest.Descriptor
	scanner  *Scanner
	warn     *WarningLists
	plans    sync.Map // *ingest.Descriptor (nil too) to *plan
	pool     sync.Pool
}

// Option changes a Parser.
type Option func(*Parser)

// WithWarnings sets the warning lists; by default they are the built-in ones.
func WithWarnings(l *WarningLists) Option { return func(p *Parser) { p.warn = l } }

// WithScanner shares a Scanner.
func WithScanner(s *Scanner) Option { return func(p *Parser) { p.scanner = s } }

// New returns a Parser. describe returns the descriptor of a source, the same pointer each
// time, or nil for an unknown one; it may be nil.
func New(describe func(source string) *ingest.Descriptor, opts ...Option) *Parser {
	p := &Parser{describe: describe}
	for _, o := range opts {
		o(p)
	}
	if p.scanner == nil {
		p.scanner = NewScanner()
	}
	if p.warn == nil {
		p.warn = NewWarningLists()
	}
	return p
}

// Warnings returns the warning lists in use.
func (p *Parser) Warnings() *WarningLists { return p.warn }

// work is the scratch memory of one alert.
type work struct {
	collector
	graph  graph
	fresh  map[string]pathPlan
	paths  bool // an entity path of the descriptor had a value
	parser *Parser
	alert  *alert.Alert
	plan   *plan
}

// Parse returns what the alert is about. Three readings are merged, surest first: the entity
// graph in EntitiesRaw and the entity paths of the source's descriptor, both with confidence
// 1, then what the scanner finds in the texts, with the confidence of its type. It never
// fails; what could not be parsed is named in Errors. The result does not refer to a's memory
// except for pointers of fields.
func (p *Parser) Parse(a *alert.Alert) alert.Entities {
	w, _ := p.pool.Get().(*work)
	if w == nil {
		w = &work{}
	}
	w.reset(p.warn)
	w.parser, w.alert, w.paths = p, a, false
	w.plan = p.planFor(a.Source)

	graphOK := w.graph.parse(a.EntitiesRaw, &w.collector)
	plans := *w.plan.byPath.Load()
	for i := range a.Fields {
		if x := w.pathPlan(plans, a.Fields[i].Path); len(x.entities) > 0 {
			w.statedField(&a.Fields[i], x.entities)
		}
	}
	w.scanAll(plans, graphOK, !graphOK && !w.paths)
	markPrincipals(w.out.List, p.warn)
	if len(w.fresh) > 0 {
		w.plan.learn(w.fresh)
		w.fresh = nil
	}

	out := w.out
	w.out, w.alert, w.parser, w.plan, w.warn = alert.Entities{}, nil, nil, nil, nil
	if cap(w.graph.nodes) <= maxNodes/8 && cap(w.graph.arena) <= 1<<20 && len(w.graph.named) <= 4096 {
		p.pool.Put(w)
	}
	return out
}

func (p *Parser) planFor(source string) *plan {
	var d *ingest.Descriptor
	if p.describe != nil {
		d = p.describe(source)
	}
	if x, ok := p.plans.Load(d); ok {
		return x.(*plan)
	}
	x, _ := p.plans.LoadOrStore(d, newPlan(d))
	return x.(*plan)
}

func (w *work) pathPlan(known map[string]pathPlan, path string) pathPlan {
	if x, ok := known[path]; ok {
		return x
	}
	if x, ok := w.fresh[path]; ok {
		return x
	}
	x := w.plan.resolve(path)
	if w.fresh == nil {
		w.fresh = make(map[string]pathPlan)
	}
	w.fresh[path] = x
	return x
}

// markPrincipals makes sure that an alert has principal entities when its source's
// descriptor names none: the devices or the first host, the first account, and the remote
// address. An alert with none of these is about its first entity.
func markPrincipals(list []alert.Entity, warn *WarningLists) {
	host, account, ip, remote := -1, -1, -1, -1
	devices := false
	for i := range list {
		e := &list[i]
		if e.Principal {
			return
		}
		if e.Confidence < 0.9 {
			continue
		}
		switch e.Type {
		case alert.Host:
			devices = devices || e.Role == alert.RoleDevice
			host = firstOf(host, i)
		case alert.Account:
			account = firstOf(account, i)
		case alert.IP:
			ip = firstOf(ip, i)
			if e.Role != alert.RoleDevice && warn.Warn(addressType(e.Value), e.Value) == "" {
				remote = firstOf(remote, i)
			}
		}
	}
	if remote < 0 {
		remote = ip
	}
	marked := false
	for i := range list {
		e := &list[i]
		if devices && e.Type == alert.Host && e.Role == alert.RoleDevice ||
			!devices && i == host || i == account || i == remote {
			e.Principal, marked = true, true
		}
	}
	if !marked && len(list) > 0 {
		list[0].Principal = true
	}
}

func firstOf(have, i int) int {
	if have >= 0 {
		return have
	}
	return i
}
