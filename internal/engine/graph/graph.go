// Package graph is the contract of the asset graph: which assets stand in which zones, which
// models run on them, what they connect to, and which findings affect them.
//
// The contract asks questions, not queries: what is the worst that may follow from this finding
// or asset, and by which path; what can be reached from this asset; how does one get from it into
// that zone. Engines live in graph/sqlgraph (the relational store) and graph/neo4jgraph, and pass
// the suite in graph/graphtest, which has the same answers for all of them.
package graph

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrUnavailable wraps every error of the engine itself: connection lost, time over, closed.
	// It is transient.
	ErrUnavailable = errors.New("graph: engine unavailable")
	// ErrNotFound says that a node which a question or a change names is not there.
	ErrNotFound = errors.New("graph: no such node")
	// ErrTooLarge says that an answer or a change is beyond its bounds; nothing partial is given.
	ErrTooLarge = errors.New("graph: too large")
	// ErrInvalid says that a change or a question cannot be meant: no tenant, an id that is no
	// id, an edge between kinds that know no such edge. Trying again cannot help.
	ErrInvalid = errors.New("graph: invalid")
)

// Kind is the kind of a node.
type Kind string

// The kinds. Tenants are not nodes of the contract: each call is about one.
const (
	KindAsset   Kind = "asset"
	KindZone    Kind = "zone"
	KindModel   Kind = "model"
	KindFinding Kind = "finding"
)

// Ref names a node of a tenant.
type Ref struct {
	Kind Kind   `json:"kind"`
	ID   string `json:"id"`
}

// String is the form for people: "asset host:plc-1.example.com".
func (r Ref) String() string { return string(r.Kind) + " " + r.ID }

// token orders nodes: by kind, then by the bytes of the id.
func (r Ref) token() string { return string(r.Kind) + r.ID }

// Relation is the kind of an edge.
type Relation string

// The relations, with the kinds that they join. A tenant owns every asset of its own; that
// relation (OWNED_BY) is kept by engines and is not written by callers.
const (
	ResidesIn  Relation = "RESIDES_IN"  // asset to zone; zones name the zone around them in Zone.Within
	ConnectsTo Relation = "CONNECTS_TO" // asset to asset that it can open connections to
	DeploysTo  Relation = "DEPLOYS_TO"  // model to asset: trained on it, stored on it or running on it
	Affects    Relation = "AFFECTS"     // finding to asset or model
)

// Asset is a host or anything else of worth.
type Asset struct {
	ID   string
	Name string
	Type string // "host", "application", "data_set" …
	// Criticality is the organisation's word, see package asset.
	Criticality string
	// Owner is who answers for the asset: a person or a team.
	Owner string
	// OT says that a source of operational technology named the asset: in a zone of unknown class,
	// and in none, it counts as equipment. Once said, it stays.
	OT bool
}

// Zone is a part of the plant or network whose assets share the worst that can happen.
type Zone struct {
	ID    string
	Name  string
	Class Class
	Owner string
	// Within is the id of the zone around this one; empty for none. The worst of both counts.
	Within string
}

// Model is a trained model.
type Model struct{ ID, Name, Version, Hash string }

// Finding is a weakness that a tool reported.
type Finding struct{ ID, Title, Tool, Severity string }

// Edge joins two nodes.
type Edge struct {
	Relation Relation
	From, To Ref
}

// Change is what Apply does to a tenant's graph, in this order: Detach, Remove, nodes, edges.
// Nodes replace all properties of their predecessor but OT; the edges of a node stay. What is removed or
// detached and is not there is no error.
type Change struct {
	// Origin names who says so ("org.yaml", "ctem"); Sweep forgets by it. Required.
	Origin string
	// At is when it was said. Required, UTC.
	At time.Time

	Assets   []Asset
	Zones    []Zone
	Models   []Model
	Findings []Finding
	// Mentions are assets of which little is known: created when absent; of those present nothing
	// changes but that OT becomes true where the mention says so.
	Mentions []Asset
	Edges    []Edge

	// Remove takes nodes away with their edges; Detach takes edges away.
	Remove []Ref
	Detach []Edge
}

// Size is the number of nodes and edges that the change names.
func (c *Change) Size() int {
	return len(c.Assets) + len(c.Zones) + len(c.Models) + len(c.Findings) + len(c.Mentions) + len(c.Edges) + len(c.Remove) + len(c.Detach)
}

// Graph is the asset graph of all tenants. It is safe for concurrent use.
type Graph interface {
	// Apply makes a change, all of it or nothing. Applying it again changes nothing. A change of
	// more than MaxChange nodes and edges is ErrTooLarge (see Load), an edge or Zone.Within whose
	// node does not exist is ErrNotFound.
	Apply(ctx context.Context, tenant string, c *Change) error
	// Sweep forgets the nodes and edges of an origin that were last written before a time, and
	// returns how many. A node belongs to the origin that wrote it last.
	Sweep(ctx context.Context, tenant, origin string, before time.Time) (int, error)
	// Consequences says for each of at most MaxRefs assets, models and findings what the worst is
	// that may follow, with the path that proves it. Those that are not there are left out.
	Consequences(ctx context.Context, tenant string, of []Ref) (map[Ref]Consequence, error)
	// BlastRadius says what can be reached from an asset within the bounds.
	BlastRadius(ctx context.Context, tenant, asset string, b Bounds) (Radius, error)
	// Paths returns at most k shortest paths without repetition from an asset into a zone or one
	// within it; none when there is none within the bounds. Paths come by number of hops, then by
	// their nodes one after the other, by kind and the bytes of the id.
	Paths(ctx context.Context, tenant, asset, zone string, k int, b Bounds) ([]Path, error)
	// Health reports whether the engine answers; nil or ErrUnavailable.
	Health(ctx context.Context) error
	// Close releases the engine. Safe to call twice.
	Close() error
}

// The bounds of the contract.
const (
	// MaxChange is how many nodes and edges one Apply takes.
	MaxChange = 5000
	// MaxRefs is how many nodes one Consequences takes.
	MaxRefs = 512
	// MaxNesting is how many zones around a zone count.
	MaxNesting = 8
	// MaxHops bounds Bounds.Hops.
	MaxHops = 8
	// MaxNodes bounds Bounds.Nodes.
	MaxNodes = 50_000
	// MaxPaths bounds k.
	MaxPaths = 50
	// MaxID is the length of an id in bytes, MaxText that of any other text.
	MaxID   = 512
	MaxText = 4096
)

// Bounds limit what a question may cost. The zero value is 3 hops and 10,000 nodes.
//
// A hop is a CONNECTS_TO edge along its direction, or the way from an asset over a model that is
// deployed to it to another asset of that model.
type Bounds struct {
	Hops int
	// Nodes is how many assets and models may be visited; one more is ErrTooLarge.
	Nodes int
}

// Checked returns the bounds with defaults in place of zeros.
func (b Bounds) Checked() (Bounds, error) {
	if b.Hops == 0 {
		b.Hops = 3
	}
	if b.Nodes == 0 {
		b.Nodes = 10_000
	}
	if b.Hops < 0 || b.Hops > MaxHops || b.Nodes < 0 || b.Nodes > MaxNodes {
		return b, fmt.Errorf("%w: bounds of %d hops and %d nodes; at most %d and %d", ErrInvalid, b.Hops, b.Nodes, MaxHops, MaxNodes)
	}
	return b, nil
}

// Step is a node on a path and the relation that led to it, empty for the first. Back says that
// the relation was followed against its direction.
type Step struct {
	Node     Ref      `json:"node"`
	Name     string   `json:"name,omitempty"`
	Relation Relation `json:"relation,omitempty"`
	Back     bool     `json:"back,omitempty"`
}

// Path is a way through the graph.
type Path struct {
	Steps []Step `json:"steps"`
	// Hops is its length as Bounds count it; the steps into zones are free.
	Hops int `json:"hops"`
}

// Consequence is the worst that may follow from a node. The walk is that of REFERENCE 7: a finding
// to what it affects; an asset over a model deployed to it to the assets which that model is
// deployed to; a model to its assets; from those assets to their zones and the zones around them.
type Consequence struct {
	// Class is Unknown when no zone on the walk has a class.
	Class Class `json:"class,omitempty"`
	// Assumed says that the class was not stated: an OT asset stands in no zone of known class.
	Assumed bool `json:"assumed,omitempty"`
	// Asset is where the worst happens, Zone the zone that says so (empty when none), and Owner
	// who answers for the asset, or else for the zone.
	Asset string `json:"asset,omitempty"`
	Zone  string `json:"zone,omitempty"`
	Owner string `json:"owner,omitempty"`
	// Path proves it. Of several, the shortest; of those, the first in the order of Paths.
	Path []Step `json:"path,omitempty"`
}

// Radius is what can be reached from an asset.
type Radius struct {
	// Assets is how many assets, without the one asked about.
	Assets int `json:"assets"`
	// Zones says in which zones they stand, worst class first, then by id. An asset in two zones
	// counts in both; those without a zone are under the empty id.
	Zones []ZoneReach `json:"zones"`
	// Worst is the worst class among the zones.
	Worst Class `json:"worst,omitempty"`
}

// ZoneReach is the part of a Radius in one zone.
type ZoneReach struct {
	Zone string `json:"zone"`
	// Class is the worst of the zone and those around it; Equipment where neither has one and an OT
	// asset was reached there.
	Class  Class `json:"class,omitempty"`
	Assets int   `json:"assets"`
	// Hops is the distance of the nearest.
	Hops int `json:"hops"`
}

// ConsequenceOf asks about one node; ErrNotFound when it is not there.
func ConsequenceOf(ctx context.Context, g Graph, tenant string, of Ref) (Consequence, error) {
	all, err := g.Consequences(ctx, tenant, []Ref{of})
	if err != nil {
		return Consequence{}, err
	}
	c, ok := all[of]
	if !ok {
		return Consequence{}, fmt.Errorf("%w: %s", ErrNotFound, of)
	}
	return c, nil
}
