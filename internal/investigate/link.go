package investigate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
)

// LinkKey is a strong key of an investigation with the time in which its alerts carried it.
type LinkKey struct {
	Kind  alert.LinkKind `json:"kind"`
	Value string         `json:"value"`
	Ref   string         `json:"ref,omitempty"`
	First time.Time      `json:"first"`
	Last  time.Time      `json:"last"`
}

// Bounds of links. A key that more than MaxNeighbours investigations share is common: it says
// nothing about any of them and lends nothing.
const (
	MaxLinkKeys   = 64
	MaxNeighbours = 64
	maxLinkItems  = 16
)

// AnchorBits is what an investigation must weigh by its own evidence before it lends weight to
// others.
const AnchorBits = 3

// linkRule is what one kind of key lends, and how far apart in time the two may lie.
type linkRule struct {
	bits   float64
	within time.Duration
	says   string
}

var linkRules = map[alert.LinkKind]linkRule{
	alert.LinkProcess: {3, 7 * 24 * time.Hour, "the same process lineage"},
	alert.LinkHash:    {3, 7 * 24 * time.Hour, "the same file hash"},
	alert.LinkToken:   {3, 7 * 24 * time.Hour, "the same session or token"},
	alert.LinkKey:     {3, 7 * 24 * time.Hour, "the same cloud access key"},
	alert.LinkMessage: {3, 7 * 24 * time.Hour, "the same mail message"},
	alert.LinkSource:  {2.5, 24 * time.Hour, "the same remote address"},
	alert.LinkSession: {2, time.Hour, "the same logon session"},
}

// Neighbour is an investigation that shares a key with another, as it stands in the store.
type Neighbour struct {
	ID          string
	Title       string
	OwnBits     float64
	Kind        alert.LinkKind
	Value       string
	First, Last time.Time
}

// addLinks merges the link keys of an alert: one entry per kind and value, its time span the
// union. Beyond MaxLinkKeys the smallest keys in canonical order are kept.
func (inv *Investigation) addLinks(links []alert.Link, at time.Time) {
	for _, l := range links {
		k := LinkKey{Kind: l.Kind, Value: l.Value, Ref: l.Ref, First: at, Last: at}
		i, found := slices.BinarySearchFunc(inv.Links, k, compareKeys)
		if !found {
			inv.Links = slices.Insert(inv.Links, i, k)
			continue
		}
		have := &inv.Links[i]
		if at.Before(have.First) {
			have.First = at
		}
		if at.After(have.Last) {
			have.Last = at
		}
		have.Ref = min(have.Ref, k.Ref)
	}
	inv.Links = inv.Links[:min(len(inv.Links), MaxLinkKeys)]
}

func compareKeys(a, b LinkKey) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Value, b.Value))
}

// OwnEvidence returns the evidence that rests on the investigation's own alerts.
func (inv *Investigation) OwnEvidence() []evidence.Evidence {
	own := make([]evidence.Evidence, 0, len(inv.Evidence)) // many only look at it
	for i := range inv.Evidence {
		if !derived(&inv.Evidence[i]) {
			own = append(own, inv.Evidence[i])
		}
	}
	return own
}

// LinkEvidence is what neighbours lend: one item per anchor and kind of key, each group of a
// kind damped like any other evidence. It is a pure function of the neighbours' own evidence,
// so it does not matter who came first.
func (inv *Investigation) LinkEvidence(neighbours []Neighbour) []evidence.Evidence {
	best := map[string]evidence.Evidence{}
	for i := range neighbours {
		n := &neighbours[i]
		rule, ok := linkRules[n.Kind]
		key := inv.linkKey(n)
		if !ok || key == nil || n.ID == inv.ID || n.OwnBits < AnchorBits || !key.Reaches(n.First, n.Last) {
			continue
		}
		e := evidence.Evidence{
			ID: "link:" + string(n.Kind) + ":" + n.ID, Kind: "link." + string(n.Kind), Stance: evidence.For, Weight: rule.bits,
			Group: "link:" + string(n.Kind), Source: "links", Trust: evidence.TrustSystem, Refs: []string{n.ID},
			Statement: fmt.Sprintf("It shares %s (%s) with %q, which weighs %+.1f bits by its own evidence", rule.says, n.Value, n.Title, n.OwnBits),
		}
		if key.Ref != "" {
			e.Refs = append(e.Refs, key.Ref)
		}
		if have, ok := best[e.ID]; !ok || e.Statement < have.Statement {
			best[e.ID] = e
		}
	}
	items := make([]evidence.Evidence, 0, len(best))
	for _, e := range best {
		items = append(items, e)
	}
	slices.SortFunc(items, func(a, b evidence.Evidence) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.ID, b.ID))
	})
	return items[:min(len(items), maxLinkItems)]
}

func (inv *Investigation) linkKey(n *Neighbour) *LinkKey {
	i, found := slices.BinarySearchFunc(inv.Links, LinkKey{Kind: n.Kind, Value: n.Value}, compareKeys)
	if !found {
		return nil
	}
	return &inv.Links[i]
}

// Reaches reports whether a span of time in which another carried the same key is near enough
// to be linked by it.
func (k *LinkKey) Reaches(first, last time.Time) bool {
	return max(first.Sub(k.Last), k.First.Sub(last)) <= linkRules[k.Kind].within
}
