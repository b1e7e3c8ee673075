package asset

import (
	"slices"

	"github.com/aluskort/aluskort/internal/engine/graph"
)

// Zone is a part of the network or plant, as org.yaml describes it.
type Zone struct {
	Name string
	// Consequence is empty where org.yaml does not say.
	Consequence Consequence
	Owner       string
	// Within is the name of the zone around it; empty for none.
	Within string
}

// model is a trained model with the hosts that hold it.
type model struct {
	name, version, hash string
	hosts               []int
}

// wellKnown are zones whose names say what is at stake (REFERENCE 7), folded. What org.yaml says
// goes before.
var wellKnown = func() map[string]Consequence {
	out := map[string]Consequence{}
	for class, names := range map[Consequence][]string{
		SafetyLife: {"zone0_physicalprocess", "zone0_safety", "zone0_fielddevices", "ot_processnetwork", "ot_safetyinstrumentedsystem"},
		Equipment: {"zone1_edgeinference", "zone1_basiccontrol", "zone1_sensornetwork", "zone1_plcnetwork", "ot_fieldbus",
			"ot_controlnetwork"},
		Downtime: {"zone2_operations", "zone2_areasupervisory", "zone2_scada", "zone2_hmi", "zone3_siteoperations",
			"zone3_manufacturing", "cloud_production", "cloud_management", "it_datacenter", "it_networkinfra"},
		DataLoss: {"zone3_enterprise", "zone3_5_dmz", "zone4_external", "zone4_corporate", "zone4_cloud", "zone5_internet",
			"cloud_staging", "cloud_development", "it_userworkstations"},
	} {
		for _, n := range names {
			out[n] = class
		}
	}
	return out
}()

// ZoneClass is the class of a zone whose name is one of the well-known; ok is false for others.
func ZoneClass(name string) (class Consequence, ok bool) {
	class, ok = wellKnown[fold(name)]
	return class, ok
}

// StaticClass is what is assumed about an asset when nothing better is known than the class of its
// zone: that class; without one, equipment for what a source of operational technology named, since
// the wrong guess there breaks machines, and data loss for the rest (REFERENCE 7, DESIGN 9).
// assumed says that it was not stated.
func StaticClass(class Consequence, ot bool) (c Consequence, assumed bool) {
	switch {
	case class != graph.Unknown:
		return class, false
	case ot:
		return Equipment, true
	}
	return DataLoss, true
}

// class is the worst of a zone and those around it, by org.yaml or by their names.
func (s *site) class(name string) Consequence {
	worst := graph.Unknown
	for i := 0; name != "" && i <= graph.MaxNesting; i++ {
		z, listed := s.zones[fold(name)]
		class := z.Consequence
		if class == graph.Unknown {
			class, _ = ZoneClass(name)
		}
		worst = worst.Worse(class)
		if !listed {
			break
		}
		name = z.Within
	}
	return worst
}

func (b *builder) zoneList() {
	for i := range b.raw.zones {
		b.zone(&b.raw.zones[i])
	}
	for i := range b.raw.zones {
		z := &b.raw.zones[i]
		if _, ok := b.site.zones[fold(z.within.text)]; z.within.text != "" && !ok {
			b.fail(z.within.line, "zone: %q, named as the zone around another, is not listed under zones", clip(z.within.text))
		}
	}
	b.site.counts.Zones = len(b.site.zones)
}

func (b *builder) zone(raw *rawZone) {
	name := fold(raw.name.text)
	if name == "" {
		b.fail(raw.line, "zone: has no name")
		return
	}
	if _, twice := b.site.zones[name]; twice {
		b.fail(raw.line, "zone: %q is listed twice", clip(raw.name.text))
	}
	z := Zone{Name: raw.name.text, Owner: raw.owner.text, Within: raw.within.text}
	if c := Consequence(fold(raw.consequence.text)); c.Valid() {
		z.Consequence = c
	} else {
		b.fail(raw.consequence.line, "zone: consequence %q; use safety_life, equipment, downtime or data_loss", clip(raw.consequence.text))
	}
	b.site.zones[name] = z
}

// connections resolves which hosts connect to which.
func (b *builder) connections() {
	for i := range b.raw.hosts {
		raw := &b.raw.hosts[i]
		if len(raw.connects) == 0 {
			continue
		}
		from, ok := b.refHost("host", raw.name)
		for _, e := range raw.connects {
			if to, found := b.refHost("connects_to", e); ok && found && !slices.Contains(b.site.connects[from], to) {
				b.site.connects[from] = append(b.site.connects[from], to)
			}
		}
	}
}

func (b *builder) models() {
	seen := map[[2]string]int{}
	for i := range b.raw.models {
		raw := &b.raw.models[i]
		if raw.name.text == "" {
			b.fail(raw.line, "model: has no name")
			continue
		}
		k := [2]string{fold(raw.name.text), fold(raw.version.text)}
		if line, twice := seen[k]; twice {
			b.fail(raw.line, "model: %q stands here again, first on line %d; join the two", clip(raw.name.text), line)
			continue
		}
		seen[k] = raw.line
		m := model{name: raw.name.text, version: raw.version.text, hash: raw.hash.text}
		for _, e := range raw.hosts {
			if id, ok := b.refHost("model", e); ok {
				m.hosts = append(m.hosts, id)
			}
		}
		b.site.models = append(b.site.models, m)
	}
	b.site.counts.Models = len(b.site.models)
}
