package graph

import (
	"fmt"
	"unicode/utf8"
)

// joins says which kinds a relation joins.
func joins(r Relation, from, to Kind) bool {
	switch r {
	case ResidesIn:
		return from == KindAsset && to == KindZone
	case ConnectsTo:
		return from == KindAsset && to == KindAsset
	case DeploysTo:
		return from == KindModel && to == KindAsset
	case Affects:
		return from == KindFinding && (to == KindAsset || to == KindModel)
	}
	return false
}

// CheckTenant refuses a call without a tenant.
func CheckTenant(tenant string) error {
	if !plain(tenant, MaxID) {
		return fmt.Errorf("%w: %q is no tenant", ErrInvalid, clip(tenant))
	}
	return nil
}

// CheckRef refuses what cannot name a node.
func CheckRef(r Ref) error {
	switch r.Kind {
	case KindAsset, KindZone, KindModel, KindFinding:
	default:
		return fmt.Errorf("%w: %q is no kind of node", ErrInvalid, clip(string(r.Kind)))
	}
	if !plain(r.ID, MaxID) {
		return fmt.Errorf("%w: %s: %q is no id", ErrInvalid, r.Kind, clip(r.ID))
	}
	return nil
}

// CheckRefs refuses a list of nodes that Consequences cannot be asked about.
func CheckRefs(of []Ref) error {
	if len(of) > MaxRefs {
		return fmt.Errorf("%w: asked about %d nodes, at most %d at once", ErrTooLarge, len(of), MaxRefs)
	}
	for _, r := range of {
		if err := CheckRef(r); err != nil {
			return err
		}
		if r.Kind == KindZone {
			return fmt.Errorf("%w: a zone has a class and no consequence", ErrInvalid)
		}
	}
	return nil
}

// CheckPaths checks the question of Paths.
func CheckPaths(tenant, asset, zone string, k int) error {
	if err := CheckTenant(tenant); err != nil {
		return err
	}
	if err := CheckRef(Ref{KindAsset, asset}); err != nil {
		return err
	}
	if err := CheckRef(Ref{KindZone, zone}); err != nil {
		return err
	}
	if k < 1 || k > MaxPaths {
		return fmt.Errorf("%w: %d paths; ask for 1 to %d", ErrInvalid, k, MaxPaths)
	}
	return nil
}

// Check refuses a change that no engine could make.
func (c *Change) Check() error {
	if !plain(c.Origin, MaxID) || c.At.IsZero() {
		return fmt.Errorf("%w: a change needs an origin and a time", ErrInvalid)
	}
	if n := c.Size(); n > MaxChange {
		return fmt.Errorf("%w: a change of %d nodes and edges, at most %d at once", ErrTooLarge, n, MaxChange)
	}
	if err := c.checkNodes(); err != nil {
		return err
	}
	for _, r := range c.Remove {
		if err := CheckRef(r); err != nil {
			return err
		}
	}
	for _, list := range [][]Edge{c.Edges, c.Detach} {
		for _, e := range list {
			if err := e.check(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Edge) check() error {
	for _, r := range []Ref{e.From, e.To} {
		if err := CheckRef(r); err != nil {
			return err
		}
	}
	if !joins(e.Relation, e.From.Kind, e.To.Kind) {
		return fmt.Errorf("%w: no edge %q leads from %s to %s", ErrInvalid, clip(string(e.Relation)), e.From.Kind, e.To.Kind)
	}
	return nil
}

func (c *Change) checkNodes() error {
	for _, list := range [][]Asset{c.Assets, c.Mentions} {
		for i := range list {
			a := &list[i]
			if err := node(Ref{KindAsset, a.ID}, a.Name, a.Type, a.Criticality, a.Owner); err != nil {
				return err
			}
		}
	}
	for i := range c.Zones {
		z := &c.Zones[i]
		if err := node(Ref{KindZone, z.ID}, z.Name, z.Owner); err != nil {
			return err
		}
		if !z.Class.Valid() {
			return fmt.Errorf("%w: zone %s: %q is no class", ErrInvalid, z.ID, clip(string(z.Class)))
		}
		if z.Within != "" && !plain(z.Within, MaxID) {
			return fmt.Errorf("%w: zone %s: %q is no zone around it", ErrInvalid, z.ID, clip(z.Within))
		}
	}
	for i := range c.Models {
		m := &c.Models[i]
		if err := node(Ref{KindModel, m.ID}, m.Name, m.Version, m.Hash); err != nil {
			return err
		}
	}
	for i := range c.Findings {
		f := &c.Findings[i]
		if err := node(Ref{KindFinding, f.ID}, f.Title, f.Tool, f.Severity); err != nil {
			return err
		}
	}
	return nil
}

func node(r Ref, texts ...string) error {
	if err := CheckRef(r); err != nil {
		return err
	}
	for _, t := range texts {
		if t != "" && !plain(t, MaxText) {
			return fmt.Errorf("%w: %s: %q is too long or has control characters", ErrInvalid, r, clip(t))
		}
	}
	return nil
}

// plain reports whether s is a text that every engine keeps and orders as it is.
func plain(s string, longest int) bool {
	if s == "" || len(s) > longest || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return true
}

func clip(s string) string {
	if len(s) <= 80 {
		return s
	}
	s = s[:80]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}
