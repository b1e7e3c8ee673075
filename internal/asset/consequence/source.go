// Package consequence says what the worst is that may follow from the hosts of an alert: evidence
// from the asset graph, or from the zones that org.yaml states while the graph is away. It is
// context: it never says that something is malicious or harmless. It raises the severity of an
// investigation by one step and keeps actions away from where lives or equipment are at stake.
package consequence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/asset"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/absence"
	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/id"
)

// GraphUnavailable begins the note of a verdict for which the graph could not be asked.
const GraphUnavailable = "GRAPH_UNAVAILABLE"

// The limits of a Source.
const (
	// maxHosts is how many hosts of one alert are looked up.
	maxHosts = 32
	// fresh is how long an answer of the graph is kept.
	fresh = 5 * time.Minute
	// patience is how long a batch waits for the graph.
	patience = 500 * time.Millisecond
	// maxKept bounds the answers in memory.
	maxKept = 20_000
)

// Asker is the question of graph.Graph that a Source asks.
type Asker interface {
	Consequences(ctx context.Context, tenant string, of []graph.Ref) (map[graph.Ref]graph.Consequence, error)
}

// Config is what a Source is made of. Graph, Names and Clock are required.
type Config struct {
	Graph Asker
	// Names resolves the names of a tenant; it is asked once for each alert.
	Names func(tenant string) *asset.Resolver
	Clock clock.Clock
	Log   *slog.Logger
	// OT says whether an alert comes from a source of operational technology; nil means IsOT.
	OT func(a *alert.Alert) bool
	// Changed is told when the graph goes away, with the reason, and when it is back, with nil. It
	// must not block.
	Changed func(err error)
	// Timeout bounds how long a batch waits for the graph; 0 means 500 ms.
	Timeout time.Duration
}

// Source is the evidence source "consequence". It is safe for concurrent use.
type Source struct {
	cfg  Config
	kept cache
	away absence.Absence
	// telling is held while one says how asking went.
	telling sync.Mutex
}

var _ evidence.Source = (*Source)(nil)

// New checks the configuration and returns a source.
func New(cfg Config) (*Source, error) {
	if cfg.Graph == nil || cfg.Names == nil || cfg.Clock == nil {
		return nil, errors.New("consequence: graph, names and clock are required")
	}
	if cfg.OT == nil {
		cfg.OT = IsOT
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = patience
	}
	return &Source{cfg: cfg}, nil
}

// Name implements evidence.Source.
func (*Source) Name() string { return "consequence" }

// Forget drops the answers that are kept: after an import the graph is asked anew.
func (s *Source) Forget() { s.kept.clear() }

// host is a host of an alert.
type host struct {
	id     string // in the graph
	name   string
	entity *alert.Entity
	place  asset.Place
}

// Gather implements evidence.Source. Each host is asked about once for the whole batch.
func (s *Source) Gather(ctx context.Context, subjects []evidence.Subject) ([]evidence.Finding, error) {
	hosts := make([][]host, len(subjects))
	want := map[string]map[string]bool{}
	for i := range subjects {
		sub := &subjects[i]
		if sub.Alert == nil || sub.Entities == nil {
			continue
		}
		tenant := sub.Alert.TenantID
		hosts[i] = hostsOf(s.cfg.Names(tenant), sub)
		for j := range hosts[i] {
			if want[tenant] == nil {
				want[tenant] = map[string]bool{}
			}
			want[tenant][hosts[i][j].id] = true
		}
	}
	known := map[string]answers{}
	for tenant, ids := range want {
		a, err := s.ask(ctx, tenant, ids)
		if err != nil {
			return nil, err
		}
		known[tenant] = a
	}
	out := make([]evidence.Finding, len(subjects))
	for i := range subjects {
		if len(hosts[i]) > 0 {
			out[i] = s.finding(subjects[i].Alert, hosts[i], known[subjects[i].Alert.TenantID])
		}
	}
	return out, nil
}

// hostsOf lists the hosts of an alert, each once; one that the source states goes before the same
// one found in text.
func hostsOf(r *asset.Resolver, sub *evidence.Subject) []host {
	at, _ := sub.Alert.EventTime()
	var out []host
	for i := range sub.Entities.List {
		e := &sub.Entities.List[i]
		h, ok := hostOf(r, e.Type, e.Value, at)
		if !ok {
			continue
		}
		h.entity = e
		j := slices.IndexFunc(out, func(o host) bool { return o.id == h.id })
		switch {
		case j >= 0 && e.Confidence > out[j].entity.Confidence:
			out[j] = h
		case j < 0 && len(out) < maxHosts:
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b host) int { return cmp.Compare(a.id, b.id) })
	return out
}

// hostOf finds the asset that a host or address stands for. Addresses count only where org.yaml
// says whose they are.
func hostOf(r *asset.Resolver, t alert.EntityType, value string, at time.Time) (host, bool) {
	if t != alert.Host && t != alert.IP {
		return host{}, false
	}
	if who, ok := r.Host(value, at); ok {
		place, _ := r.Place(value, at)
		return host{id: who.ID, name: who.Name, place: place}, true
	}
	if _, none := r.Class(value); none || t == alert.IP {
		return host{}, false
	}
	id, ok := asset.AssetID(value)
	return host{id: id, name: value}, ok
}

// finding is what is known about the hosts of one alert.
func (s *Source) finding(a *alert.Alert, hosts []host, known answers) evidence.Finding {
	var f evidence.Finding
	ot := s.cfg.OT(a)
	at, _ := a.EventTime()
	for i := range hosts {
		h := &hosts[i]
		c, asked := known.of[h.id]
		if !asked {
			f.Blind = GraphUnavailable + ": " + known.why + "; the zones of org.yaml answered"
			c = static(h, ot)
		}
		own := c.Asset == "" && h.place.Class != graph.Unknown // org.yaml was read after the last import
		if own || ot && c.Class == graph.Unknown {
			c = static(h, ot)
		}
		if e, ok := item(h, &c, at, ot); ok {
			if own || !asked {
				e.Source = "zones of org.yaml"
			}
			f.Items = append(f.Items, e)
		}
	}
	return f
}

// static is the answer without the graph: the class of the host's own zone.
func static(h *host, ot bool) graph.Consequence {
	class, assumed := asset.StaticClass(h.place.Class, ot)
	return graph.Consequence{Class: class, Assumed: assumed, Asset: h.id, Zone: h.place.Zone, Owner: h.place.Owner}
}

// Kind is the kind of the evidence for a class.
func Kind(c graph.Class) string { return "consequence_" + string(c) }

// itemID derives the id of an item from the host, the class, and whether the host itself stands
// where the worst happens.
func itemID(asset string, c graph.Class, stands bool) string {
	how := "reaches"
	if stands {
		how = "stands"
	}
	return id.Derive("consequence", how, string(c), asset)
}

// item is the evidence about one host; ok is false for classes that every host has.
func item(h *host, c *graph.Consequence, at time.Time, ot bool) (evidence.Evidence, bool) {
	if c.Class.Rank() < graph.Downtime.Rank() {
		return evidence.Evidence{}, false
	}
	e := evidence.Evidence{
		ID: itemID(h.id, c.Class, c.Asset == h.id), Kind: Kind(c.Class), Stance: evidence.Context, Source: "asset graph",
		Statement: statement(h, c, ot), Group: "asset:" + h.id, ObservedAt: at, Trust: evidence.TrustSystem,
		Safety: c.Class == graph.SafetyLife,
	}
	if h.entity.Ref != "" {
		e.Refs = []string{h.entity.Ref}
	}
	if h.entity.Confidence < 1 {
		e.Trust = evidence.TrustAttacker
	}
	return e, true
}

var atStake = map[graph.Class]string{
	graph.SafetyLife: "lives are at stake", graph.Equipment: "equipment is at stake", graph.Downtime: "operation is at stake",
}

func statement(h *host, c *graph.Consequence, ot bool) string {
	var b strings.Builder
	b.WriteString(h.name)
	switch {
	case c.Assumed && ot:
		fmt.Fprintf(&b, " was named by a source of operational technology and stands in no zone of known class: it is assumed that %s", atStake[c.Class])
	case c.Assumed:
		fmt.Fprintf(&b, " leads to operational technology in no zone of known class: it is assumed that %s", atStake[c.Class])
	case c.Asset == h.id:
		fmt.Fprintf(&b, " stands in zone %s, where %s", c.Zone, atStake[c.Class])
	default:
		fmt.Fprintf(&b, " leads to zone %s, where %s", c.Zone, atStake[c.Class])
	}
	if len(c.Path) > 2 {
		names := make([]string, len(c.Path))
		for i := range c.Path {
			names[i] = cmp.Or(c.Path[i].Name, c.Path[i].Node.ID)
		}
		b.WriteString(" (" + strings.Join(names, " → ") + ")")
	}
	if c.Owner != "" {
		b.WriteString("; " + c.Owner + " answers for it")
	}
	return b.String()
}

// otProducts are parts of the names of products that watch operational technology, folded.
var otProducts = []string{
	"defender for iot", "nozomi", "claroty", "dragos", "tenable ot", "tenable.ot", "eyeinspect", "cyber vision", "scadafence",
	"otorio", "industrial defender", "radiflow", "armis",
}

// IsOT reports whether an alert comes from a product that watches operational technology. The
// product is what the adapter states, never the text of the alert.
func IsOT(a *alert.Alert) bool {
	name := strings.ToLower(a.Source + " " + a.Product)
	return slices.ContainsFunc(otProducts, func(p string) bool { return strings.Contains(name, p) })
}
