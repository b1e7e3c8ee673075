package asset

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/engine/graph"
)

const plantFile = `
domains: [{dns: [example.com]}]
zones:
  - {name: Cell 4, within: Plant}
  - {name: Plant, consequence: equipment, owner: Grace}
  - {name: Zone0_Safety}
hosts:
  - {name: hmi-01.example.com, zone: cell 4, connects_to: [plc-01]}
  - {name: plc-01.example.com, zone: Plant, owner: Ada, criticality: crown_jewel}
  - {name: sis-01.example.com, zone: zone0_safety}
  - {name: ws-07.example.com}
models:
  - {name: Vision, version: "3", hash: abc, hosts: [ws-07, plc-01.example.com]}
`

func TestGraphOfAnOrganisation(t *testing.T) {
	at := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	asset := func(id string) graph.Ref { return graph.Ref{Kind: graph.KindAsset, ID: "host:" + id + ".example.com"} }
	zone := func(id string) graph.Ref { return graph.Ref{Kind: graph.KindZone, ID: id} }
	vision := graph.Ref{Kind: graph.KindModel, ID: "vision@3"}
	want := &graph.Change{
		Origin: "org.yaml", At: at,
		Assets: []graph.Asset{
			{ID: "host:hmi-01.example.com", Name: "hmi-01.example.com", Type: "host"},
			{ID: "host:plc-01.example.com", Name: "plc-01.example.com", Type: "host", Criticality: "crown_jewel", Owner: "Ada"},
			{ID: "host:sis-01.example.com", Name: "sis-01.example.com", Type: "host"},
			{ID: "host:ws-07.example.com", Name: "ws-07.example.com", Type: "host"},
		},
		Zones: []graph.Zone{
			{ID: "cell 4", Name: "Cell 4", Within: "plant"},
			{ID: "plant", Name: "Plant", Class: graph.Equipment, Owner: "Grace"},
			{ID: "zone0_safety", Name: "Zone0_Safety", Class: graph.SafetyLife},
		},
		Models: []graph.Model{{ID: "vision@3", Name: "Vision", Version: "3", Hash: "abc"}},
		Edges: []graph.Edge{
			{Relation: graph.ResidesIn, From: asset("hmi-01"), To: zone("cell 4")},
			{Relation: graph.ConnectsTo, From: asset("hmi-01"), To: asset("plc-01")},
			{Relation: graph.ResidesIn, From: asset("plc-01"), To: zone("plant")},
			{Relation: graph.ResidesIn, From: asset("sis-01"), To: zone("zone0_safety")},
			{Relation: graph.DeploysTo, From: vision, To: asset("ws-07")},
			{Relation: graph.DeploysTo, From: vision, To: asset("plc-01")},
		},
	}
	got := load(t, plantFile).Graph("default", at)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
	for name, o := range map[string]*Org{"no file": nil, "empty file": {}, "other tenant": load(t, "tenants: {a: {hosts: [x]}}")} {
		if got := o.Graph("default", at); got.Size() != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// Without a list of zones, those that hosts name are there.
	free := load(t, "hosts: [{name: x, zone: OT_FieldBus}]").Graph("default", at)
	if len(free.Zones) != 1 || free.Zones[0].Class != graph.Equipment || free.Check() != nil {
		t.Errorf("free zones: %+v", free.Zones)
	}
}

func TestPlaces(t *testing.T) {
	r := load(t, plantFile).Resolver("default")
	for host, want := range map[string]Place{
		"HMI-01":             {graph.Equipment, "cell 4", ""},
		"plc-01.example.com": {graph.Equipment, "Plant", "Ada"},
		"sis-01":             {graph.SafetyLife, "zone0_safety", ""},
		"ws-07":              {},
	} {
		if got, ok := r.Place(host, time.Time{}); !ok || got != want {
			t.Errorf("%s: %+v %v, want %+v", host, got, ok, want)
		}
	}
	if _, ok := r.Place("stranger", time.Time{}); ok {
		t.Error("a host that no one named has a place")
	}
}

// Every well-known zone has the class of the reference, and case does not matter.
func TestWellKnownZones(t *testing.T) {
	n := map[Consequence]int{}
	for _, c := range wellKnown {
		n[c]++
	}
	if d := cmp.Diff(map[Consequence]int{SafetyLife: 5, Equipment: 6, Downtime: 10, DataLoss: 9}, n); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]Consequence{
		"Zone0_PhysicalProcess": SafetyLife, "zone1_edgeinference": Equipment, "ZONE2_OPERATIONS": Downtime,
		"Zone3_Enterprise": DataLoss, "Zone4_External": DataLoss,
	} {
		if got, ok := ZoneClass(name); !ok || got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got, ok := ZoneClass("office"); ok || got != graph.Unknown {
		t.Errorf("office: %q", got)
	}
}

func TestStaticClass(t *testing.T) {
	for _, c := range []struct {
		class   Consequence
		ot      bool
		want    Consequence
		assumed bool
	}{
		{SafetyLife, false, SafetyLife, false},
		{DataLoss, true, DataLoss, false},
		{graph.Unknown, true, Equipment, true},
		{graph.Unknown, false, DataLoss, true},
	} {
		if got, assumed := StaticClass(c.class, c.ot); got != c.want || assumed != c.assumed {
			t.Errorf("%+v: %q %v", c, got, assumed)
		}
	}
}

func TestZonesAndModelsAreChecked(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"around":       {"zones:\n  - {name: a, within: b}\n", `org.yaml:2: zone: "b", named as the zone around another`},
		"twice":        {"zones:\n  - {name: a}\n  - {name: A}\n", "org.yaml:3: zone: \"A\" is listed twice"},
		"no name":      {"models:\n  - {version: 1}\n", "org.yaml:2: model: has no name"},
		"model twice":  {"models:\n  - {name: a}\n  - {name: A}\n", "org.yaml:3: model: \"A\" stands here again, first on line 2"},
		"two versions": {"models:\n  - {name: a, version: 1}\n  - {name: a, version: 2}\n", ""},
		"to address":   {"hosts:\n  - {name: a, connects_to: [192.0.2.1]}\n", "org.yaml:2: connects_to: \"192.0.2.1\" is an address"},
		"on wildcard":  {"models:\n  - {name: a, hosts: ['ws-*']}\n", "wildcards are not supported"},
	} {
		_, err := Load(strings.NewReader(c.text), "org.yaml")
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}
