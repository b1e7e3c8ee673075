package graphtest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/engine/graph"
)

// The ids of generated nodes: few, so that they meet, and awkward to order and to quote.
var (
	assetIDs   = []string{"a", "B", "b", "ä", "\uffe0", "𝄞", "x y", `q'"\`}
	zoneIDs    = []string{"a", "Z", "z", "\ue000", "𝄞"}
	modelIDs   = []string{"a", "m", "𝄞"}
	findingIDs = []string{"a", "f", "é"}
	owners     = []string{"", "ada"}
	origins    = []string{"org", "ctem"}
)

func drawRef(kinds ...graph.Kind) *rapid.Generator[graph.Ref] {
	return rapid.Custom(func(t *rapid.T) graph.Ref {
		k := rapid.SampledFrom(kinds).Draw(t, "kind")
		ids := map[graph.Kind][]string{graph.KindAsset: assetIDs, graph.KindZone: zoneIDs, graph.KindModel: modelIDs, graph.KindFinding: findingIDs}[k]
		return ref(k, rapid.SampledFrom(ids).Draw(t, "id"))
	})
}

func drawAsset() *rapid.Generator[graph.Asset] {
	return rapid.Custom(func(t *rapid.T) graph.Asset {
		return graph.Asset{
			ID: drawRef(graph.KindAsset).Draw(t, "asset").ID, Name: rapid.SampledFrom([]string{"", "n1", "n2"}).Draw(t, "name"),
			Owner: rapid.SampledFrom(owners).Draw(t, "owner"), OT: rapid.IntRange(0, 3).Draw(t, "ot") == 0,
		}
	})
}

func drawZone() *rapid.Generator[graph.Zone] {
	return rapid.Custom(func(t *rapid.T) graph.Zone {
		z := graph.Zone{
			ID: drawRef(graph.KindZone).Draw(t, "zone").ID, Name: rapid.SampledFrom([]string{"", "z1"}).Draw(t, "name"),
			Owner: rapid.SampledFrom(owners).Draw(t, "owner"),
			Class: rapid.SampledFrom([]graph.Class{graph.Unknown, graph.Unknown, graph.DataLoss, graph.Downtime, graph.Equipment, graph.SafetyLife}).Draw(t, "class"),
		}
		if rapid.IntRange(0, 2).Draw(t, "nested") == 0 {
			z.Within = drawRef(graph.KindZone).Draw(t, "within").ID
		}
		return z
	})
}

func drawEdge() *rapid.Generator[graph.Edge] {
	return rapid.Custom(func(t *rapid.T) graph.Edge {
		r := rapid.SampledFrom([]graph.Relation{graph.ResidesIn, graph.ConnectsTo, graph.DeploysTo, graph.Affects}).Draw(t, "relation")
		switch r {
		case graph.ResidesIn:
			return edge(r, drawRef(graph.KindAsset).Draw(t, "from"), drawRef(graph.KindZone).Draw(t, "to"))
		case graph.ConnectsTo:
			return edge(r, drawRef(graph.KindAsset).Draw(t, "from"), drawRef(graph.KindAsset).Draw(t, "to"))
		case graph.DeploysTo:
			return edge(r, drawRef(graph.KindModel).Draw(t, "from"), drawRef(graph.KindAsset).Draw(t, "to"))
		}
		return edge(r, drawRef(graph.KindFinding).Draw(t, "from"), drawRef(graph.KindAsset, graph.KindModel).Draw(t, "to"))
	})
}

// everyNode is a change in which every id is there, so that most edges find their ends.
func everyNode() graph.Change {
	var c graph.Change
	for _, id := range assetIDs {
		c.Assets = append(c.Assets, graph.Asset{ID: id, Name: "asset " + id})
	}
	for i, id := range zoneIDs {
		c.Zones = append(c.Zones, graph.Zone{ID: id, Class: graph.ClassOf(i)})
	}
	for _, id := range modelIDs {
		c.Models = append(c.Models, graph.Model{ID: id, Name: "model " + id})
	}
	for _, id := range findingIDs {
		c.Findings = append(c.Findings, graph.Finding{ID: id, Title: "finding " + id})
	}
	return c
}

func drawChange(t *rapid.T, step int) graph.Change {
	var c graph.Change
	if step == 0 {
		c = everyNode()
		c.Edges = rapid.SliceOfN(drawEdge(), 0, 40).Draw(t, "edges")
	} else {
		c.Assets = rapid.SliceOfN(drawAsset(), 0, 3).Draw(t, "assets")
		c.Zones = rapid.SliceOfN(drawZone(), 0, 4).Draw(t, "zones")
		c.Mentions = rapid.SliceOfN(drawAsset(), 0, 2).Draw(t, "mentions")
		c.Edges = rapid.SliceOfN(drawEdge(), 0, 4).Draw(t, "edges")
		c.Detach = rapid.SliceOfN(drawEdge(), 0, 3).Draw(t, "detach")
		c.Remove = rapid.SliceOfN(drawRef(graph.KindAsset, graph.KindZone, graph.KindModel, graph.KindFinding), 0, 2).Draw(t, "remove")
	}
	c.Origin = rapid.SampledFrom(origins).Draw(t, "origin")
	c.At = now.Add(time.Duration(step) * time.Minute)
	return c
}

// busy is every node with every edge there can be.
func busy() graph.Change {
	c := everyNode()
	for _, a := range assetIDs {
		for _, x := range assetIDs {
			c.Edges = append(c.Edges, edge(graph.ConnectsTo, asset(a), asset(x)))
		}
		for _, z := range zoneIDs {
			c.Edges = append(c.Edges, edge(graph.ResidesIn, asset(a), zone(z)))
		}
		for _, m := range modelIDs {
			c.Edges = append(c.Edges, edge(graph.DeploysTo, model(m), asset(a)))
		}
		for _, f := range findingIDs {
			c.Edges = append(c.Edges, edge(graph.Affects, finding(f), asset(a)))
		}
	}
	return c
}

// testOracle makes the same changes to the engine and to the oracle, and asks both everything.
// A neighbour with the same ids is there all the time and must not be seen.
func testOracle(t *testing.T, b *bench) {
	neighbour := bench{b.g, b.tenant}
	neighbour.apply(t, busy())
	rapid.Check(t, func(r *rapid.T) {
		b := &checked{bench: bench{b.g, NewTenant()}, t: t, r: r, o: newOracle()}
		steps := rapid.IntRange(1, 5).Draw(r, "steps")
		for i := range steps {
			b.change(drawChange(r, i))
			if i > 0 && rapid.IntRange(0, 3).Draw(r, "sweep") == 0 {
				b.sweep(rapid.SampledFrom(origins).Draw(r, "swept"), now.Add(time.Duration(i)*time.Minute))
			}
		}
		b.consequences()
		b.radii()
		b.paths()
	})
}

// checked is a tenant with its oracle.
type checked struct {
	bench
	t *testing.T
	r *rapid.T
	o *oracle
}

func (b *checked) change(c graph.Change) {
	err := b.g.Apply(b.t.Context(), b.tenant, &c)
	var want error
	b.o, want = b.o.apply(&c)
	b.sameError("apply", err, want)
}

func (b *checked) sameError(what string, got, want error) {
	if (got == nil) != (want == nil) || want != nil && !errors.Is(got, want) {
		b.r.Fatalf("%s: error is %v, want %v", what, got, want)
	}
}

func (b *checked) sweep(origin string, before time.Time) {
	n, err := b.g.Sweep(b.t.Context(), b.tenant, origin, before)
	if want := b.o.sweep(origin, before); err != nil || n != want {
		b.r.Fatalf("swept %d (%v), want %d", n, err, want)
	}
}

func (b *checked) consequences() {
	var all []graph.Ref
	for _, list := range []struct {
		kind graph.Kind
		ids  []string
	}{{graph.KindAsset, assetIDs}, {graph.KindModel, modelIDs}, {graph.KindFinding, findingIDs}} {
		for _, id := range list.ids {
			all = append(all, ref(list.kind, id))
		}
	}
	got, err := b.g.Consequences(b.t.Context(), b.tenant, all)
	if err != nil {
		b.r.Fatal(err)
	}
	want := map[graph.Ref]graph.Consequence{}
	for _, r := range all {
		if c, ok := b.o.consequence(r); ok {
			want[r] = c
		}
	}
	b.same("consequences", got, want)
}

func (b *checked) radii() {
	id := drawRef(graph.KindAsset).Draw(b.r, "from").ID
	for hops := 1; hops <= 3; hops++ {
		nodes := rapid.SampledFrom([]int{3, 8, 100}).Draw(b.r, "nodes")
		got, err := b.g.BlastRadius(b.t.Context(), b.tenant, id, graph.Bounds{Hops: hops, Nodes: nodes})
		want, wantErr := b.o.radius(id, hops, nodes)
		b.sameError("radius", err, wantErr)
		if err == nil {
			b.same(fmt.Sprintf("radius of %s, %d hops", id, hops), got, want)
		}
	}
}

func (b *checked) paths() {
	id, into := drawRef(graph.KindAsset).Draw(b.r, "from").ID, drawRef(graph.KindZone).Draw(b.r, "into").ID
	k, hops := rapid.SampledFrom([]int{1, 3, 50}).Draw(b.r, "k"), rapid.IntRange(1, 4).Draw(b.r, "hops")
	got, err := b.g.Paths(b.t.Context(), b.tenant, id, into, k, graph.Bounds{Hops: hops})
	want, wantErr := b.o.paths(id, into, k, hops)
	b.sameError("paths", err, wantErr)
	b.same(fmt.Sprintf("paths from %s into %s", id, into), got, want)
}

func (b *checked) same(what string, got, want any) {
	if d := diff(got, want); d != "" {
		b.r.Fatalf("%s (-want +got):\n%s\nover\n%s", what, d, b.o)
	}
}
