package asset

import (
	"maps"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/graph"
)

// GraphOrigin is the origin of what org.yaml writes into the asset graph.
const GraphOrigin = "org.yaml"

// ZoneID is the id of a zone in the graph.
func ZoneID(name string) string { return fold(name) }

// AssetID is the id in the graph of a host that org.yaml does not name: that of an identity with
// this name. ok is false for what is no name of a host.
func AssetID(host string) (id string, ok bool) {
	name, ok := hostName(host)
	if !ok || loopbackNames[name] {
		return "", false
	}
	return string(alert.Host) + ":" + name, true
}

// Graph is what org.yaml says about a tenant's hosts, zones and models, as a change of its asset
// graph: apply it with graph.Load, then forget what the file no longer says with Graph.Sweep, both
// with the same time. Zones without a consequence get that of their name, where it is well known.
func (o *Org) Graph(tenant string, at time.Time) *graph.Change {
	c := &graph.Change{Origin: GraphOrigin, At: at}
	s := o.site(tenant)
	if s == nil {
		return c
	}
	zones := maps.Clone(s.zones)
	if zones == nil {
		zones = map[string]Zone{}
	}
	for i := range s.ids {
		s.graphHost(c, zones, i)
	}
	for _, name := range slices.Sorted(maps.Keys(zones)) {
		z := zones[name]
		if z.Consequence == graph.Unknown {
			z.Consequence, _ = ZoneClass(z.Name)
		}
		c.Zones = append(c.Zones, graph.Zone{ID: name, Name: z.Name, Class: z.Consequence, Owner: z.Owner, Within: ZoneID(z.Within)})
	}
	for i := range s.models {
		s.graphModel(c, &s.models[i])
	}
	return c
}

// graphHost adds a host with its edges, and its zone where the file has no list of zones.
func (s *site) graphHost(c *graph.Change, zones map[string]Zone, i int) {
	h := &s.ids[i]
	if h.Type != alert.Host {
		return
	}
	c.Assets = append(c.Assets, graph.Asset{ID: h.ID, Name: h.Name, Type: string(alert.Host), Criticality: string(h.Criticality), Owner: h.Owner})
	self := graph.Ref{Kind: graph.KindAsset, ID: h.ID}
	if h.Zone != "" {
		id := ZoneID(h.Zone)
		if _, ok := zones[id]; !ok {
			zones[id] = Zone{Name: h.Zone}
		}
		c.Edges = append(c.Edges, graph.Edge{Relation: graph.ResidesIn, From: self, To: graph.Ref{Kind: graph.KindZone, ID: id}})
	}
	for _, to := range s.connects[i] {
		c.Edges = append(c.Edges, graph.Edge{Relation: graph.ConnectsTo, From: self, To: graph.Ref{Kind: graph.KindAsset, ID: s.ids[to].ID}})
	}
}

func (s *site) graphModel(c *graph.Change, m *model) {
	id := fold(m.name)
	if m.version != "" {
		id += "@" + fold(m.version)
	}
	c.Models = append(c.Models, graph.Model{ID: id, Name: m.name, Version: m.version, Hash: m.hash})
	for _, h := range m.hosts {
		c.Edges = append(c.Edges, graph.Edge{Relation: graph.DeploysTo, From: graph.Ref{Kind: graph.KindModel, ID: id},
			To: graph.Ref{Kind: graph.KindAsset, ID: s.ids[h].ID}})
	}
}

// Place is where a host stands and who answers for it.
type Place struct {
	// Class is graph.Unknown where nobody said.
	Class graph.Class
	Zone  string
	Owner string
}

// Place says where a host stands, by a name or an address that it had at the time; ok is false for
// hosts that org.yaml does not name.
func (r *Resolver) Place(host string, at time.Time) (p Place, ok bool) {
	id := r.host(host, at)
	if id < 0 {
		return Place{}, false
	}
	h := &r.ids[id]
	return Place{Class: h.Consequence, Zone: h.Zone, Owner: h.Owner}, true
}
