// Package graphtest is the suite of behaviour tests that every engine of package graph passes:
// the same answers as a plain oracle, for generated graphs and for the shapes that break walks.
package graphtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aluskort/aluskort/internal/engine/graph"
)

// Open returns the engine under test. It may hold other tenants; the suite names new ones.
type Open func(t testing.TB) graph.Graph

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, p := range []struct {
		name string
		run  func(t *testing.T, b *bench)
	}{
		{"training set reaches safety_life (T6)", testTrainingSet},
		{"consequences", testConsequences},
		{"shortest walk", testShortest},
		{"nested zones", testNesting},
		{"long chain", testChain},
		{"dense hub", testHub},
		{"dense paths", testDense},
		{"apply", testApply},
		{"sweep", testSweep},
		{"load", testLoad},
		{"tenants", testTenants},
		{"refusals", testRefusals},
		{"context", testContext},
		{"concurrent writers", testConcurrent},
		{"oracle", testOracle},
	} {
		t.Run(p.name, func(t *testing.T) { p.run(t, &bench{g: open(t), tenant: NewTenant()}) })
	}
}

// NewTenant names a tenant that no engine has seen.
func NewTenant() string { return "tenant-" + rand.Text() }

// now is the time of most changes.
var now = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// bench is one engine with a tenant that is still empty.
type bench struct {
	g      graph.Graph
	tenant string
}

func (b *bench) apply(t testing.TB, c graph.Change) {
	t.Helper()
	if c.Origin == "" {
		c.Origin, c.At = "suite", now
	}
	if err := graph.Load(t.Context(), b.g, b.tenant, &c); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) consequence(t testing.TB, r graph.Ref) graph.Consequence {
	t.Helper()
	c, err := graph.ConsequenceOf(t.Context(), b.g, b.tenant, r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func asset(id string) graph.Ref   { return ref(graph.KindAsset, id) }
func zone(id string) graph.Ref    { return ref(graph.KindZone, id) }
func model(id string) graph.Ref   { return ref(graph.KindModel, id) }
func finding(id string) graph.Ref { return ref(graph.KindFinding, id) }

func edge(r graph.Relation, from, to graph.Ref) graph.Edge {
	return graph.Edge{Relation: r, From: from, To: to}
}

// diff compares answers; nil and empty lists are one.
func diff(got, want any) string { return cmp.Diff(want, got, cmpopts.EquateEmpty()) }

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if d := diff(got, want); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error is %v, want %v", what, err, want)
	}
}

// plant is a small plant: a training set whose model runs on a controller of the safety system.
func plant() graph.Change {
	return graph.Change{
		Assets: []graph.Asset{
			{ID: "training", Name: "training set"}, {ID: "controller", Name: "SIS controller", Owner: "ada"},
			{ID: "office", Name: "office PC"}, {ID: "meter", Name: "meter", OT: true}, {ID: "lost", Name: "no one knows"},
			{ID: "old", Name: "old PLC", OT: true},
		},
		Zones: []graph.Zone{
			{ID: "sis", Name: "safety", Class: graph.SafetyLife, Owner: "grace"}, {ID: "it", Name: "IT", Class: graph.DataLoss, Owner: "linus"},
			{ID: "field", Name: "field"},
		},
		Models:   []graph.Model{{ID: "vision", Name: "vision", Version: "3", Hash: "abc"}},
		Findings: []graph.Finding{{ID: "F-1", Title: "poisoned data", Tool: "art", Severity: "high"}, {ID: "F-2", Title: "evasion"}, {ID: "F-3", Title: "nowhere"}},
		Edges: []graph.Edge{
			edge(graph.ResidesIn, asset("training"), zone("it")), edge(graph.ResidesIn, asset("office"), zone("it")),
			edge(graph.ResidesIn, asset("controller"), zone("sis")), edge(graph.ResidesIn, asset("meter"), zone("field")),
			edge(graph.DeploysTo, model("vision"), asset("training")), edge(graph.DeploysTo, model("vision"), asset("controller")),
			edge(graph.Affects, finding("F-1"), asset("training")), edge(graph.Affects, finding("F-1"), asset("office")),
			edge(graph.Affects, finding("F-2"), model("vision")),
		},
	}
}

func testTrainingSet(t *testing.T, b *bench) {
	b.apply(t, plant())
	same(t, "finding", b.consequence(t, finding("F-1")), graph.Consequence{
		Class: graph.SafetyLife, Asset: "controller", Zone: "sis", Owner: "ada",
		Path: []graph.Step{
			{Node: finding("F-1"), Name: "poisoned data"},
			{Node: asset("training"), Name: "training set", Relation: graph.Affects},
			{Node: model("vision"), Name: "vision", Relation: graph.DeploysTo, Back: true},
			{Node: asset("controller"), Name: "SIS controller", Relation: graph.DeploysTo},
			{Node: zone("sis"), Name: "safety", Relation: graph.ResidesIn},
		},
	})
	b.apply(t, graph.Change{Detach: []graph.Edge{edge(graph.DeploysTo, model("vision"), asset("controller"))}})
	if c := b.consequence(t, finding("F-1")); c.Class != graph.DataLoss || c.Asset != "office" || c.Owner != "linus" {
		t.Errorf("without the deployment: %+v", c)
	}
}

func testConsequences(t *testing.T, b *bench) {
	b.apply(t, plant())
	for r, want := range map[graph.Ref]graph.Class{
		asset("training"): graph.SafetyLife, asset("controller"): graph.SafetyLife, asset("office"): graph.DataLoss,
		model("vision"): graph.SafetyLife, finding("F-2"): graph.SafetyLife, finding("F-3"): graph.Unknown, asset("lost"): graph.Unknown,
	} {
		if c := b.consequence(t, r); c.Class != want || c.Assumed {
			t.Errorf("%s: %+v, want %q", r, c, want)
		}
	}
	for id, zone := range map[string]string{"meter": "field", "old": ""} {
		if c := b.consequence(t, asset(id)); c.Class != graph.Equipment || !c.Assumed || c.Zone != zone {
			t.Errorf("an OT asset in an unknown zone: %+v", c)
		}
	}
	got, err := b.g.Consequences(t.Context(), b.tenant, []graph.Ref{asset("office"), asset("absent"), asset("office")})
	if err != nil || len(got) != 1 {
		t.Errorf("%v %v, want the one that is there", got, err)
	}
	if got, err := b.g.Consequences(t.Context(), b.tenant, nil); err != nil || len(got) != 0 {
		t.Errorf("about nothing: %v %v", got, err)
	}
	_, err = graph.ConsequenceOf(t.Context(), b.g, b.tenant, model("absent"))
	wantError(t, "absent", err, graph.ErrNotFound)
	// A class that becomes known replaces the assumption.
	b.apply(t, graph.Change{Zones: []graph.Zone{{ID: "field", Class: graph.Downtime}}})
	if c := b.consequence(t, asset("meter")); c.Class != graph.Downtime || c.Assumed {
		t.Errorf("after the class became known: %+v", c)
	}
}

// testShortest: of walks to classes of one weight the shortest counts, also against one that ends
// before any zone.
func testShortest(t *testing.T, b *bench) {
	b.apply(t, graph.Change{
		Assets: []graph.Asset{{ID: "near"}, {ID: "bare"}}, Zones: []graph.Zone{{ID: "z", Owner: "ada"}}, Models: []graph.Model{{ID: "m"}},
		Edges: []graph.Edge{
			edge(graph.ResidesIn, asset("near"), zone("z")), edge(graph.DeploysTo, model("m"), asset("near")), edge(graph.DeploysTo, model("m"), asset("bare")),
		},
	})
	if c := b.consequence(t, asset("near")); c.Class != graph.Unknown || c.Asset != "near" || c.Zone != "z" || c.Owner != "ada" || len(c.Path) != 2 {
		t.Errorf("%+v, want its own zone and not the bare asset behind the model", c)
	}
}

func testNesting(t *testing.T, b *bench) {
	var c graph.Change
	for i := range 12 {
		z := graph.Zone{ID: fmt.Sprintf("z%02d", i)}
		if i < 11 {
			z.Within = fmt.Sprintf("z%02d", i+1)
		}
		c.Zones = append(c.Zones, z)
	}
	c.Zones[9].Class, c.Zones[11].Class = graph.Equipment, graph.SafetyLife
	c.Zones = append(c.Zones, graph.Zone{ID: "ring", Class: graph.Downtime, Within: "ring"})
	for i := range 4 {
		a := fmt.Sprintf("a%d", i)
		c.Assets = append(c.Assets, graph.Asset{ID: a})
		c.Edges = append(c.Edges, edge(graph.ResidesIn, asset(a), zone(fmt.Sprintf("z%02d", i))))
	}
	c.Assets = append(c.Assets, graph.Asset{ID: "ring"})
	c.Edges = append(c.Edges, edge(graph.ResidesIn, asset("ring"), zone("ring")))
	b.apply(t, c)
	// z09 is nine zones around z00, one more than count, and eight around z01.
	for id, want := range map[string]graph.Class{"a0": graph.Unknown, "a1": graph.Equipment, "a2": graph.Equipment, "a3": graph.SafetyLife, "ring": graph.Downtime} {
		if got := b.consequence(t, asset(id)); got.Class != want {
			t.Errorf("%s: %+v, want %q", id, got, want)
		}
	}
	if got := b.consequence(t, asset("a1")); len(got.Path) != 10 || got.Zone != "z09" {
		t.Errorf("path of %d steps to %q, want 10 to z09", len(got.Path), got.Zone)
	}
	p, err := b.g.Paths(t.Context(), b.tenant, "a3", "z11", 5, graph.Bounds{})
	if err != nil || len(p) != 1 || p[0].Hops != 0 || len(p[0].Steps) != 10 {
		t.Errorf("into the outermost zone: %+v %v", p, err)
	}
	b.apply(t, graph.Change{Remove: []graph.Ref{zone("z05")}})
	if got := b.consequence(t, asset("a1")); got.Class != graph.Unknown {
		t.Errorf("after a zone between is gone: %+v", got)
	}
	b.apply(t, graph.Change{Zones: []graph.Zone{{ID: "z05", Within: "z06"}}})
	if got := b.consequence(t, asset("a1")); got.Class != graph.Unknown {
		t.Errorf("a zone that was removed and comes back is around no other: %+v", got)
	}
}

func testChain(t *testing.T, b *bench) {
	c := graph.Change{Zones: []graph.Zone{{ID: "end", Class: graph.Equipment}}}
	const n = 1000
	for i := range n {
		c.Assets = append(c.Assets, graph.Asset{ID: fmt.Sprint(i)})
		c.Edges = append(c.Edges, edge(graph.ConnectsTo, asset(fmt.Sprint(i)), asset(fmt.Sprint((i+1)%n))))
	}
	c.Edges = append(c.Edges, edge(graph.ResidesIn, asset("8"), zone("end")), edge(graph.ConnectsTo, asset("3"), asset("3")))
	b.apply(t, c)
	for hops, want := range map[int]graph.Radius{
		7: {Assets: 7, Zones: []graph.ZoneReach{{Assets: 7, Hops: 1}}},
		8: {Assets: 8, Worst: graph.Equipment, Zones: []graph.ZoneReach{{Zone: "end", Class: graph.Equipment, Assets: 1, Hops: 8}, {Assets: 7, Hops: 1}}},
	} {
		got, err := b.g.BlastRadius(t.Context(), b.tenant, "0", graph.Bounds{Hops: hops})
		if err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprint(hops, " hops"), got, want)
	}
	if p, err := b.g.Paths(t.Context(), b.tenant, "0", "end", 3, graph.Bounds{Hops: 7}); err != nil || len(p) != 0 {
		t.Errorf("within 7 hops: %v %v", p, err)
	}
	if p, err := b.g.Paths(t.Context(), b.tenant, "0", "end", 3, graph.Bounds{Hops: 8}); err != nil || len(p) != 1 || p[0].Hops != 8 {
		t.Errorf("within 8 hops: %v %v", p, err)
	}
}

func testHub(t *testing.T, b *bench) {
	c := graph.Change{
		Assets: []graph.Asset{{ID: "hub"}},
		Zones:  []graph.Zone{{ID: "plant", Class: graph.SafetyLife}, {ID: "it", Class: graph.DataLoss}},
		Models: []graph.Model{{ID: "m"}},
		Edges:  []graph.Edge{edge(graph.DeploysTo, model("m"), asset("hub"))},
	}
	const n = 1500
	for i := range n {
		a, z := fmt.Sprintf("leaf-%04d", i), "it"
		if i == 1234 {
			z = "plant"
		}
		c.Assets = append(c.Assets, graph.Asset{ID: a})
		c.Edges = append(c.Edges, edge(graph.ConnectsTo, asset("hub"), asset(a)), edge(graph.ConnectsTo, asset(a), asset("hub")),
			edge(graph.DeploysTo, model("m"), asset(a)), edge(graph.ResidesIn, asset(a), zone(z)))
	}
	b.apply(t, c)
	if got := b.consequence(t, asset("leaf-0001")); got.Class != graph.SafetyLife || got.Asset != "leaf-1234" {
		t.Errorf("over the model of all: %+v", got)
	}
	got, err := b.g.BlastRadius(t.Context(), b.tenant, "leaf-0001", graph.Bounds{Hops: 4})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "radius", got, graph.Radius{Assets: n, Worst: graph.SafetyLife, Zones: []graph.ZoneReach{
		{Zone: "plant", Class: graph.SafetyLife, Assets: 1, Hops: 1}, {Zone: "it", Class: graph.DataLoss, Assets: n - 2, Hops: 1}, {Assets: 1, Hops: 1},
	}})
	_, err = b.g.BlastRadius(t.Context(), b.tenant, "hub", graph.Bounds{Hops: 1, Nodes: n})
	wantError(t, "one node too many", err, graph.ErrTooLarge)
	if _, err := b.g.BlastRadius(t.Context(), b.tenant, "hub", graph.Bounds{Hops: 1, Nodes: n + 2}); err != nil {
		t.Errorf("with room for all: %v", err)
	}
	p, err := b.g.Paths(t.Context(), b.tenant, "leaf-0001", "plant", 2, graph.Bounds{Hops: 2})
	if err != nil || len(p) != 2 || p[0].Hops != 1 || p[1].Hops != 2 {
		t.Errorf("paths: %+v %v", p, err)
	}
}

// testDense asks for paths where there are more ways than anyone can list.
func testDense(t *testing.T, b *bench) {
	c := graph.Change{Zones: []graph.Zone{{ID: "far", Class: graph.Equipment}}, Assets: []graph.Asset{{ID: "far"}}}
	const n = 40
	for i := range n {
		a := fmt.Sprintf("%02d", i)
		c.Assets = append(c.Assets, graph.Asset{ID: a})
		for j := range n {
			c.Edges = append(c.Edges, edge(graph.ConnectsTo, asset(a), asset(fmt.Sprintf("%02d", j))))
		}
	}
	c.Edges = append(c.Edges, edge(graph.ConnectsTo, asset("39"), asset("far")), edge(graph.ResidesIn, asset("far"), zone("far")))
	b.apply(t, c)
	p, err := b.g.Paths(t.Context(), b.tenant, "00", "far", 4, graph.Bounds{Hops: 8})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range p {
		s := ""
		for _, step := range x.Steps {
			s += " " + step.Node.ID
		}
		got = append(got, s)
	}
	same(t, "shortest first, then in order", got, []string{" 00 39 far far", " 00 01 39 far far", " 00 02 39 far far", " 00 03 39 far far"})
}

func testApply(t *testing.T, b *bench) {
	c := plant()
	c.Assets = append(c.Assets, graph.Asset{ID: "office", Name: "office PC", Owner: "ken"})
	b.apply(t, c)
	b.apply(t, c)
	if got := b.consequence(t, asset("office")); got.Owner != "ken" || got.Path[0].Name != "office PC" {
		t.Errorf("the last of two entries counts: %+v", got)
	}
	b.apply(t, graph.Change{Mentions: []graph.Asset{{ID: "office", Name: "x", OT: true}, {ID: "new", Name: "new"}, {ID: "new", OT: true}}})
	if got := b.consequence(t, asset("office")); got.Owner != "ken" || got.Path[0].Name != "office PC" {
		t.Errorf("a mention changed an asset: %+v", got)
	}
	if got := b.consequence(t, asset("new")); got.Class != graph.Equipment || got.Path[0].Name != "new" {
		t.Errorf("a mention of an unknown asset: %+v", got)
	}
	b.apply(t, graph.Change{Assets: []graph.Asset{{ID: "new", Name: "renamed"}}})
	if got := b.consequence(t, asset("new")); got.Class != graph.Equipment || got.Path[0].Name != "renamed" {
		t.Errorf("OT stays when an asset is written anew: %+v", got)
	}
	b.apply(t, graph.Change{Remove: []graph.Ref{asset("new"), asset("absent")}, Detach: []graph.Edge{edge(graph.ResidesIn, asset("absent"), zone("it"))}})
	_, err := graph.ConsequenceOf(t.Context(), b.g, b.tenant, asset("new"))
	wantError(t, "removed", err, graph.ErrNotFound)

	// Nothing of a refused change stays.
	err = b.g.Apply(t.Context(), b.tenant, &graph.Change{
		Origin: "suite", At: now, Assets: []graph.Asset{{ID: "half"}}, Remove: []graph.Ref{asset("office")},
		Edges: []graph.Edge{edge(graph.ConnectsTo, asset("half"), asset("absent"))},
	})
	wantError(t, "edge to nowhere", err, graph.ErrNotFound)
	_, err = graph.ConsequenceOf(t.Context(), b.g, b.tenant, asset("half"))
	wantError(t, "node of a refused change", err, graph.ErrNotFound)
	b.consequence(t, asset("office"))
	err = b.g.Apply(t.Context(), b.tenant, &graph.Change{Origin: "suite", At: now, Zones: []graph.Zone{{ID: "inner", Within: "absent"}}})
	wantError(t, "within nowhere", err, graph.ErrNotFound)
	// Two zones may name each other, in any order.
	b.apply(t, graph.Change{Zones: []graph.Zone{{ID: "in", Within: "out"}, {ID: "out", Within: "in"}}})
}

func testSweep(t *testing.T, b *bench) {
	c := plant()
	c.Origin, c.At = "import", now
	b.apply(t, c)
	b.apply(t, graph.Change{Origin: "other", At: now, Assets: []graph.Asset{{ID: "theirs"}},
		Edges: []graph.Edge{edge(graph.ConnectsTo, asset("theirs"), asset("office")), edge(graph.ConnectsTo, asset("theirs"), asset("training"))}})
	later := now.Add(time.Hour)
	again := plant()
	again.Origin, again.At = "import", later
	again.Assets, again.Models, again.Findings, again.Edges = again.Assets[:3], again.Models[:0], again.Findings[:1], again.Edges[:3]
	b.apply(t, again)
	n, err := b.g.Sweep(t.Context(), b.tenant, "import", later)
	// Three assets, one model, two findings and six edges were not written again.
	if err != nil || n != 12 {
		t.Errorf("swept %d, %v, want 12", n, err)
	}
	for _, r := range []graph.Ref{asset("meter"), model("vision"), finding("F-2")} {
		_, err := graph.ConsequenceOf(t.Context(), b.g, b.tenant, r)
		wantError(t, r.String(), err, graph.ErrNotFound)
	}
	if r, err := b.g.BlastRadius(t.Context(), b.tenant, "theirs", graph.Bounds{}); err != nil || r.Assets != 2 {
		t.Errorf("what another origin wrote: %+v %v", r, err)
	}
	if n, err := b.g.Sweep(t.Context(), b.tenant, "import", later); err != nil || n != 0 {
		t.Errorf("a second time: %d %v", n, err)
	}
}

func testLoad(t *testing.T, b *bench) {
	c := graph.Change{Origin: "import", At: now, Zones: []graph.Zone{{ID: "z", Class: graph.Equipment}}}
	n := graph.MaxChange + 500
	for i := range n {
		a := fmt.Sprint(i)
		c.Assets = append(c.Assets, graph.Asset{ID: a})
		c.Edges = append(c.Edges, edge(graph.ResidesIn, asset(a), zone("z")))
	}
	wantError(t, "all at once", b.g.Apply(t.Context(), b.tenant, &c), graph.ErrTooLarge)
	b.apply(t, c)
	if len(c.Assets) != n || c.Size() != 2*n+1 {
		t.Error("Load changed what it was given")
	}
	for _, id := range []string{"0", fmt.Sprint(n - 1)} {
		if got := b.consequence(t, asset(id)); got.Class != graph.Equipment {
			t.Errorf("%s: %+v", id, got)
		}
	}
	if n, err := b.g.Sweep(t.Context(), b.tenant, "import", now.Add(time.Second)); err != nil || n != c.Size() {
		t.Errorf("swept %d %v, want %d", n, err, c.Size())
	}
}

func testTenants(t *testing.T, b *bench) {
	b.apply(t, plant())
	other := &bench{g: b.g, tenant: NewTenant()}
	_, err := graph.ConsequenceOf(t.Context(), b.g, other.tenant, asset("training"))
	wantError(t, "before it has anything", err, graph.ErrNotFound)
	err = b.g.Apply(t.Context(), other.tenant, &graph.Change{Origin: "suite", At: now, Assets: []graph.Asset{{ID: "mine"}},
		Edges: []graph.Edge{edge(graph.ConnectsTo, asset("mine"), asset("training"))}})
	wantError(t, "an edge into another tenant", err, graph.ErrNotFound)
	mine := plant()
	mine.Zones[0].Class = graph.Downtime
	other.apply(t, mine)
	if got := b.consequence(t, asset("training")); got.Class != graph.SafetyLife {
		t.Errorf("one tenant: %+v", got)
	}
	if got := other.consequence(t, asset("training")); got.Class != graph.Downtime {
		t.Errorf("the other: %+v", got)
	}
	if _, err := b.g.Sweep(t.Context(), other.tenant, "suite", now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := b.consequence(t, finding("F-1")); got.Class != graph.SafetyLife {
		t.Errorf("after the other was swept: %+v", got)
	}
	if p, err := b.g.Paths(t.Context(), b.tenant, "training", "sis", 5, graph.Bounds{}); err != nil || len(p) != 1 {
		t.Errorf("paths: %v %v", p, err)
	}
}

func testRefusals(t *testing.T, b *bench) {
	b.apply(t, plant())
	ok := graph.Change{Origin: "suite", At: now}
	with := func(edit func(*graph.Change)) *graph.Change {
		c := ok
		edit(&c)
		return &c
	}
	for name, c := range map[string]*graph.Change{
		"no origin":      {At: now},
		"no time":        {Origin: "suite"},
		"no id":          with(func(c *graph.Change) { c.Assets = []graph.Asset{{Name: "x"}} }),
		"control bytes":  with(func(c *graph.Change) { c.Assets = []graph.Asset{{ID: "a\x01b"}} }),
		"not UTF-8":      with(func(c *graph.Change) { c.Assets = []graph.Asset{{ID: "a\xff"}} }),
		"bad text":       with(func(c *graph.Change) { c.Models = []graph.Model{{ID: "m", Name: "\x00"}} }),
		"no class":       with(func(c *graph.Change) { c.Zones = []graph.Zone{{ID: "z", Class: "fatal"}} }),
		"kinds":          with(func(c *graph.Change) { c.Edges = []graph.Edge{edge(graph.ResidesIn, asset("a"), asset("b"))} }),
		"relation":       with(func(c *graph.Change) { c.Detach = []graph.Edge{edge("OWNS", asset("a"), asset("b"))} }),
		"kind to remove": with(func(c *graph.Change) { c.Remove = []graph.Ref{{Kind: "tenant", ID: "a"}} }),
	} {
		wantError(t, name, b.g.Apply(t.Context(), b.tenant, c), graph.ErrInvalid)
	}
	wantError(t, "no tenant", b.g.Apply(t.Context(), "", &ok), graph.ErrInvalid)
	ask := func(what string, want error, err error) { t.Helper(); wantError(t, what, err, want) }
	_, err := b.g.Consequences(t.Context(), "", []graph.Ref{asset("office")})
	ask("consequences without a tenant", graph.ErrInvalid, err)
	_, err = b.g.Consequences(t.Context(), b.tenant, []graph.Ref{zone("it")})
	ask("consequence of a zone", graph.ErrInvalid, err)
	_, err = b.g.Consequences(t.Context(), b.tenant, make([]graph.Ref, graph.MaxRefs+1))
	ask("too many at once", graph.ErrTooLarge, err)
	_, err = b.g.BlastRadius(t.Context(), b.tenant, "absent", graph.Bounds{})
	ask("radius of an absent asset", graph.ErrNotFound, err)
	_, err = b.g.BlastRadius(t.Context(), b.tenant, "office", graph.Bounds{Hops: graph.MaxHops + 1})
	ask("too many hops", graph.ErrInvalid, err)
	_, err = b.g.BlastRadius(t.Context(), "", "office", graph.Bounds{})
	ask("radius without a tenant", graph.ErrInvalid, err)
	_, err = b.g.Paths(t.Context(), b.tenant, "office", "absent", 1, graph.Bounds{})
	ask("paths to an absent zone", graph.ErrNotFound, err)
	_, err = b.g.Paths(t.Context(), b.tenant, "absent", "it", 1, graph.Bounds{})
	ask("paths from an absent asset", graph.ErrNotFound, err)
	_, err = b.g.Paths(t.Context(), b.tenant, "office", "it", 0, graph.Bounds{})
	ask("no path at all", graph.ErrInvalid, err)
	_, err = b.g.Sweep(t.Context(), "", "suite", now)
	ask("sweep without a tenant", graph.ErrInvalid, err)
	// Text is data, whatever it looks like.
	for _, id := range []string{`x' OR '1'='1`, `") DETACH DELETE n //`, "$tenant", "ä 𝄞", `back\slash`} {
		b.apply(t, graph.Change{Assets: []graph.Asset{{ID: id, Name: id}}})
		if got := b.consequence(t, asset(id)); got.Path[0].Name != id {
			t.Errorf("%q came back as %+v", id, got)
		}
	}
	b.consequence(t, asset("office"))
}

func testContext(t *testing.T, b *bench) {
	b.apply(t, plant())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.g.Consequences(ctx, b.tenant, []graph.Ref{asset("office")})
	wantError(t, "ask", err, graph.ErrUnavailable)
	wantError(t, "cause", err, context.Canceled)
	wantError(t, "apply", b.g.Apply(ctx, b.tenant, &graph.Change{Origin: "suite", At: now, Assets: []graph.Asset{{ID: "x"}}}), graph.ErrUnavailable)
	wantError(t, "health", b.g.Health(ctx), graph.ErrUnavailable)
	if err := b.g.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

func testConcurrent(t *testing.T, b *bench) {
	b.apply(t, plant())
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 10 {
				c := plant()
				c.Origin, c.At = "suite", now
				c.Assets = append(c.Assets, graph.Asset{ID: fmt.Sprintf("w%d-%d", w, i)})
				if w%2 == 1 { // the same nodes in another order
					for x, y := 0, len(c.Assets)-1; x < y; x, y = x+1, y-1 {
						c.Assets[x], c.Assets[y] = c.Assets[y], c.Assets[x]
					}
				}
				if err := b.g.Apply(t.Context(), b.tenant, &c); err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
				got, err := graph.ConsequenceOf(t.Context(), b.g, b.tenant, finding("F-1"))
				if err != nil || got.Class != graph.SafetyLife {
					t.Errorf("reader %d: %+v %v", w, got, err)
				}
			}
		})
	}
	wg.Wait()
	b.consequence(t, asset("w3-9"))
}
