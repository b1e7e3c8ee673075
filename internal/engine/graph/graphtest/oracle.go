package graphtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/engine/graph"
)

// oracle is the graph of one tenant as plain maps, with answers by looking at everything.
type oracle struct {
	assets   map[string]graph.Asset
	zones    map[string]graph.Zone
	models   map[string]graph.Model
	findings map[string]graph.Finding
	stamps   map[graph.Ref]stamp
	edges    map[graph.Edge]stamp
}

// stamp says who wrote something last, and when.
type stamp struct {
	origin string
	at     time.Time
}

func newOracle() *oracle {
	return &oracle{map[string]graph.Asset{}, map[string]graph.Zone{}, map[string]graph.Model{}, map[string]graph.Finding{}, map[graph.Ref]stamp{}, map[graph.Edge]stamp{}}
}

func (o *oracle) clone() *oracle {
	return &oracle{maps.Clone(o.assets), maps.Clone(o.zones), maps.Clone(o.models), maps.Clone(o.findings), maps.Clone(o.stamps), maps.Clone(o.edges)}
}

// apply returns the graph after a change, or the error that the change deserves.
func (o *oracle) apply(c *graph.Change) (*oracle, error) {
	n, by := o.clone(), stamp{c.Origin, c.At}
	for _, e := range c.Detach {
		delete(n.edges, e)
	}
	for _, r := range c.Remove {
		n.remove(r)
	}
	for _, a := range c.Assets {
		a.OT = a.OT || n.assets[a.ID].OT
		n.assets[a.ID], n.stamps[ref(graph.KindAsset, a.ID)] = a, by
	}
	for _, z := range c.Zones {
		n.zones[z.ID], n.stamps[ref(graph.KindZone, z.ID)] = z, by
	}
	for _, m := range c.Models {
		n.models[m.ID], n.stamps[ref(graph.KindModel, m.ID)] = m, by
	}
	for _, f := range c.Findings {
		n.findings[f.ID], n.stamps[ref(graph.KindFinding, f.ID)] = f, by
	}
	for _, a := range c.Mentions {
		old, known := n.assets[a.ID]
		if !known {
			old, n.stamps[ref(graph.KindAsset, a.ID)] = a, by
		}
		old.OT = old.OT || a.OT
		n.assets[a.ID] = old
	}
	for _, z := range c.Zones {
		if _, ok := n.zones[z.Within]; !ok && n.zones[z.ID].Within == z.Within && z.Within != "" {
			return o, graph.ErrNotFound
		}
	}
	for _, e := range c.Edges {
		if !n.has(e.From) || !n.has(e.To) {
			return o, graph.ErrNotFound
		}
		n.edges[e] = by
	}
	return n, nil
}

func (o *oracle) has(r graph.Ref) bool { _, ok := o.stamps[r]; return ok }

func (o *oracle) remove(r graph.Ref) {
	if !o.has(r) {
		return
	}
	delete(o.stamps, r)
	maps.DeleteFunc(o.edges, func(e graph.Edge, _ stamp) bool { return e.From == r || e.To == r })
	switch r.Kind {
	case graph.KindAsset:
		delete(o.assets, r.ID)
	case graph.KindModel:
		delete(o.models, r.ID)
	case graph.KindFinding:
		delete(o.findings, r.ID)
	case graph.KindZone:
		delete(o.zones, r.ID)
		for id, z := range o.zones {
			if z.Within == r.ID {
				z.Within = ""
				o.zones[id] = z
			}
		}
	}
}

func (o *oracle) sweep(origin string, before time.Time) int {
	old := func(s stamp) bool { return s.origin == origin && s.at.Before(before) }
	n := 0
	for e, s := range o.edges {
		if old(s) {
			delete(o.edges, e)
			n++
		}
	}
	for r, s := range maps.Clone(o.stamps) {
		if old(s) {
			o.remove(r)
			n++
		}
	}
	return n
}

func ref(k graph.Kind, id string) graph.Ref { return graph.Ref{Kind: k, ID: id} }

// out lists what edges of a relation lead to, in order.
func (o *oracle) out(r graph.Relation, from graph.Ref) []graph.Ref {
	var list []graph.Ref
	for e := range o.edges {
		if e.Relation == r && e.From == from {
			list = append(list, e.To)
		}
	}
	return sorted(list)
}

func (o *oracle) in(r graph.Relation, to graph.Ref) []graph.Ref {
	var list []graph.Ref
	for e := range o.edges {
		if e.Relation == r && e.To == to {
			list = append(list, e.From)
		}
	}
	return sorted(list)
}

func token(r graph.Ref) string { return string(r.Kind) + r.ID }

func sorted(list []graph.Ref) []graph.Ref {
	slices.SortFunc(list, func(a, b graph.Ref) int { return strings.Compare(token(a), token(b)) })
	return list
}

func (o *oracle) name(r graph.Ref) string {
	switch r.Kind {
	case graph.KindAsset:
		return o.assets[r.ID].Name
	case graph.KindZone:
		return o.zones[r.ID].Name
	case graph.KindModel:
		return o.models[r.ID].Name
	}
	return o.findings[r.ID].Title
}

// way is a list of steps after the start.
type way []graph.Step

func (o *oracle) step(w way, r graph.Relation, back bool, to graph.Ref) way {
	return append(slices.Clone(w), graph.Step{Node: to, Name: o.name(to), Relation: r, Back: back})
}

func compareWays(a, b way) int {
	return slices.CompareFunc(a, b, func(x, y graph.Step) int { return strings.Compare(token(x.Node), token(y.Node)) })
}

// around is a zone with those around it.
func (o *oracle) around(zone string) []graph.Zone {
	var list []graph.Zone
	for z, ok := o.zones[zone]; ok && len(list) <= graph.MaxNesting; z, ok = o.zones[z.Within] {
		list = append(list, z)
	}
	return list
}

// candidate is one end of the consequence walk.
type candidate struct {
	way     way
	class   graph.Class
	assumed bool
	asset   graph.Asset
	zone    graph.Zone
}

func (o *oracle) consequence(start graph.Ref) (graph.Consequence, bool) {
	if !o.has(start) {
		return graph.Consequence{}, false
	}
	var all []candidate
	end := func(w way, a graph.Ref) { all = append(all, o.ends(w, o.assets[a.ID])...) }
	overModel := func(w way, m graph.Ref, not graph.Ref) {
		for _, a := range o.out(graph.DeploysTo, m) {
			if a != not {
				end(o.step(w, graph.DeploysTo, false, a), a)
			}
		}
	}
	fromAsset := func(w way, a graph.Ref) {
		end(w, a)
		for _, m := range o.in(graph.DeploysTo, a) {
			overModel(o.step(w, graph.DeploysTo, true, m), m, a)
		}
	}
	switch start.Kind {
	case graph.KindAsset:
		fromAsset(nil, start)
	case graph.KindModel:
		overModel(nil, start, graph.Ref{})
	case graph.KindFinding:
		for _, hit := range o.out(graph.Affects, start) {
			if w := o.step(nil, graph.Affects, false, hit); hit.Kind == graph.KindAsset {
				fromAsset(w, hit)
			} else {
				overModel(w, hit, graph.Ref{})
			}
		}
	}
	first := graph.Step{Node: start, Name: o.name(start)}
	if len(all) == 0 {
		return graph.Consequence{Path: []graph.Step{first}}, true
	}
	best := slices.MinFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.class.Rank(), a.class.Rank()), cmp.Compare(len(a.way), len(b.way)), compareWays(a.way, b.way))
	})
	return graph.Consequence{
		Class: best.class, Assumed: best.assumed, Asset: best.asset.ID, Zone: best.zone.ID,
		Owner: cmp.Or(best.asset.Owner, best.zone.Owner), Path: append([]graph.Step{first}, best.way...),
	}, true
}

// ends are the classes that an asset gives a walk: one for each zone and each zone around it.
func (o *oracle) ends(w way, a graph.Asset) []candidate {
	var all []candidate
	at := ref(graph.KindAsset, a.ID)
	for _, z := range o.out(graph.ResidesIn, at) {
		here, known := w, false
		var some []candidate
		for _, around := range o.around(z.ID) {
			here = o.step(here, graph.ResidesIn, false, ref(graph.KindZone, around.ID))
			known = known || around.Class != graph.Unknown
			some = append(some, candidate{here, around.Class, false, a, around})
		}
		if !known && a.OT {
			some[0].class, some[0].assumed = graph.Equipment, true
		}
		all = append(all, some...)
	}
	if len(all) == 0 {
		c := candidate{way: w, asset: a}
		if a.OT {
			c.class, c.assumed = graph.Equipment, true
		}
		all = append(all, c)
	}
	return all
}

// next lists the ways of one hop from an asset.
func (o *oracle) next(a graph.Ref) []way {
	var all []way
	for _, b := range o.out(graph.ConnectsTo, a) {
		all = append(all, o.step(nil, graph.ConnectsTo, false, b))
	}
	for _, m := range o.in(graph.DeploysTo, a) {
		over := o.step(nil, graph.DeploysTo, true, m)
		for _, b := range o.out(graph.DeploysTo, m) {
			all = append(all, o.step(over, graph.DeploysTo, false, b))
		}
	}
	return all
}

func (o *oracle) radius(asset string, hops, nodes int) (graph.Radius, error) {
	start := ref(graph.KindAsset, asset)
	if !o.has(start) {
		return graph.Radius{}, graph.ErrNotFound
	}
	reached, visited := map[graph.Ref]int{start: 0}, map[graph.Ref]bool{start: true}
	for h := 1; h <= hops; h++ {
		for a, d := range maps.Clone(reached) {
			if d != h-1 {
				continue
			}
			for _, m := range o.in(graph.DeploysTo, a) {
				visited[m] = true
			}
			for _, w := range o.next(a) {
				b := w[len(w)-1].Node
				if _, seen := reached[b]; !seen {
					reached[b] = h
				}
				visited[b] = true
			}
		}
	}
	if len(visited) > nodes {
		return graph.Radius{}, graph.ErrTooLarge
	}
	return o.byZone(start, reached), nil
}

func (o *oracle) byZone(start graph.Ref, reached map[graph.Ref]int) graph.Radius {
	out, zones := graph.Radius{Zones: []graph.ZoneReach{}}, map[string]graph.ZoneReach{}
	for a, d := range reached {
		if a == start {
			continue
		}
		out.Assets++
		in := o.out(graph.ResidesIn, a)
		if len(in) == 0 {
			in = []graph.Ref{{}}
		}
		for _, z := range in {
			r, seen := zones[z.ID]
			if !seen {
				r = graph.ZoneReach{Zone: z.ID, Hops: d}
				for _, around := range o.around(z.ID) {
					r.Class = r.Class.Worse(around.Class)
				}
			}
			if r.Class == graph.Unknown && o.assets[a.ID].OT {
				r.Class = graph.Equipment
			}
			r.Assets++
			r.Hops = min(r.Hops, d)
			zones[z.ID] = r
		}
	}
	for _, r := range zones {
		out.Zones = append(out.Zones, r)
		out.Worst = out.Worst.Worse(r.Class)
	}
	slices.SortFunc(out.Zones, func(a, b graph.ZoneReach) int {
		return cmp.Or(cmp.Compare(b.Class.Rank(), a.Class.Rank()), strings.Compare(a.Zone, b.Zone))
	})
	return out
}

func (o *oracle) paths(asset, zone string, k, hops int) ([]graph.Path, error) {
	start := ref(graph.KindAsset, asset)
	if !o.has(start) || !o.has(ref(graph.KindZone, zone)) {
		return nil, graph.ErrNotFound
	}
	var all []graph.Path
	var walk func(w way, at graph.Ref, h int)
	walk = func(w way, at graph.Ref, h int) {
		if into := o.into(at, zone); into != nil {
			p := graph.Path{Hops: h, Steps: append([]graph.Step{{Node: start, Name: o.name(start)}}, w...)}
			p.Steps = append(p.Steps, into...)
			all = append(all, p)
		}
		if h == hops {
			return
		}
		for _, more := range o.next(at) {
			if !repeats(start, w, more) {
				walk(append(slices.Clone(w), more...), more[len(more)-1].Node, h+1)
			}
		}
	}
	walk(nil, start, 0)
	slices.SortFunc(all, func(a, b graph.Path) int {
		return cmp.Or(cmp.Compare(a.Hops, b.Hops), compareWays(a.Steps, b.Steps))
	})
	return all[:min(k, len(all))], nil
}

func repeats(start graph.Ref, w, more way) bool {
	for _, s := range more {
		if s.Node == start || slices.ContainsFunc(w, func(x graph.Step) bool { return x.Node == s.Node }) {
			return true
		}
	}
	return false
}

// into are the steps from an asset into a zone, the fewest; nil when it does not stand in it.
func (o *oracle) into(a graph.Ref, zone string) way {
	var best way
	for _, z := range o.out(graph.ResidesIn, a) {
		var w way
		for _, around := range o.around(z.ID) {
			w = o.step(w, graph.ResidesIn, false, ref(graph.KindZone, around.ID))
			if around.ID == zone {
				if best == nil || len(w) < len(best) || len(w) == len(best) && compareWays(w, best) < 0 {
					best = w
				}
				break
			}
		}
	}
	return best
}

// String lists everything, for failures.
func (o *oracle) String() string {
	var b strings.Builder
	for r := range o.stamps {
		fmt.Fprintf(&b, "%s\n", r)
	}
	for e := range o.edges {
		fmt.Fprintf(&b, "%s -%s-> %s\n", e.From, e.Relation, e.To)
	}
	return b.String()
}
