package graphtest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/aluskort/aluskort/internal/engine/graph"
)

// Size of the estate that Benchmark asks about.
const (
	benchAssets   = 10_000
	benchZones    = 50
	benchModels   = 200
	benchFindings = 2_000
	benchEdges    = 50_000
)

// Benchmark measures an engine over 10,000 assets, 50 zones, 200 models, 2,000 findings and 50,000
// edges.
func Benchmark(b *testing.B, g graph.Graph) {
	x := bench{g: g, tenant: NewTenant()}
	c := estate()
	x.apply(b, c)
	asked := func(kind graph.Kind, n, count int) []graph.Ref {
		out := make([]graph.Ref, n)
		for i := range out {
			out[i] = ref(kind, fmt.Sprint((i*37+n)%count))
		}
		return out
	}
	for _, q := range []struct {
		name string
		of   []graph.Ref
	}{
		{"consequence of a finding", asked(graph.KindFinding, 1, benchFindings)},
		{"consequence of an asset", asked(graph.KindAsset, 1, benchAssets)},
		{"consequences of 64 assets", asked(graph.KindAsset, 64, benchAssets)},
	} {
		b.Run(q.name, func(b *testing.B) {
			for b.Loop() {
				if got, err := g.Consequences(b.Context(), x.tenant, q.of); err != nil || len(got) != len(q.of) {
					b.Fatal(len(got), err)
				}
			}
		})
	}
	for hops := 1; hops <= 3; hops++ {
		b.Run(fmt.Sprintf("blast radius of %d hops", hops), func(b *testing.B) {
			for b.Loop() {
				if _, err := g.BlastRadius(b.Context(), x.tenant, "1", graph.Bounds{Hops: hops, Nodes: 20_000}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("3 paths of 3 hops", func(b *testing.B) {
		for b.Loop() {
			if _, err := g.Paths(b.Context(), x.tenant, "1", "7", 3, graph.Bounds{Hops: 3, Nodes: 20_000}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("apply of 1,000 edges again", func(b *testing.B) {
		again := graph.Change{Origin: c.Origin, At: c.At, Edges: c.Edges[:1000]}
		for b.Loop() {
			if err := g.Apply(b.Context(), x.tenant, &again); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// estate is made by chance, and the same each time.
func estate() graph.Change {
	r := rand.New(rand.NewPCG(1, 2))
	c := graph.Change{Origin: "suite", At: now}
	pick := func(n int) string { return fmt.Sprint(r.IntN(n)) }
	for i := range benchZones {
		z := graph.Zone{ID: fmt.Sprint(i), Name: fmt.Sprint("zone ", i), Class: graph.ClassOf(i % 5)}
		if i >= 10 {
			z.Within = fmt.Sprint(i % 10)
		}
		c.Zones = append(c.Zones, z)
	}
	for i := range benchAssets {
		c.Assets = append(c.Assets, graph.Asset{ID: fmt.Sprint(i), Name: fmt.Sprint("host ", i)})
		c.Edges = append(c.Edges, edge(graph.ResidesIn, asset(fmt.Sprint(i)), zone(pick(benchZones))))
	}
	for i := range benchModels {
		c.Models = append(c.Models, graph.Model{ID: fmt.Sprint(i)})
		for range 10 {
			c.Edges = append(c.Edges, edge(graph.DeploysTo, model(fmt.Sprint(i)), asset(pick(benchAssets))))
		}
	}
	for i := range benchFindings {
		c.Findings = append(c.Findings, graph.Finding{ID: fmt.Sprint(i)})
		c.Edges = append(c.Edges, edge(graph.Affects, finding(fmt.Sprint(i)), asset(pick(benchAssets))))
	}
	for len(c.Edges) < benchEdges {
		c.Edges = append(c.Edges, edge(graph.ConnectsTo, asset(pick(benchAssets)), asset(pick(benchAssets))))
	}
	return c
}
