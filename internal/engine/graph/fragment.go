package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fragment is the part of a tenant's graph around an asset that an engine fetched: everything
// that Bounds let reach. What follows from it is computed here, once for all engines.
type Fragment struct {
	Start Ref
	// Nodes are the assets and models that were reached, Start among them.
	Nodes map[Ref]Reached
	// Arcs are the ways between them: CONNECTS_TO along its direction, DEPLOYS_TO both ways (Back
	// marks asset to model). Radius needs none.
	Arcs []Arc
	// Stands are the zones in which the assets stand, and Zones all that these need: the zones
	// around them as well.
	Stands []Stand
	Zones  map[string]Zone
}

// Reached is a node of a Fragment. Cost is its distance in half hops: an asset to its model is
// half of one.
type Reached struct {
	Name string
	Cost int
	OT   bool
}

// Arc is a way from one node to the next.
type Arc struct {
	From, To Ref
	Relation Relation
	Back     bool
}

// Stand says that an asset stands in a zone.
type Stand struct{ Asset, Zone string }

// cost is the length of an arc in half hops.
func (a *Arc) cost() int {
	if a.Relation == ConnectsTo {
		return 2
	}
	return 1
}

// chain is the zone and those around it, at most MaxNesting of them, as far as they are known.
func (f *Fragment) chain(zone string) []string {
	out := make([]string, 0, 4)
	for z, ok := f.Zones[zone]; ok && len(out) <= MaxNesting; z, ok = f.Zones[z.Within] {
		out = append(out, z.ID)
	}
	return out
}

// class is the worst of a zone and those around it.
func (f *Fragment) class(zone string) Class {
	worst := Unknown
	for _, z := range f.chain(zone) {
		worst = worst.Worse(f.Zones[z].Class)
	}
	return worst
}

// Radius answers BlastRadius.
func (f *Fragment) Radius() Radius {
	zones := map[string]*ZoneReach{}
	stands := map[string][]string{}
	for _, s := range f.Stands {
		stands[s.Asset] = append(stands[s.Asset], s.Zone)
	}
	var out Radius
	for ref, n := range f.Nodes {
		if ref.Kind != KindAsset || ref == f.Start {
			continue
		}
		out.Assets++
		in := stands[ref.ID]
		if len(in) == 0 {
			in = []string{""}
		}
		for _, z := range in {
			f.reach(zones, z, n)
		}
	}
	out.Zones = make([]ZoneReach, 0, len(zones))
	for _, z := range zones {
		out.Zones = append(out.Zones, *z)
		out.Worst = out.Worst.Worse(z.Class)
	}
	slices.SortFunc(out.Zones, func(a, b ZoneReach) int {
		return cmp.Or(cmp.Compare(b.Class.Rank(), a.Class.Rank()), cmp.Compare(a.Zone, b.Zone))
	})
	return out
}

func (f *Fragment) reach(zones map[string]*ZoneReach, zone string, n Reached) {
	z := zones[zone]
	if z == nil {
		z = &ZoneReach{Zone: zone, Class: f.class(zone), Hops: n.Cost / 2}
		zones[zone] = z
	}
	if z.Class == Unknown && n.OT {
		z.Class = Equipment
	}
	z.Assets++
	z.Hops = min(z.Hops, n.Cost/2)
}

// maxSteps bounds the search for paths: past it the graph is too dense for the question.
const maxSteps = 2_000_000

// Paths answers the question of the same name over a fragment with arcs.
func (f *Fragment) Paths(zone string, k int, b Bounds) ([]Path, error) {
	s := &search{f: f, k: k, next: map[Ref][]Arc{}, ends: f.ends(zone), on: map[Ref]bool{}}
	for _, a := range f.Arcs {
		s.next[a.From] = append(s.next[a.From], a)
	}
	for _, list := range s.next {
		slices.SortFunc(list, func(a, b Arc) int { return strings.Compare(a.To.token(), b.To.token()) })
	}
	s.distances()
	for hops := 0; hops <= b.Hops && len(s.found) < k; hops++ {
		s.want = hops
		s.walk(f.Start, 2*hops)
		if s.steps > maxSteps {
			return nil, fmt.Errorf("%w: too many ways from %s; ask for fewer hops", ErrTooLarge, f.Start)
		}
	}
	return s.found, nil
}

// ends are the assets that stand in a zone or one within it, each with the chain of zones by which.
func (f *Fragment) ends(zone string) map[Ref][]string {
	out := map[Ref][]string{}
	for _, s := range f.Stands {
		chain := f.chain(s.Zone)
		i := slices.Index(chain, zone)
		if i < 0 {
			continue
		}
		chain, r := chain[:i+1], Ref{KindAsset, s.Asset}
		if old, ok := out[r]; !ok || len(chain) < len(old) || len(chain) == len(old) && slices.Compare(chain, old) < 0 {
			out[r] = chain
		}
	}
	return out
}

// search looks for simple paths of one length after the other, depth first in the order of the
// nodes, and only where an end can still be met.
type search struct {
	f     *Fragment
	k     int
	next  map[Ref][]Arc
	ends  map[Ref][]string
	left  map[Ref]int // half hops to the nearest end
	on    map[Ref]bool
	way   []Arc
	want  int
	found []Path
	steps int
}

func (s *search) distances() {
	before := map[Ref][]Arc{}
	for _, a := range s.f.Arcs {
		before[a.To] = append(before[a.To], a)
	}
	s.left = map[Ref]int{}
	// Arcs cost one or two half hops, so three rings hold all that is open.
	var rings [3][]Ref
	for r := range s.ends {
		rings[0] = append(rings[0], r)
		s.left[r] = 0
	}
	for d := 0; len(rings[0])+len(rings[1])+len(rings[2]) > 0; d++ {
		ring := rings[0]
		rings[0], rings[1], rings[2] = rings[1], rings[2], nil
		for _, r := range ring {
			if s.left[r] < d {
				continue
			}
			for i := range before[r] {
				a := &before[r][i]
				if old, seen := s.left[a.From]; !seen || d+a.cost() < old {
					s.left[a.From] = d + a.cost()
					rings[a.cost()-1] = append(rings[a.cost()-1], a.From)
				}
			}
		}
	}
}

func (s *search) walk(at Ref, budget int) {
	if s.steps++; s.steps > maxSteps {
		return
	}
	if chain, ok := s.ends[at]; ok && budget == 0 {
		s.found = append(s.found, s.path(chain))
		return
	}
	s.on[at] = true
	defer delete(s.on, at)
	for i := range s.next[at] {
		a := &s.next[at][i]
		rest := budget - a.cost()
		if left, ok := s.left[a.To]; !ok || left > rest || s.on[a.To] {
			continue
		}
		s.way = append(s.way, *a)
		s.walk(a.To, rest)
		s.way = s.way[:len(s.way)-1]
		if len(s.found) == s.k || s.steps > maxSteps {
			return
		}
	}
}

func (s *search) path(chain []string) Path {
	p := Path{Hops: s.want, Steps: []Step{{Node: s.f.Start, Name: s.f.Nodes[s.f.Start].Name}}}
	for i := range s.way {
		a := &s.way[i]
		p.Steps = append(p.Steps, Step{Node: a.To, Name: s.f.Nodes[a.To].Name, Relation: a.Relation, Back: a.Back})
	}
	for _, z := range chain {
		p.Steps = append(p.Steps, Step{Node: Ref{KindZone, z}, Name: s.f.Zones[z].Name, Relation: ResidesIn})
	}
	return p
}

// Grow widens a fragment by what one round of fetching brought, and returns the nodes that became
// nearer. Engines that fetch by rounds call it until nothing is new.
func (f *Fragment) Grow(arcs []Arc, names map[Ref]Reached, b Bounds) (nearer []Ref, err error) {
	for i := range arcs {
		a := &arcs[i]
		cost := f.Nodes[a.From].Cost + a.cost()
		if cost > 2*b.Hops {
			continue
		}
		old, seen := f.Nodes[a.To]
		if seen && old.Cost <= cost {
			continue
		}
		n := names[a.To]
		n.Cost = cost
		f.Nodes[a.To] = n
		nearer = append(nearer, a.To)
		if len(f.Nodes) > b.Nodes {
			return nil, TooMany(f.Start, b)
		}
	}
	return nearer, nil
}

// TooMany is the error of a walk that reaches more than its bounds allow.
func TooMany(start Ref, b Bounds) error {
	return fmt.Errorf("%w: %s reaches more than %d nodes within %d hops", ErrTooLarge, start, b.Nodes, b.Hops)
}
