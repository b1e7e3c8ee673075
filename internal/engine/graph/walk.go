package graph

// Walk is what an engine found to be the strongest consequence of a node: the nodes on the way,
// empty ids for those that are not on it.
type Walk struct {
	Start Ref
	// StartName is the name of Start.
	StartName string
	// First is the asset that a finding affects, or Start itself where that is an asset. Model led
	// on to Asset, which is First where no model is on the way.
	First, Model, Asset Named
	// Chain are the zone of Asset and those around it up to the one that states Class.
	Chain   []Zone
	Class   Class
	Assumed bool
}

// Named is a node with its name and, for assets, its owner.
type Named struct{ ID, Name, Owner string }

// Consequence writes the walk down as an answer.
func (w *Walk) Consequence() Consequence {
	c := Consequence{Class: w.Class, Assumed: w.Assumed, Asset: w.Asset.ID, Owner: w.Asset.Owner}
	c.Path = []Step{{Node: w.Start, Name: w.StartName}}
	step := func(kind Kind, n Named, r Relation, back bool) {
		if ref := (Ref{kind, n.ID}); n.ID != "" && ref != w.Start {
			c.Path = append(c.Path, Step{Node: ref, Name: n.Name, Relation: r, Back: back})
		}
	}
	step(KindAsset, w.First, Affects, false)
	if w.First.ID == "" {
		step(KindModel, w.Model, Affects, false)
	} else {
		step(KindModel, w.Model, DeploysTo, true)
	}
	if w.Model.ID != "" {
		step(KindAsset, w.Asset, DeploysTo, false)
	}
	for i := range w.Chain {
		z := &w.Chain[i]
		c.Path = append(c.Path, Step{Node: Ref{KindZone, z.ID}, Name: z.Name, Relation: ResidesIn})
		c.Zone = z.ID
		if i == len(w.Chain)-1 && c.Owner == "" {
			c.Owner = z.Owner
		}
	}
	return c
}
